"""`moldesign score`: what an objective says of molecules that you have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from moldesign.cli.options import ForceFlag, JsonFlag, refuse_existing, write_table


def score(
    molecules: Annotated[
        Path, typer.Argument(help="File of molecules: .smi, .csv, .tsv or .parquet, plain or packed.")
    ],
    objective: Annotated[str, typer.Option("--objective", help="A ready-made objective, or a TOML file.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="CSV file to write; stdout if not given.")
    ] = None,
    column: Annotated[str | None, typer.Option(help="SMILES column of a table, by name or number.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that score; 1: within this one.")] = 1,
    force: ForceFlag = False,
    json_line: JsonFlag = False,
) -> None:
    """Score molecules: one row each, in their order, with every component raw and shaped.

    Example: moldesign score molecules.csv --objective druglike -o scores.csv
    """
    if output is not None:
        refuse_existing(output, force)
    from moldesign.errors import DataError
    from moldesign.language.reading import MoleculeFile
    from moldesign.rewards.scoring import score as score_smiles

    entries = list(MoleculeFile(molecules, column))
    if not entries:
        raise DataError(f"{molecules}: no line with a molecule")
    # What the reader could not take for a SMILES is invalid for its reason, and shown with escapes.
    texts = ["" if entry.problem else entry.text for entry in entries]
    table = score_smiles(objective, texts, workers=workers)
    for row, entry in enumerate(entries):
        if entry.problem:
            table.loc[row, "smiles"] = entry.text.encode("utf-8", "backslashreplace").decode()
            table.loc[row, "reason"] = entry.problem
    table.insert(0, "line", [entry.line for entry in entries])
    write_table(table, output)
    counts = table["status"].value_counts()
    facts = {name: int(counts.get(name, 0)) for name in ("scored", "failed", "invalid")}
    if json_line:
        typer.echo(
            json.dumps({"rows": len(table), **facts, "output": str(output or "-")}), err=output is None
        )
    else:
        said = ", ".join(f"{count:,} {name}" for name, count in facts.items())
        typer.echo(f"{len(table):,} molecules: {said}", err=True)
