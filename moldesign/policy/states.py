"""Nested state as tensors and JSON: what a checkpoint holds, and nothing that could run code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moldesign.errors import CheckpointError
from moldesign.policy.checkpoint import read_tensors, write_tensors

_KEY = "moldesign-state"
_SCHEMA = 1


def save_state(path: Path, state: Mapping[str, Any]) -> str:
    """The SHA-256 of the file that holds the state now: whole, or as it was before.

    Args:
        state: of dictionaries, lists, tuples, tensors, arrays, numbers, texts, None.

    Raises:
        TypeError: of something else. ResourceError: it cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    content = json.dumps(_plain(state, tensors)).encode()
    # Among the tensors, since it grows with a run, and a header may not.
    tensors[_KEY] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    return write_tensors(path, tensors, {_KEY: str(_SCHEMA)})


def load_state(path: Path) -> dict[str, Any]:
    """The state in a file, its tensors on the processor.

    Raises:
        CheckpointError: not there, not whole, or written by a version that lays it out otherwise.
    """
    tensors, metadata = read_tensors(path)
    schema = metadata.get(_KEY)
    if schema not in (None, str(_SCHEMA)):
        raise CheckpointError(
            f"{path}: a state of schema {schema}; this version reads {_SCHEMA}: upgrade moldesign"
        )
    try:
        content = json.loads(tensors[_KEY].numpy().tobytes())
        state: dict[str, Any] = _nested(content, tensors)
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{path}: not the state of a run") from None
    return state


def _plain(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The value in JSON's types, its tensors put aside. What JSON lacks is an object with the key `$`."""
    if isinstance(value, Tensor | np.ndarray):
        name = str(len(tensors))
        tensor = value if isinstance(value, Tensor) else torch.from_numpy(np.ascontiguousarray(value))
        # A copy: no two of them may share memory, and in bits every number comes back as it is.
        tensors[name] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"$": "tensor" if isinstance(value, Tensor) else "array", "name": name}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value) and "$" not in value:
            return {key: _plain(item, tensors) for key, item in value.items()}
        pairs = [[_plain(key, tensors), _plain(item, tensors)] for key, item in value.items()]
        return {"$": "pairs", "items": pairs}
    if isinstance(value, list | tuple):
        items = [_plain(item, tensors) for item in value]
        return items if isinstance(value, list) else {"$": "tuple", "items": items}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"no state: {type(value).__name__}")


def _nested(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What `_plain` was given."""
    if isinstance(value, list):
        return [_nested(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("$")
    if kind is None:
        return {key: _nested(item, tensors) for key, item in value.items()}
    if kind == "pairs":
        return {_nested(key, tensors): _nested(item, tensors) for key, item in value["items"]}
    if kind == "tuple":
        return tuple(_nested(item, tensors) for item in value["items"])
    tensor = tensors[value["name"]]
    return tensor.numpy() if kind == "array" else tensor
