"""`moldesign priors`: the policies to begin from."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from moldesign import assets
from moldesign.cli.options import JsonFlag
from moldesign.cli.terminal import plain
from moldesign.text import visible

app = typer.Typer(invoke_without_command=True)


@app.callback()
def list_priors(context: typer.Context, json_line: JsonFlag = False) -> None:
    """List the priors at hand: shipped ones and those in the cache folder.

    Example: moldesign priors
    """
    if context.invoked_subcommand is not None:
        return
    from moldesign.errors import CheckpointError
    from moldesign.policy.checkpoint import read_provenance

    rows: list[dict[str, Any]] = []
    for name, path in assets.priors().items():
        try:
            architecture, vocabulary, provenance = read_provenance(path)
        except CheckpointError as error:  # one that is broken hides no other
            rows.append({"name": name, "path": str(path), "error": str(error)})
            continue
        rows.append(
            {
                "name": name,
                "corpora": provenance.corpora,
                "molecules": provenance.molecules,
                "network": f"{architecture.cell} {architecture.layers} x {architecture.hidden_size}",
                "tokens": len(vocabulary),
                "validation_nll": provenance.validation_nll,
                "licence": provenance.corpus_licence,
                "path": str(path),
            }
        )
    if json_line:
        typer.echo(json.dumps(rows))
        return
    table = Table("name", "trained on", "molecules", "network", "validation NLL")
    for row in rows:
        if "error" in row:
            table.add_row(plain(row["name"]), plain(f"cannot be used: {row['error']}", style="bold red"))
            continue
        table.add_row(
            plain(row["name"]),
            plain(", ".join(provenance_names(row["corpora"]))),
            f"{row['molecules']:,}",
            str(row["network"]),
            "" if row["validation_nll"] is None else f"{row['validation_nll']:.2f} nats",
        )
    Console().print(table)


def provenance_names(corpora: object) -> list[str]:
    """The corpora as text."""
    return [str(name) for name in corpora] if isinstance(corpora, list) else []


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of a prior, or a policy file.")],
    json_line: JsonFlag = False,
) -> None:
    """Print where a prior comes from, and its card.

    Example: moldesign priors show druglike
    """
    from moldesign.policy.checkpoint import read_provenance

    architecture, vocabulary, provenance = read_provenance(assets.prior_path(name))
    facts = {
        "architecture": architecture.model_dump(),
        "provenance": provenance.model_dump(),
        "vocabulary": vocabulary,
    }
    if json_line:
        typer.echo(json.dumps(facts))
        return
    if text := assets.prior_card(name):
        Console().print(Markdown(visible(text, keep="\n\t")))
    else:
        typer.echo(json.dumps(facts, indent=2))
