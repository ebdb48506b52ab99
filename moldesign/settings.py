"""Settings models: built from what a user gave, with errors that a user can mend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from moldesign.errors import UsageError, nearest

Settings = TypeVar("Settings", bound=BaseModel)


def build(model: type[Settings], values: Mapping[str, Any], *, where: str = "") -> Settings:
    """The settings with these values; the rest at their defaults.

    Args:
        where: what the message begins with, such as the file that the values are from.

    Raises:
        UsageError: an unknown setting (the nearest is named) or a value out of range.
    """
    prefix = f"{where}: " if where else ""
    for key in values:
        if key not in model.model_fields:
            raise UsageError(f"{prefix}unknown setting '{key}'{nearest(key, model.model_fields)}")
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{prefix}setting '{name}': {first['msg']} (given: {first['input']!r})") from None
