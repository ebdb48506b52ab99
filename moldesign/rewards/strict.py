"""Settings models that refuse what they do not know, and errors of one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from moldesign.errors import nearest

#: Steps of pydantic's paths that name a branch of a union, not a key of the user's file.
_UNION_STEPS = frozenset(
    "sigmoid reverse_sigmoid double_sigmoid soft_step gaussian step linear plateau exponential_decay "
    "values clip component group fixed drawn schedule str callable".split()
)


class Strict(BaseModel):
    """Settings: unknown keys, wrong types, NaN and infinity are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for key in data:
                if key not in cls.model_fields:
                    hint = nearest(str(key), cls.model_fields) or known(cls.model_fields)
                    raise ValueError(f"unknown key '{key}'{hint}")
        return data


def known(names: Iterable[str]) -> str:
    """A clause that lists what there is."""
    return f" (known: {', '.join(names) or 'none'})"


def explain(error: ValidationError) -> str:
    """The first fault in one line: where, then what."""
    return ": ".join(part for part in fault(error) if part)


def fault(error: ValidationError) -> tuple[str, str]:
    """Where the first fault is, as in `components[0].shaping`, and what it is."""
    first = error.errors(include_url=False)[0]
    place = ""
    for step in first["loc"]:
        if isinstance(step, int):
            place += f"[{step}]"
        elif step not in _UNION_STEPS:
            place += f".{step}" if place else step
    context = first.get("ctx", {})
    message = str(first["msg"]).lower().replace("input should", "should")
    if first["type"] == "union_tag_invalid":
        tags = [tag.strip("'") for tag in str(context["expected_tags"]).split(", ")]
        message = f"unknown kind '{context['tag']}'{nearest(str(context['tag']), tags) or known(tags)}"
    elif first["type"] == "union_tag_not_found":
        message = "needs a kind"
    elif first["type"] == "missing":
        message = "missing"
    elif first["type"] == "value_error":
        message = str(context["error"])
    return place, " ".join(message.split())
