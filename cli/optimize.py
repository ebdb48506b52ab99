"""`moldesign optimize`: molecules that score well."""

from __future__ import annotations

import json
import tomllib
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

from moldesign.cli.interrupts import Interrupts
from moldesign.cli.options import (
    JsonFlag,
    ThreadsOption,
    TrustOption,
    failure_lines,
    set_threads,
    settings_options,
    trust_plugins,
)
from moldesign.errors import UsageError, nearest
from moldesign.rl.settings import OptimizeSettings
from moldesign.settings import build

if TYPE_CHECKING:
    import pandas as pd

    from moldesign.rl.run import Run
    from moldesign.rl.steps import StepReport

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
_CONFIG_KEYS = ("objective", "prior", "settings")


@settings_options(OptimizeSettings)
def optimize(
    settings: dict[str, Any],
    objective: Annotated[
        str | None, typer.Argument(help="A ready-made objective (`moldesign rewards`), or a TOML file.")
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Run directory to make.")] = Path("run"),
    prior: Annotated[
        str | None, typer.Option("--prior", help="Name of a prior, or a policy file. (default: druglike)")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="TOML file of a run, such as the config.toml of an earlier one."),
    ] = None,
    oracle_cmd: Annotated[
        str | None,
        typer.Option(
            "--oracle-cmd", help="Score with a command that speaks JSON lines, in place of an objective."
        ),
    ] = None,
    sdf: Annotated[bool, typer.Option("--sdf", help="Write candidates.sdf too.")] = False,
    nearest_all: Annotated[
        bool,
        typer.Option(
            "--nearest-all", help="Nearest training molecule of every candidate, not of the 200 best."
        ),
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write the steps as TensorBoard events too.")
    ] = False,
    trust_plugin: TrustOption = None,
    threads: ThreadsOption = None,
    json_line: JsonFlag = False,
) -> None:
    """Design molecules that score well, and write them to candidates.csv in the run directory.

    Example: moldesign optimize druglike --budget 3000 -o runs/first
    """
    trust_plugins(trust_plugin)
    given = _read_config(config) if config else {}
    if oracle_cmd is not None and objective is not None:
        raise UsageError("give an objective or --oracle-cmd, not both")
    goal = objective or given.get("objective")
    if goal is None and oracle_cmd is None:
        raise UsageError("what to optimise? Name an objective, a TOML file, or --oracle-cmd")
    chosen = OptimizeSettings.of(**{**given.get("settings", {}), **settings})
    if idle := chosen.unread():
        typer.echo(
            f"moldesign: nothing reads {', '.join(idle)} here (estimator {chosen.estimator})", err=True
        )

    from moldesign.records.candidates import NEAREST_FOR
    from moldesign.rewards.external import ExternalScorer
    from moldesign.rewards.loading import load_objective
    from moldesign.rewards.objective import Objective

    with ExitStack() as stack:
        if oracle_cmd is not None:
            resolved = Objective.of(stack.enter_context(ExternalScorer(oracle_cmd)), "oracle")
        elif isinstance(goal, dict):
            resolved = Objective.from_table(goal, given["text"], str(config))
        else:
            assert goal is not None  # else there is an oracle_cmd
            resolved = load_objective(goal)
        # Only now, as it loads torch: a mistake in what is asked for shows at once.
        from moldesign.rl.optimize import optimize as run_optimize

        set_threads(threads)
        interrupts = stack.enter_context(Interrupts())
        watchers = [stack.enter_context(_progress_bar(chosen))]
        if tensorboard:
            from moldesign.rl.board import Board

            watchers.append(stack.enter_context(Board(out / "tensorboard")))
        run = run_optimize(
            resolved,
            prior=prior or given.get("prior", "druglike"),
            out=out,
            progress=partial(_tell_all, watchers),
            should_stop=interrupts,
            export={"sdf": sdf, "nearest_for": None if nearest_all else NEAREST_FOR},
            **chosen.model_dump(),
        )
    _report(run, out, json_line)
    interrupts.exit_if_received()


def _read_config(path: Path) -> dict[str, Any]:
    """The tables of a run's TOML file, and under "text" what stands in it.

    Raises:
        UsageError: not there, not TOML, or an unknown key.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML ({error})") from None
    for key in content:
        if key not in _CONFIG_KEYS:
            raise UsageError(f"{path}: unknown key '{key}'{nearest(key, _CONFIG_KEYS)}")
    if not isinstance(content.get("prior", ""), str):
        raise UsageError(f"{path}: prior is the name of a prior, or a policy file")
    if not isinstance(content.get("objective", ""), str | dict):
        raise UsageError(f"{path}: objective is a name, a TOML file or a table")
    if not isinstance(content.get("settings", {}), dict):
        raise UsageError(f"{path}: settings is a table: [settings]")
    build(OptimizeSettings, content.get("settings", {}), where=str(path))
    return {**content, "text": text}


@contextmanager
def _progress_bar(settings: OptimizeSettings) -> Iterator[Callable[[StepReport], None]]:
    """What to call after each step: a bar on a terminal, a line every ten steps elsewhere; on stderr."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda report: _say(report) if report.step % 10 == 0 else None
        return
    facts = TextColumn("{task.fields[facts]}")
    with Progress(BarColumn(), facts, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=settings.budget or settings.max_steps, facts="")

        def show(report: StepReport) -> None:
            done = report.calls if settings.budget else report.step
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
    typer.echo(_facts(report), err=True)


def _report(run: Run, out: Path, json_line: bool) -> None:
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
