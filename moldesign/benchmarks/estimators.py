"""The table of estimators: bias and variance on a small language, signal and noise on a real prior."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from moldesign.benchmarks.gradients import (
    CASES,
    KL,
    LENGTH,
    LETTERS,
    Language,
    Measured,
    measure,
    relative_to,
)
from moldesign.records.files import writing
from moldesign.rewards.curves import FORMATS


def bias_and_variance(
    *, estimates: int, batch: int, seed: int, tell: Callable[[dict[str, Any]], None] = lambda _: None
) -> list[dict[str, Any]]:
    """A row for each of CASES (docs/estimators.md says what its columns are)."""
    language = Language(seed)
    plain: Measured | None = None
    rows = []
    for case in CASES:
        found = measure(case, language, estimates=estimates, batch=batch, seed=seed)
        plain = plain or found
        row = {
            "estimator": case.name,
            "unbiased": case.unbiased,
            "z": round(found.z, 2),
            "bias": round(found.bias, 5),
            "chance": round(found.bias_error, 5),
            "scale": round(found.scale, 4),
            "cosine": round(found.cosine, 5),
            "variance": round(relative_to(found, plain), 4),
            "milliseconds": round(1000 * found.seconds, 3),
        }
        rows.append(row)
        tell(row)
    return rows


def facts(rows: Sequence[Mapping[str, Any]], **settings: Any) -> dict[str, Any]:
    """What a result file holds."""
    return {"letters": [*LETTERS], "length": LENGTH, "kl_coefficient": KL, **settings, "rows": [*rows]}


def draw_variances(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a figure with the variance of each estimator beside its bias.

    Args:
        path: its suffix, one of FORMATS, says what kind of figure.

    Raises:
        UsageError: the path cannot be written. ResourceError: the disk is full.
    """
    shown = [row for row in rows if row["variance"] > 0]
    figure = Figure(figsize=(9, 0.27 * len(shown) + 1.2), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    places = range(len(shown))
    colours = ["tab:blue" if row["unbiased"] else "tab:orange" for row in shown]
    left.barh(places, [row["variance"] for row in shown], color=colours)
    left.axvline(1.0, color="black", linewidth=0.8)
    left.set_xlabel("variance, relative to REINFORCE without a baseline")
    right.barh(places, [row["bias"] for row in shown], color=colours)
    right.plot([row["chance"] for row in shown], places, "k|", label="what chance makes of none")
    right.set_xscale("log")
    right.set_xlabel("|mean - exact| / |exact|")
    right.legend(fontsize=7)
    left.set_yticks(places, [row["estimator"] for row in shown], fontsize=7)
    left.set_ylim(len(shown) - 0.4, -0.6)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    suffix = path.suffix.lower()
    with writing(path) as temporary:
        figure.savefig(temporary, format=suffix[1:], metadata=FORMATS[suffix])
