"""The objective that a user means: a name, a file, an object or a function."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from moldesign.errors import UsageError, nearest
from moldesign.rewards.objective import Objective
from moldesign.rewards.objectives import READY_MADE
from moldesign.rewards.reward import from_smiles_function
from moldesign.settings import read_text


def load_objective(objective: str | Path | Objective | Callable[[list[str]], Sequence[Any]]) -> Objective:
    """The objective meant by a ready-made name, a TOML file, an Objective, or a function of SMILES.

    A function takes a list of canonical SMILES and gives a number each; None or NaN is a failure.

    Raises:
        UsageError: no such name or file, or a file that is no objective.
    """
    if isinstance(objective, Objective):
        return objective
    if isinstance(objective, str) and objective in READY_MADE:
        return READY_MADE[objective]()
    if isinstance(objective, str | Path):
        path = Path(objective)
        if path.suffix == ".toml" or path.is_file():
            return _read(path)
        known = nearest(str(objective), READY_MADE) or f" (known: {', '.join(READY_MADE)}; or a .toml file)"
        raise UsageError(f"unknown objective '{objective}'{known}")
    if callable(objective):
        name = getattr(objective, "__name__", "").strip("<>")
        label = name if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) and name != "lambda" else "score"
        return Objective.of(from_smiles_function(objective), label)
    raise UsageError(f"an objective is a name, a TOML file, an Objective or a function, not {objective!r}")


def _read(path: Path) -> Objective:
    if not path.exists():
        raise UsageError(f"objective file not found: {path}")
    loaded = Objective.from_toml(read_text(path), str(path))
    return loaded if "name" in loaded.model_fields_set else loaded.model_copy(update={"name": path.stem})
