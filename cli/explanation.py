"""How `moldesign score --explain` shows a dry run: tables and sentences, or one line of JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from moldesign.cli.terminal import plain
from moldesign.text import visible

if TYPE_CHECKING:
    from moldesign.rewards.explanation import Explanation
    from moldesign.rewards.known import Known

#: Molecules that are shown one by one; of more, the best and the worst.
_SHOWN, _ENDS = 20, 10
#: Components in one table of molecules; more are shown in a table of their own.
_ACROSS = 4


def show(known: Known, explanation: Explanation) -> None:
    """Print the components, the molecules and the warnings on stdout."""
    console = Console()
    if len(known) > _SHOWN:
        console.print(_components(explanation))
        console.print(_ends(known, explanation))
    else:
        labels = [component.label for component in explanation.components]
        console.print(_scores(known))
        for first in range(0, len(labels), _ACROSS):
            console.print(_values(known, labels[first : first + _ACROSS]))
    for warning in explanation.warnings:
        typer.echo(visible(f"warning: {warning.text}"))
    if not explanation.warnings:
        typer.echo("no warnings")


def facts(known: Known, explanation: Explanation) -> dict[str, Any]:
    """The same as plain data: NaN is None."""
    rows = range(len(known)) if len(known) <= _SHOWN else _best_and_worst(known)
    molecules = [
        {
            "line": int(known.names[i]),
            "smiles": known.smiles[i],
            "score": float(known.score[i]),
            "reason": known.reasons[i],
            "components": {
                label: {"raw": float(known.raw[label][i]), "shaped": float(known.shaped[label][i])}
                for label in known.raw
            },
        }
        for i in rows
    ]
    plain: dict[str, Any] = _without_nan(
        {
            "components": [asdict(component) for component in explanation.components],
            "molecules": molecules,
            "warnings": [asdict(warning) for warning in explanation.warnings],
        }
    )
    return plain


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)


def _components(explanation: Explanation) -> Table:
    table = _table("Components: raw values, and the desirabilities made of them")
    table.add_column("component", overflow="fold")
    table.add_column("part", overflow="fold")
    # Only where there is something in it: a terminal is narrow.
    failures = ["failed"] if any(one.failed for one in explanation.components) else []
    for column in ("min", "median", "max", "mean", "at 0", "at 1", *failures):
        table.add_column(column, justify="right", no_wrap=True)
    for one in explanation.components:
        label = f"{one.group} / {one.label}" if one.group else one.label
        if one.unit:
            label += f" ({one.unit})"
        part = one.role if one.weight is None else f"weight {one.weight:g}"
        raw = [_raw(value) for value in (one.raw_min, one.raw_median, one.raw_max)]
        shares = ["-" if math.isnan(share) else f"{share:.0%}" for share in (one.at_zero, one.at_one)]
        cells = [label, part, *raw, _desirability(one.shaped_mean), *shares]
        cells += [f"{one.failed:,}"] if failures else []
        table.add_row(*map(plain, cells))
    return table


def _scores(known: Known) -> Table:
    table = _table("Scores")
    table.add_column("line", justify="right", no_wrap=True)
    table.add_column("smiles", overflow="fold")
    table.add_column("score", justify="right", no_wrap=True)
    for i in range(len(known)):
        table.add_row(*map(plain, [known.names[i], known.smiles[i], _score(known, i)]))
    return table


def _values(known: Known, labels: Sequence[str]) -> Table:
    """What some components are for each molecule, raw and shaped."""
    table = _table("Raw value -> desirability")
    table.add_column("line", justify="right", no_wrap=True)
    for label in labels:
        table.add_column(plain(label), justify="right", overflow="fold")
    for i in range(len(known)):
        cells = [
            f"{_raw(known.raw[label][i])} -> {_desirability(known.shaped[label][i])}" for label in labels
        ]
        table.add_row(*map(plain, [known.names[i], *cells]))
    return table


def _ends(known: Known, explanation: Explanation) -> Table:
    """The molecules with the best and the worst scores, and what each has least of."""
    table = _table("The best and the worst molecules, and what each has least of")
    table.add_column("line", justify="right", no_wrap=True)
    table.add_column("smiles", overflow="fold")
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("lowest", overflow="fold")
    rows = _best_and_worst(known)
    for n, i in enumerate(rows):
        table.add_row(
            *map(plain, [known.names[i], known.smiles[i], _score(known, i), _lowest(known, explanation, i)]),
            end_section=n == _ENDS - 1,
        )
    return table


def _lowest(known: Known, explanation: Explanation, i: int) -> str:
    """The component outside of groups that wants the molecule least; empty where nothing is known of it."""
    own = [one.label for one in explanation.components if not one.group]
    shaped = {label: float(known.shaped[label][i]) for label in own}
    there = {label: value for label, value in shaped.items() if not math.isnan(value)}
    if not there:
        return ""
    label = min(there, key=lambda name: there[name])
    return f"{label} {_desirability(there[label])}"


def _best_and_worst(known: Known) -> list[int]:
    """Molecules with the best scores, the best first, then those with the worst; none that failed."""
    scored = np.flatnonzero(np.isfinite(known.score))
    order: list[int] = scored[np.argsort(-known.score[scored], kind="stable")].tolist()
    return [*order[:_ENDS], *order[_ENDS:][-_ENDS:]]


def _score(known: Known, i: int) -> str:
    return "failed" if math.isnan(known.score[i]) else _desirability(known.score[i])


def _raw(value: float) -> str:
    """Four digits that count; a dash where there is no value."""
    return "-" if math.isnan(value) else f"{value:.4g}"


def _desirability(value: float) -> str:
    """Three decimals, none for a whole number; a dash where there is no value."""
    return "-" if math.isnan(value) else f"{value:.0f}" if value == round(value) else f"{value:.3f}"
