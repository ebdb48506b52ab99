"""`moldesign ledger`: the oracle calls of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from moldesign.cli.options import ForceFlag, JsonFlag, refuse_existing, write_table

app = typer.Typer(help="The oracle calls of a run, also of one that is going on.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Commands on a ledger."""


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory, or its ledger.sqlite.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="CSV file to write; stdout if not given.")
    ] = None,
    force: ForceFlag = False,
    json_line: JsonFlag = False,
) -> None:
    """Write every oracle call as CSV, in order: what was scored, when, and what came of it.

    Example: moldesign ledger export runs/first -o calls.csv
    """
    if output is not None:
        refuse_existing(output, force)
    from moldesign.records.ledger import Ledger
    from moldesign.records.run import RunDirectory

    with Ledger.read_only(RunDirectory(run).ledger if run.is_dir() else run) as ledger:
        table, under_way = ledger.read(), ledger.reserved()
    write_table(table, output)
    facts = {
        "calls": len(table),
        "failed": int((table["status"] == "failed").sum()),
        "under_way": len(under_way),
    }
    if json_line:
        typer.echo(json.dumps({**facts, "output": str(output or "-")}), err=output is None)
    else:
        line = f"{facts['calls']:,} oracle calls, {facts['failed']:,} failed"
        typer.echo(f"{line}; {len(under_way):,} under way" if under_way else line, err=True)
