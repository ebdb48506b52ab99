"""What an objective says of given molecules, as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from moldesign.errors import UsageError
from moldesign.rewards.executors import open_evaluator
from moldesign.rewards.loading import load_objective
from moldesign.rewards.objective import Objective
from moldesign.rewards.oracle import Oracle

# Columns that follow those of the components, or that the command line puts before them.
_LATER = ("reason", "line")


def score(
    objective: str | Path | Objective | Callable[[list[str]], Sequence[Any]],
    smiles: Sequence[str],
    *,
    workers: int | str = 1,
) -> pd.DataFrame:
    """One row a SMILES, in order: smiles as given, status, score, each component raw and shaped, reason.

    Status is scored, failed (a component could not be computed; score NaN) or invalid (no molecule).
    Every component is computed, also where the score is known to be 0 without it.
    The columns of a component are `label` and `label_score`; `label_raw` and
    `label_score_shaped` where there is such a column already.

    Raises:
        UsageError: no such objective, or one string in place of a list. RewardError: it is broken.
    """
    if isinstance(smiles, str):
        raise UsageError(f"give a list of SMILES, as in [{smiles!r}]")
    resolved = load_objective(objective).model_copy(update={"spare": False})
    evaluator = open_evaluator(resolved, workers)
    try:
        oracle = Oracle(evaluator)
        evaluations = oracle(smiles)
    finally:
        if not isinstance(evaluator, Objective):
            evaluator.close()
    table: dict[str, list[Any]] = {
        "smiles": list(smiles),
        "status": [_status(e.status, e.score) for e in evaluations],
        "score": [e.score for e in evaluations],
    }
    for i, label in enumerate(oracle.labels):
        table[_free(label, "_raw", table)] = [e.raw[i] if e.raw else math.nan for e in evaluations]
        shaped = [e.shaped[i] if e.shaped else math.nan for e in evaluations]
        table[_free(f"{label}_score", "_shaped", table)] = shaped
    table["reason"] = [e.reason or "" for e in evaluations]
    return pd.DataFrame(table)


def _free(name: str, suffix: str, table: dict[str, list[Any]]) -> str:
    """The name, with the suffix where a column is called so."""
    while name in table or name in _LATER:
        name += suffix
    return name


def _status(status: str, score: float) -> str:
    # The same molecule twice in the file is scored twice here: nothing is charged.
    if status == "repeat":
        return "failed" if math.isnan(score) else "scored"
    return status
