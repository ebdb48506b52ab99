"""What the commands that run the loop show: progress while it goes on, and what it found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from moldesign.cli.options import failure_lines
from moldesign.text import tell

if TYPE_CHECKING:
    import pandas as pd

    from moldesign.rl.run import Run
    from moldesign.rl.steps import StepReport

SdfOption = Annotated[bool, typer.Option("--sdf", help="Write candidates.sdf too.")]
NearestAllOption = Annotated[
    bool,
    typer.Option("--nearest-all", help="Nearest training molecule of every candidate, not of the 200 best."),
]
TensorboardOption = Annotated[
    bool, typer.Option("--tensorboard", help="Write the steps as TensorBoard events too.")
]

_TABLE_ROWS = 10
_PHASES = {
    "draw": "drawing",
    "score": "scoring",
    "wait": "waiting for scores",
    "read": "reading",
    "weigh": "weighing",
    "step": "learning",
    "remember": "remembering",
    "other": "other",
}


def export_options(sdf: bool, nearest_all: bool) -> dict[str, Any]:
    """What a run is to write at its end."""
    from moldesign.records.candidates import NEAREST_FOR

    return {"sdf": sdf, "nearest_for": None if nearest_all else NEAREST_FOR}


@contextmanager
def watching(
    *, calls: int | None, steps: int | None, board: Path | None
) -> Iterator[Callable[[StepReport], None]]:
    """What to call after each step: it moves a bar, and writes TensorBoard events where asked for.

    Args:
        calls, steps: how many there are to be at most. board: folder of the events.

    Raises:
        UsageError: the package tensorboard is missing.
    """
    with ExitStack() as stack:
        watchers = [stack.enter_context(_progress_bar(calls, steps))]
        if board is not None:
            from moldesign.rl.board import Board

            watchers.append(stack.enter_context(Board(board)))
        yield partial(_tell_all, watchers)


@contextmanager
def _progress_bar(calls: int | None, steps: int | None) -> Iterator[Callable[[StepReport], None]]:
    """What to call after each step: a bar on a terminal, a line every ten steps elsewhere; on stderr."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda report: _say(report) if report.step % 10 == 0 else None
        return
    facts = TextColumn("{task.fields[facts]}")
    with Progress(BarColumn(), facts, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=calls or steps, facts="")

        def show(report: StepReport) -> None:
            done = report.calls if calls else report.step
            bar.update(task, completed=done, facts=_facts(report))

        yield show


def _tell_all(watchers: Sequence[Callable[[StepReport], None]], report: StepReport) -> None:
    for watch in watchers:
        watch(report)


def _facts(report: StepReport) -> str:
    return (
        f"step {report.step}: {report.calls:,} calls, mean score {report.mean_score:.3f}, "
        f"ten best {report.top10_mean:.3f}, valid {report.valid:.0%}"
    )


def _say(report: StepReport) -> None:
    tell(_facts(report))


def report_run(run: Run, out: Path, json_line: bool) -> None:
    """The ten best on stdout, what happened on stderr; or all of it as one line of JSON."""
    table: pd.DataFrame = run.candidates
    failed = int((run.ledger["status"] == "failed").sum())
    first, last = run.ledger["score"].head(300).mean(), run.ledger["score"].tail(300).mean()
    front = {} if run.hypervolume.empty else run.hypervolume.iloc[-1].to_dict()
    if json_line:
        best = table.head(_TABLE_ROWS)[["rank", "smiles", "score"]]
        summary = {
            "out": str(out),
            "stopped_by": run.stopped_by,
            "calls": len(run.ledger),
            "candidates": len(table),
            "failed": failed,
            **{name: float(value) for name, value in front.items() if name != "calls"},
            "mean_score_first_300": None if first != first else round(float(first), 6),
            "mean_score_last_300": None if last != last else round(float(last), 6),
            "seconds_a_step": round(_seconds_a_step(run.timeline), 6),
            "time": {name: round(share, 4) for name, share in _shares(run.timeline).items()},
            "best": json.loads(best.to_json(orient="records")),
        }
        typer.echo(json.dumps(summary))
        return
    columns = ["rank", "smiles", "score", "mw", "logp", "qed", "sa"]
    shown = Table()
    for column in columns:
        shown.add_column(column, overflow="fold")
    for values in table.head(_TABLE_ROWS)[columns].itertuples(index=False):
        # As plain text: in markup, [nH] is a style and shows nothing.
        shown.add_row(*(Text(f"{v:.3g}" if isinstance(v, float) else str(v)) for v in values))
    Console().print(shown)
    typer.echo(
        f"{run.stopped_by}: {len(run.ledger):,} oracle calls, {len(table):,} candidates, {failed:,} failed; "
        f"mean score of the first 300 calls {first:.3f}, of the last 300 {last:.3f}",
        err=True,
    )
    for line in failure_lines(run.ledger):
        typer.echo(line, err=True)
    typer.echo(_time(run.timeline), err=True)
    if front:
        typer.echo(f"front: {front['front']:.0f} molecules, hypervolume {front['hypervolume']:.3f}", err=True)
    written = f"candidates: {out / 'candidates.csv'}"
    if len(table):
        written += f"; learning curve: {out / 'learning_curve.png'}"
    typer.echo(written, err=True)


def _shares(timeline: pd.DataFrame) -> dict[str, float]:
    return dict(zip(timeline["phase"], timeline["share"], strict=True))


def _seconds_a_step(timeline: pd.DataFrame) -> float:
    phases = timeline["phase"].isin(list(_PHASES))
    return float(timeline.loc[phases, "milliseconds_a_step"].sum()) / 1000


def _time(timeline: pd.DataFrame) -> str:
    """A line on where the time of the loop went, phases of less than half a percent left out."""
    shares = _shares(timeline)
    parts = [f"{words} {shares[name]:.0%}" for name, words in _PHASES.items() if shares[name] >= 0.005]
    line = f"time: {', '.join(parts)}; {_seconds_a_step(timeline):.2g} s a step"
    return f"{line}; workers busy {shares['workers']:.0%}" if "workers" in shares else line
