"""The figure of a comparison: how many times the peer, and which share of bare kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from moldesign.errors import UsageError
from moldesign.records.files import writing
from moldesign.rewards.curves import FORMATS


def draw_ratios(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a figure with a bar for the ratio of each row (`Row.facts`, as the JSON of a result has them).

    Args:
        path: its suffix, one of FORMATS, says what kind of figure.

    Raises:
        UsageError: no row has a ratio; the path cannot be written. ResourceError: the disk is full.
    """
    compared = [row for row in rows if row["ratio"] is not None]
    panels = [("times as fast", [row for row in compared if not row["bound"]])]
    panels.append(("share of bare kernels, %", [row for row in compared if row["bound"]]))
    panels = [(label, part) for label, part in panels if part]
    if not panels:
        raise UsageError("nothing was compared that a figure could show: measure sampling or training too")
    heights = [len(part) + 1.5 for _, part in panels]
    figure = Figure(figsize=(8, 0.34 * sum(heights) + 0.4), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    all_axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (label, part) in zip(all_axes, panels, strict=True):
        _draw_bars(axes, label, part, factor=100 if part[0]["bound"] else 1)
    suffix = path.suffix.lower()
    with writing(path) as temporary:
        figure.savefig(temporary, format=suffix[1:], metadata=FORMATS[suffix])


def _draw_bars(axes: Axes, label: str, rows: Sequence[Mapping[str, Any]], *, factor: float) -> None:
    names = [f"{row['measurement']}, batch {row['batch']}\nbeside {row['against']}" for row in rows]
    values = [factor * row["ratio"] for row in rows]
    bars = axes.barh(range(len(rows)), values, color="tab:blue" if factor == 1 else "0.6")
    axes.bar_label(bars, [f"{value:.3g}" for value in values], padding=3, fontsize=8)
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    axes.invert_yaxis()
    axes.axvline(factor, color="black", linewidth=0.8)
    axes.set_xlim(0, 1.12 * max(*values, factor))
    axes.set_xlabel(label)
    axes.spines[["top", "right"]].set_visible(False)
