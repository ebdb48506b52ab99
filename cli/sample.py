"""`moldesign sample`: molecules from a prior."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from moldesign.cli.options import (
    ForceFlag,
    JsonFlag,
    PriorOption,
    ThreadsOption,
    refuse_existing,
    set_threads,
    write_output,
)


def sample(
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="How many.")] = 1000,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="CSV file to write; stdout if not given.")
    ] = None,
    prior: PriorOption = "druglike",
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Seed: the same seed gives the same molecules.")
    ] = 0,
    temperature: Annotated[
        float, typer.Option(min=0.01, max=10, help="Below 1 safer, above 1 bolder.")
    ] = 1.0,
    top_p: Annotated[
        float,
        typer.Option(min=0.01, max=1, help="Draw each token from the likeliest of this total probability."),
    ] = 1.0,
    unique: Annotated[bool, typer.Option("--unique", help="Leave repeated molecules out.")] = False,
    valid_only: Annotated[bool, typer.Option("--valid-only", help="Leave invalid SMILES out.")] = False,
    force: ForceFlag = False,
    threads: ThreadsOption = None,
    json_line: JsonFlag = False,
) -> None:
    """Draw molecules from a prior; exactly N rows, invalid and repeated ones too unless asked otherwise.

    Example: moldesign sample -n 1000 -o samples.csv
    """
    if output is not None:
        refuse_existing(output, force)
    from rich.console import Console
    from rich.progress import Progress

    from moldesign.errors import DataError
    from moldesign.policy.sampling import COLUMNS, sampled_rows
    from moldesign.records.tables import csv_of

    set_threads(threads)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("drawing", total=n)
        rows = sampled_rows(
            prior,
            n,
            seed=seed,
            temperature=temperature,
            top_p=top_p,
            unique=unique,
            valid_only=valid_only,
            progress=lambda done: bar.update(task, completed=done),
        )
    if len(rows) < n:
        raise DataError(f"only {len(rows)} of {n} such molecules found; raise --temperature or ask for fewer")
    write_output(csv_of(COLUMNS, rows), output)
    distinct = len({canonical for _, valid, canonical, _ in rows if valid})
    facts = {
        "rows": n,
        "valid": sum(valid for _, valid, _, _ in rows),
        "distinct": distinct,
        "output": str(output or "-"),
    }
    if json_line:
        typer.echo(json.dumps(facts), err=output is None)
    else:
        typer.echo(f"{n:,} rows: {facts['valid']:,} valid, {distinct:,} distinct molecules", err=True)
