"""`moldesign benchmark`: how fast this machine draws, trains and optimises; how good the estimators are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from moldesign.cli.options import (
    ForceFlag,
    JsonFlag,
    PriorOption,
    ThreadsOption,
    refuse_existing,
    set_threads,
)
from moldesign.errors import UsageError

if TYPE_CHECKING:
    from moldesign.benchmarks.speed import Bench
    from moldesign.benchmarks.timing import Row, Spread

app = typer.Typer(help="Measure how fast this machine draws, trains and optimises.", no_args_is_help=True)

RepeatsOption = Annotated[int, typer.Option("--repeats", min=1, help="Timings of each thing, in turns.")]
SecondsOption = Annotated[
    float, typer.Option("--seconds", min=0, max=600, help="Seconds that a timing of drawing takes at least.")
]
StepsOption = Annotated[
    int, typer.Option("--steps", min=1, help="Steps that a timing of training or optimising takes.")
]
OutputOption = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="JSON file to write, with versions, command and machine."),
]
PlotOption = Annotated[
    Path | None, typer.Option("--plot", help="Figure of the ratios to draw (.png, .svg, .pdf).")
]


@app.command()
def speed(
    peers: Annotated[
        bool, typer.Option("--peers", help="Measure smiles-rnn, with the same weights, in turns with this.")
    ] = False,
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            help="Parts, with commas: ceilings, sampling, training, loop, start-up, fidelity; default: all.",
        ),
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=2, help="Only this batch size; default: several, by part.")
    ] = None,
    prior: PriorOption = "druglike",
    repeats: RepeatsOption = 5,
    seconds: SecondsOption = 3.0,
    steps: StepsOption = 10,
    output: OutputOption = None,
    plot: PlotOption = None,
    force: ForceFlag = False,
    threads: ThreadsOption = None,
    json_line: JsonFlag = False,
) -> None:
    """Measure drawing, training, optimising and start-up on the processor: medians of alternating timings.

    Example: moldesign benchmark speed --only sampling --repeats 3
    """
    _check_outputs(output, plot, force)
    from moldesign.benchmarks.speed import PARTS, Batches, Bench, Effort, check_parts

    parts = list(PARTS) if only is None else [name.strip() for name in only.split(",")]
    check_parts(parts)
    set_threads(threads)
    batches = Batches() if batch is None else Batches.of_size(batch)
    bench = Bench.of(prior, Effort(repeats, seconds, steps), batches=batches, with_peer=peers, tell=_tell)
    _measure(bench, parts, output, plot, json_line)


@app.command()
def gpu(
    prior: PriorOption = "druglike",
    repeats: RepeatsOption = 5,
    seconds: SecondsOption = 3.0,
    steps: StepsOption = 10,
    output: OutputOption = None,
    plot: PlotOption = None,
    force: ForceFlag = False,
    threads: ThreadsOption = None,
    json_line: JsonFlag = False,
) -> None:
    """Measure drawing, training and optimising on the first CUDA device, over batch sizes.

    Example: moldesign benchmark gpu -o gpu.json
    """
    _check_outputs(output, plot, force)
    from moldesign.benchmarks.gpu import PARTS, gpu_bench
    from moldesign.benchmarks.speed import Effort

    set_threads(threads)
    bench = gpu_bench(prior, Effort(repeats, seconds, steps), tell=_tell)
    _measure(bench, PARTS, output, plot, json_line)


@app.command()
def estimators(
    estimates: Annotated[
        int, typer.Option("--estimates", min=2, help="Estimates of each gradient on the small language.")
    ] = 4000,
    batch: Annotated[int, typer.Option("--batch", min=2, help="Sequences of an estimate there.")] = 16,
    signal: Annotated[
        int,
        typer.Option(
            "--signal", min=0, help="Estimates of each on the real prior, towards QED; 0: leave that out."
        ),
    ] = 0,
    prior: PriorOption = "druglike",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of language and draws.")] = 0,
    output: OutputOption = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Figure of the variances to draw (.png, .svg, .pdf).")
    ] = None,
    force: ForceFlag = False,
    threads: ThreadsOption = None,
    json_line: JsonFlag = False,
) -> None:
    """Measure bias and variance of the gradient estimators against the exact gradient of a small language.

    Example: moldesign benchmark estimators --estimates 200
    """
    _check_outputs(output, plot, force)
    from moldesign.assets import prior_path
    from moldesign.benchmarks.estimators import bias_and_variance, draw_variances, facts
    from moldesign.benchmarks.results import write_result_of
    from moldesign.benchmarks.signal import SETTINGS
    from moldesign.benchmarks.signal import signal as signal_of

    path = prior_path(prior)
    set_threads(threads)
    rows = bias_and_variance(estimates=estimates, batch=batch, seed=seed, tell=_tell_row)
    found = facts(rows, estimates=estimates, batch=batch, seed=seed)
    if signal:
        signals = [
            vars(
                signal_of(
                    name,
                    settings,
                    prior=path,
                    objective="qed",
                    estimates=signal,
                    batch=64,
                    seed=seed,
                    tell=lambda one: _tell_row(vars(one)),
                )
            )
            for name, settings in SETTINGS.items()
        ]
        found |= {"signal": {"prior": prior, "objective": "qed", "estimates": signal, "rows": signals}}
    if output is not None:
        write_result_of(output, ["moldesign"], found)
    if json_line:
        typer.echo(json.dumps(found))
    else:
        _show_rows(rows)
        if signal:
            _show_rows(found["signal"]["rows"])
    if plot is not None:
        draw_variances(rows, plot)


@app.command()
def pmo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the runs: one JSON a run.")],
    tasks: Annotated[
        str,
        typer.Option("--tasks", help="Between commas; all; rdkit: no classifiers; tuning: two to choose by."),
    ] = "all",
    seeds: Annotated[str, typer.Option("--seeds", help="Between commas.")] = "0",
    preset: Annotated[
        str,
        typer.Option(
            "--preset",
            help="efficient,reinvent,genetic-gfn,gp-bo,ablations,designs,chemistries: any.",
        ),
    ] = "efficient",
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Runs at a time.")] = 1,
    calls: Annotated[int, typer.Option("--calls", min=1, help="Oracle calls of a run.")] = 10_000,
    prior: Annotated[str, typer.Option("--prior", help="Name of a prior, or a policy file.")] = "zinc250k",
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads of each run.")] = 1,
    json_line: JsonFlag = False,
) -> None:
    """Measure how few oracle calls a way of optimising needs: PMO's area under the ten best.

    A run whose file is in the folder is not run again.

    Example: moldesign benchmark pmo --tasks zaleplon_mpo --calls 300 -o pmo
    """
    from moldesign.benchmarks.pmo import CALLS, check_settings, read_runs, runs_of, summarise
    from moldesign.benchmarks.results import write_result_of
    from moldesign.benchmarks.runs import perform

    numbers = [part.strip() for part in seeds.split(",")]
    if not all(part.isdecimal() for part in numbers):
        raise UsageError(f"--seeds '{seeds}': write seeds as 0,1,2")
    names = [part.strip() for part in preset.split(",")]
    runs = runs_of(tasks, [int(part) for part in numbers], names, calls=calls, prior=prior)
    read_runs(out)  # before an hour is spent
    check_settings(runs, out)
    failures = perform(runs, out, jobs=jobs, threads=threads, tell=lambda line: typer.echo(line, err=True))
    rows = summarise(read_runs(out))
    write_result_of(out / "summary.json", ["moldesign"], {"rows": rows, "failed": failures})
    if json_line:
        typer.echo(json.dumps(rows))
    else:
        # What others have is of 10,000 calls.
        _show_sums(rows, beside=calls == CALLS)
    if failures:
        raise typer.Exit(1)


def _show_sums(rows: Sequence[Mapping[str, Any]], *, beside: bool) -> None:
    """A column a preset: AUC top-10 of each task, and their sum; and the best that others have published."""
    from moldesign.benchmarks.published import METHODS, PUBLISHED

    tasks = [*dict.fromkeys(task for row in rows for task in row["tasks"])]
    table = Table("task", *(row["preset"] for row in rows), *(["best published"] if beside else []))
    for column in table.columns[1:]:
        column.justify = "right"
    for task in tasks:
        value, name = max(zip(PUBLISHED[task], METHODS, strict=True))
        table.add_row(
            task,
            *(f"{row['tasks'][task]:.3f}" if task in row["tasks"] else "" for row in rows),
            *([f"{value:.3f} {name}"] if beside else []),
        )
    table.add_section()
    table.add_row("sum", *(f"{sum(row['tasks'].values()):.3f}" for row in rows))
    table.add_row("minutes a run", *(f"{row['minutes']:.1f}" for row in rows))
    Console().print(table)
    if beside:
        sums = [sum(values) for values in zip(*(PUBLISHED[task] for task in tasks), strict=True)]
        said = ", ".join(f"{name} {value:.3f}" for name, value in zip(METHODS, sums, strict=True))
        Console().print(f"Published sums of the same tasks: {said}.")


def _tell_row(row: Mapping[str, Any]) -> None:
    typer.echo("  ".join(f"{key} {_text(value)}" for key, value in row.items()), err=True)


def _show_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    Console().print(table)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _check_outputs(output: Path | None, plot: Path | None, force: bool) -> None:
    """Raise UsageError, before anything is measured, for what could not be written."""
    for path in (output, plot):
        if path is not None:
            refuse_existing(path, force)
    if plot is not None:
        from moldesign.rewards.curves import require_format

        require_format(plot)


def _measure(
    bench: Bench, parts: Sequence[str], output: Path | None, plot: Path | None, json_line: bool
) -> None:
    """Measure the parts, and show, write and draw what came out."""
    from moldesign.benchmarks.ratios import draw_ratios
    from moldesign.benchmarks.results import write_result_of

    report = bench.measure(parts)
    facts = bench.facts()
    if output is not None:
        write_result_of(output, ["moldesign"], facts)
    if json_line:
        typer.echo(json.dumps(facts))
    else:
        _show(report.rows)
    if plot is not None:
        draw_ratios(facts["rows"], plot)


def _tell(row: Row) -> None:
    """Say on stderr, as soon as it is there, what the table on stdout will hold."""
    typer.echo("  ".join(cell for cell in _cells(row) if cell), err=True)


def _show(rows: Sequence[Row]) -> None:
    table = Table("what", "batch", "unit", "moldesign", "beside", "that", "ratio")
    for column in table.columns[3:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*_cells(row))
    Console().print(table)


def _cells(row: Row) -> list[str]:
    return [
        row.what,
        "" if row.batch is None else f"{row.batch:,}",
        row.unit,
        _spread(row.ours),
        row.against if row.theirs is not None else "",
        "" if row.theirs is None else _spread(row.theirs),
        "" if row.ratio is None else f"{row.ratio:.0%}" if row.bound else f"{row.ratio:.2f} x",
    ]


def _spread(spread: Spread) -> str:
    """Median, and in brackets the smallest and the largest."""
    median, low, high = (_number(value) for value in (spread.median, spread.min, spread.max))
    return f"{median} ({low} to {high})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
