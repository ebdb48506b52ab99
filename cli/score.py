"""`moldesign score`: what an objective says of molecules that you have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moldesign.cli.options import (
    ForceFlag,
    JsonFlag,
    TrustOption,
    failure_lines,
    refuse_existing,
    trust_plugins,
    write_table,
)

if TYPE_CHECKING:
    import pandas as pd

    from moldesign.rewards.objective import Objective


def score(
    molecules: Annotated[
        Path, typer.Argument(help="File of molecules: .smi, .csv, .tsv or .parquet, plain or packed.")
    ],
    objective: Annotated[str, typer.Option("--objective", help="A ready-made objective, or a TOML file.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="CSV file to write; stdout if not given.")
    ] = None,
    column: Annotated[str | None, typer.Option(help="SMILES column of a table, by name or number.")] = None,
    workers: Annotated[
        str, typer.Option(help="Processes that score, or the address of a Dask scheduler; 1: this process.")
    ] = "1",
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Show how each component works on the molecules, and what in the objective may mislead; "
            "the CSV is then written to -o only.",
        ),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Figure to draw: each component's shaping, the molecules on it (.png, .svg, .pdf)."
        ),
    ] = None,
    trust_plugin: TrustOption = None,
    force: ForceFlag = False,
    json_line: JsonFlag = False,
) -> None:
    """Score molecules: one row each, in their order, with every component raw and shaped.

    Example: moldesign score molecules.csv --objective druglike -o scores.csv
    """
    for path in (output, plot):
        if path is not None:
            refuse_existing(path, force)
    trust_plugins(trust_plugin)
    from moldesign.errors import DataError
    from moldesign.language.reading import MoleculeFile
    from moldesign.rewards.loading import load_objective
    from moldesign.rewards.scoring import score as score_smiles

    if plot is not None:
        from moldesign.rewards.curves import require_format

        require_format(plot)
    goal = load_objective(objective)
    entries = list(MoleculeFile(molecules, column))
    if not entries:
        raise DataError(f"{molecules}: no line with a molecule")
    # What the reader could not take for a SMILES is invalid for its reason, and shown with escapes.
    texts = ["" if entry.problem else entry.text for entry in entries]
    table = score_smiles(goal, texts, workers=workers)
    for row, entry in enumerate(entries):
        if entry.problem:
            table.loc[row, "smiles"] = entry.text.encode("utf-8", "backslashreplace").decode()
            table.loc[row, "reason"] = entry.problem
    table.insert(0, "line", [entry.line for entry in entries])
    if output is not None or not explain:
        write_table(table, output)
    counts = table["status"].value_counts()
    facts: dict[str, Any] = {name: int(counts.get(name, 0)) for name in ("scored", "failed", "invalid")}
    said = ", ".join(f"{count:,} {name}" for name, count in facts.items())
    if plot is not None or explain:
        facts |= _dry_run(goal, table, plot, explain=explain, json_line=json_line)
    if json_line:
        # On stdout, unless the table is there.
        written = "-" if output is None and not explain else output and str(output)
        line = json.dumps({"rows": len(table), **facts, "output": written})
        typer.echo(line, err=output is None and not explain)
    else:
        typer.echo(f"{len(table):,} molecules: {said}", err=True)
        for line in failure_lines(table):
            typer.echo(line, err=True)


def _dry_run(
    objective: Objective, table: pd.DataFrame, plot: Path | None, *, explain: bool, json_line: bool
) -> dict[str, Any]:
    """What --json is to say of the objective on these molecules; shown and drawn as the user wants it.

    Raises:
        DataError: not one valid molecule to show anything on.
    """
    from moldesign.errors import DataError
    from moldesign.rewards.known import Known

    known = Known.of(objective, table)
    if not len(known):
        raise DataError("no valid molecule among those given: there is nothing to show the objective on")
    if plot is not None:
        from moldesign.rewards.curves import draw_curves

        draw_curves(objective, known, plot)
    if not explain:
        return {}
    from moldesign.cli import explanation
    from moldesign.rewards.explanation import explain as explain_objective

    explained = explain_objective(objective, known)
    if json_line:
        return explanation.facts(known, explained)
    explanation.show(known, explained)
    return {}
