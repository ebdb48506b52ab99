"""Settings: TOML read, and models built from what a user gave, with errors that a user can mend."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from moldesign import files
from moldesign.errors import UsageError, nearest

Settings = TypeVar("Settings", bound=BaseModel)


def read_text(path: Path) -> str:
    """The text of a settings file, without a byte order mark.

    Raises:
        UsageError: no such file, no file but a folder or a pipe, one of megabytes, or no UTF-8 text.
    """
    if not path.is_file():
        # A pipe would be waited at for ever.
        what = "is no file but a folder, a pipe or a device" if path.exists() else "there is no such file"
        raise UsageError(f"{path}: {what}")
    try:
        return files.read_text(path).removeprefix("\ufeff")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from None


def parse_toml(text: str, source: str) -> dict[str, Any]:
    """The table that a TOML text is.

    Args:
        source: what the message begins with, such as the file that the text is from.

    Raises:
        UsageError: it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        reason = "nested too deeply"
    except ValueError as error:  # tomllib's own, and that of a number with thousands of digits
        reason = str(error)
    raise UsageError(f"{source}: not valid TOML: {reason}")


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
