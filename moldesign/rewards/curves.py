"""Figures of an objective: how each component turns its raw value into a desirability."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from moldesign.errors import UsageError
from moldesign.files import atomic_write, write_error
from moldesign.rewards.advice import limits
from moldesign.rewards.known import Known, Place, places
from moldesign.rewards.objective import Objective
from moldesign.rewards.reward import Values
from moldesign.rewards.shaping import ValueMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Suffix of the file -> what its format is told, so that the same figure has the same bytes.
FORMATS: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}
#: Molecules that are labelled; more would hide the curve.
LABELLED = 12
#: Points that are drawn of each component, evenly from its smallest raw value to its largest.
_POINTS = 1000
_ACROSS = 3


def require_format(path: Path) -> None:
    """Pass if the suffix of a file is one that can be drawn.

    Raises:
        UsageError: it is not.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: unknown kind of figure; use {', '.join(FORMATS)}")


def draw_curves(objective: Objective, known: Known, path: Path) -> None:
    """Write the shaping of each component and group, with the molecules on it; whole or not at all.

    A component without a shaping is drawn as the identity. Up to LABELLED molecules bear their names,
    and a list below says which they are. The same objective and molecules give the same bytes.

    Raises:
        UsageError: the path cannot be written, or its suffix is unknown. ResourceError: the disk is full.
    """
    require_format(path)
    import matplotlib as mpl

    with mpl.rc_context(), warnings.catch_warnings():
        # Neither the user's own settings nor the moment change the figure; a dollar sign is a dollar sign.
        mpl.rcdefaults()
        mpl.rc("svg", hashsalt="moldesign", fonttype="none")
        mpl.rc("text", parse_math=False)
        mpl.rc("font", size=8.0)
        # A name in letters that the font lacks shows boxes; that needs no talk.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = _figure(objective, known)
        try:
            with atomic_write(path.resolve()) as temporary:
                figure.savefig(
                    temporary, format=path.suffix[1:].lower(), metadata=FORMATS[path.suffix.lower()]
                )
        except OSError as error:
            raise write_error(path, error) from None


def curve(place: Place, raw: Values) -> tuple[Values, Values]:
    """Raw values (m,), ascending, and the desirability (m,) of each: around these raw values and the limits.

    Before and behind a limit there is a point at once, so that a step is drawn as one. A component
    without a shaping has its limits at 0 and 1.
    """
    shaping = place.node.shaping
    turns = np.array([0.0, 1.0] if shaping is None else limits(shaping))
    low, high = _range(np.concatenate([raw, turns]), place)
    jumps = [np.nextafter(turns, -np.inf), turns, np.nextafter(turns, np.inf)]
    x = np.unique(np.concatenate([np.linspace(low, high, 401), *jumps]))
    return x, place.node.shape(x)


def _range(values: Values, place: Place) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.08 * (high - low) or max(1.0, abs(high)) * 0.5
    if place.unit_interval and low >= 0 and high <= 1:
        margin = 0.03
    return low - margin, high + margin


def _figure(objective: Objective, known: Known) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = places(objective)
    across = min(_ACROSS, len(panels))
    down = -(-len(panels) // across)
    legend = _legend(known)
    size = (3.4 * max(across, 2), 2.7 * down + 0.4 + 0.16 * legend.count("\n"))
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    named = f"{objective.name}: {objective.combination.replace('_', ' ')}"
    figure.suptitle(_printable(named, 90), fontsize=10)
    for i, place in enumerate(panels):
        _draw(figure.add_subplot(down, across, i + 1), place, known)
    if legend:
        figure.supxlabel(legend, fontsize=7, x=0.01, ha="left", family="monospace")
    return figure


def _draw(axes: Axes, place: Place, known: Known) -> None:
    node = place.node
    valued = np.flatnonzero(np.isfinite(known.raw[node.label]) & np.isfinite(known.shaped[node.label]))
    raw, shaped = known.raw[node.label][valued], known.shaped[node.label][valued]
    x, y = curve(place, raw)
    axes.plot(x, y, color="tab:blue", linewidth=1.2)
    if isinstance(node.shaping, ValueMap):
        turns = np.array(limits(node.shaping))
        axes.plot(turns, node.shape(turns), "_", color="tab:blue", markersize=8)
    if node.role == "filter":
        axes.axhline(0.5, color="tab:red", linestyle=":", linewidth=1)
        axes.text(
            0.98, 0.47, "rejected", color="tab:red", fontsize=6, va="top", ha="right",
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip
    order = np.argsort(raw, kind="stable")
    shown = order[np.unique(np.linspace(0, len(order) - 1, _POINTS).astype(int))] if len(order) else order
    axes.plot(
        raw[shown], shaped[shown], "o", color="tab:orange", markersize=3.5, alpha=0.8, markeredgewidth=0
    )
    if len(known) <= LABELLED:
        for names, at in _labels(known, valued, raw, shaped):
            axes.annotate(names, at, xytext=(2, 3), textcoords="offset points", fontsize=6)
    axes.set_xlim(x[0], x[-1])
    low, high = float(np.min(y, initial=0.0)), float(np.max(y, initial=1.0))
    axes.set_ylim(low - 0.06 * (high - low), high + 0.14 * (high - low))
    axes.grid(alpha=0.3)
    axes.set_title(_printable(title(place), 60), fontsize=8)
    unit = f" ({place.unit})" if place.unit else ""
    axes.set_xlabel(_printable(f"{place.reward.replace('_', ' ')}{unit}", 60))
    axes.set_ylabel("desirability")


def title(place: Place) -> str:
    """The label of a component or group, with its role or weight, and the group that it is in."""
    node = place.node
    part = f"weight {node.weight:g}" if node.role == "score" else node.role
    if node.shaping is not None:
        part += f", {node.shaping.kind.replace('_', ' ')}"
    return f"{place.group + ' / ' if place.group else ''}{node.label}: {part}"


def _labels(
    known: Known, valued: NDArray[np.intp], raw: Values, shaped: Values
) -> list[tuple[str, tuple[float, float]]]:
    """Names to write, with their points; molecules at the same point share one."""
    at: dict[tuple[float, float], list[str]] = {}
    for i, x, y in zip(valued, raw, shaped, strict=True):
        at.setdefault((float(x), float(y)), []).append(known.names[int(i)])
    return [(_printable(", ".join(names), 24), point) for point, names in at.items()]


def _legend(known: Known) -> str:
    """Which molecule each name means, a line each; empty where they are not labelled."""
    if len(known) > LABELLED:
        return ""
    return "\n".join(
        _printable(f"{name}: {smiles}", 110) for name, smiles in zip(known.names, known.smiles, strict=True)
    )


def _printable(text: str, width: int) -> str:
    """The text in one line, without control characters, cut to a width."""
    clean = "".join(character if character.isprintable() else " " for character in text)
    return clean if len(clean) <= width else clean[: width - 3] + "..."
