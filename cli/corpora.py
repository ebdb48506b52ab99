"""`moldesign corpora`: list, clean and fetch the molecules that priors are trained on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from moldesign import assets
from moldesign.cli.terminal import plain
from moldesign.errors import UsageError
from moldesign.text import visible

app = typer.Typer(no_args_is_help=True, help="List, clean and fetch corpora of molecules.")

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one line of JSON on stdout, for programs.")]


@app.command("list")
def list_corpora(json_line: JsonFlag = False) -> None:
    """List the corpora at hand: shipped ones and those in the cache folder.

    Example: moldesign corpora list
    """
    rows = [
        {"name": name, "origin": "shipped" if assets.shipped(path) else "fetched",
         "bytes": path.stat().st_size, "path": str(path)}
        for name, path in assets.corpora().items()
    ]  # fmt: skip
    if json_line:
        typer.echo(json.dumps(rows))
        return
    table = Table("name", "origin", "size", "path")
    for row in rows:
        size = f"{int(row['bytes']) / 1e6:.1f} MB"
        table.add_row(plain(row["name"]), str(row["origin"]), size, plain(row["path"]))
    Console().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of a corpus, or a file of molecules.")],
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many molecules to print.")] = 5,
) -> None:
    """Print a corpus's card and its first molecules.

    Example: moldesign corpora show zinc250k -n 3
    """
    from moldesign.language.reading import MoleculeFile

    file = MoleculeFile(assets.corpus_path(name))
    if text := assets.corpus_card(name):
        Console(stderr=True).print(Markdown(visible(text, keep="\n\t")))
    for entry, _ in zip(file, range(lines), strict=False):
        typer.echo(visible(entry.text))


@app.command()
def prepare(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="Files of molecules: .smi, .csv or .tsv, plain, .gz, .xz or .zst; or .parquet. "
            "The name of a corpus at hand works too."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The corpus to write: .smi or .csv, plain, .gz, .xz, .zst.")
    ],
    column: Annotated[
        str | None, typer.Option(help="SMILES column of a table, by name or number; found if not given.")
    ] = None,
    stereo: Annotated[
        bool, typer.Option("--stereo/--no-stereo", help="Keep or drop stereochemistry.")
    ] = True,
    neutralise: Annotated[
        bool, typer.Option("--neutralise/--no-neutralise", help="Take away charges that a proton explains.")
    ] = True,
    elements: Annotated[
        str | None, typer.Option(help="Allowed elements, with commas; default: organic chemistry.")
    ] = None,
    min_atoms: Annotated[int, typer.Option(min=1, help="Fewest heavy atoms.")] = 3,
    max_atoms: Annotated[int, typer.Option(min=1, help="Most heavy atoms.")] = 60,
    max_charge: Annotated[int, typer.Option(min=0, help="Greatest net charge, either sign.")] = 2,
    rejects: Annotated[
        Path | None,
        typer.Option(help="Table of the rows left out and why; default: OUTPUT.rejects.tsv."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: the processors there are.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an output that exists.")] = False,
    json_line: JsonFlag = False,
) -> None:
    """Clean molecules into a corpus: standardised, unique, with an account of every line.

    Example: moldesign corpora prepare compounds.csv --column SMILES --no-stereo -o mine.smi.xz
    """
    from moldesign.chem.molecules import ORGANIC_ELEMENTS, Standard, element_symbols
    from moldesign.language.corpus import prepare as prepare_corpus

    refused = rejects or output.with_name(output.name + ".rejects.tsv")
    for written in (output, refused):
        if written.exists() and not force:
            raise UsageError(f"{written}: exists already; choose another name or add --force")
    if max_atoms < min_atoms:
        raise UsageError(f"--max-atoms {max_atoms} is less than --min-atoms {min_atoms}")
    standard = Standard(
        stereo=stereo,
        neutralise=neutralise,
        elements=element_symbols(elements) if elements is not None else ORGANIC_ELEMENTS,
        min_heavy_atoms=min_atoms,
        max_heavy_atoms=max_atoms,
        max_charge=max_charge,
    )
    paths = [assets.corpus_path(str(source)) for source in sources]
    with _progress_bar("cleaning") as progress:
        report = prepare_corpus(
            paths,
            output,
            standard=standard,
            column=column,
            rejects=refused,
            workers=workers,
            progress=progress,
        )
    summary = report.as_dict() | {"rejects": str(refused)}
    _print_summary(summary)
    if json_line:
        typer.echo(json.dumps(summary))
    else:
        typer.echo(str(output))


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="What to fetch: moses.")] = "moses",
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is there.")] = False,
    json_line: JsonFlag = False,
) -> None:
    """Fetch a corpus that is not shipped into the cache folder (MOLDESIGN_HOME).

    Example: moldesign corpora fetch moses
    """
    from moldesign.language.fetching import fetch as fetch_corpus

    paths = fetch_corpus(name, force=force, say=lambda message: typer.echo(message, err=True))
    if json_line:
        typer.echo(json.dumps([str(path) for path in paths]))
    else:
        for path in paths:
            typer.echo(str(path))


@contextmanager
def _progress_bar(what: str) -> Iterator[Callable[[float, int, int], None] | None]:
    """A callback that moves a bar on stderr; None where stderr is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    counts = TextColumn("{task.fields[rows]:,} rows, {task.fields[kept]:,} kept")
    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), counts, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=1.0, rows=0, kept=0)
        yield lambda share, rows, kept: bar.update(task, completed=share, rows=rows, kept=kept)


def _print_summary(summary: dict[str, Any]) -> None:
    """The account of every line, as a table on stderr."""
    table = Table("lines", "what", title=f"{summary['lines']:,} lines read", title_justify="left")
    table.columns[0].justify = "right"
    table.add_row(f"{summary['kept']:,}", plain(f"kept in {summary['output']}"))
    table.add_row(f"{summary['duplicates']:,}", "duplicate")
    for reason, count in summary["rejected"].items():
        table.add_row(f"{count:,}", plain(f"rejected: {reason}"))
    if summary["headers"]:
        table.add_row(f"{summary['headers']:,}", "header")
    if summary["continued"]:
        table.add_row(f"{summary['continued']:,}", "further lines of a row")
    console = Console(stderr=True)
    console.print(table)
    if summary["duplicates"] or summary["rejected"]:
        console.print(plain(f"every row left out, with its line: {summary['rejects']}"), soft_wrap=True)
