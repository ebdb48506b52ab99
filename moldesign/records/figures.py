"""Figures of a run."""

from __future__ import annotations

import heapq
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from moldesign.records.files import writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WINDOW = 100
BEST = 10


def learning_curve(ledger_rows: pd.DataFrame) -> pd.DataFrame:
    """How the score grew: one row a call with `call`, `mean_last_100` and `mean_best_10`.

    `mean_last_100` is over the scored molecules of the last 100 calls (fewer at the beginning; NaN
    where all failed), `mean_best_10` over the ten best so far (fewer while there are not ten).
    """
    rows = ledger_rows.sort_values("call")
    scores = rows["score"].where(rows["status"] == "scored").to_numpy(dtype=np.float64)
    best: list[float] = []
    mean_best = np.full(len(scores), np.nan)
    for i, score in enumerate(scores):
        if np.isfinite(score):
            (heapq.heappush if len(best) < BEST else heapq.heappushpop)(best, float(score))
        if best:
            mean_best[i] = sum(best) / len(best)
    recent = pd.Series(scores).rolling(WINDOW, min_periods=1).mean().to_numpy()
    return pd.DataFrame({"call": rows["call"].to_numpy(), "mean_last_100": recent, "mean_best_10": mean_best})


def draw_learning_curve(ledger_rows: pd.DataFrame, path: Path) -> None:
    """Write the learning curve of a ledger as PNG, whole or not at all.

    Raises:
        UsageError, ResourceError: the path cannot be written; the disk is full.
    """
    # Here, since it takes as long to load as a small run.
    import matplotlib as mpl

    with mpl.rc_context():
        # A `matplotlibrc` in the folder of the run, maybe of another's making, could have TeX set the words.
        mpl.rcdefaults()
        figure = _figure(ledger_rows)
        with writing(path) as temporary:
            # Without the version in it, the same run draws the same bytes.
            figure.savefig(temporary, format="png", metadata={"Software": None})


def _figure(ledger_rows: pd.DataFrame) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curve = learning_curve(ledger_rows)
    figure = Figure(figsize=(7, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(
        curve["call"], curve["mean_best_10"], color="tab:orange", label=f"mean of the {BEST} best so far"
    )
    axes.plot(
        curve["call"], curve["mean_last_100"], color="tab:blue", label=f"mean of the last {WINDOW} calls"
    )
    axes.set_xlabel("oracle calls")
    axes.set_ylabel("score")
    axes.set_xlim(0, max(len(curve), 1))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    failed = int((ledger_rows["status"] != "scored").sum())
    if failed:
        axes.set_title(f"{failed} of {len(ledger_rows)} calls failed and are left out", fontsize=9)
    return figure
