"""Options that several commands share, and options made of a settings model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from moldesign.text import visible

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

JsonFlag = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one line of JSON, for programs: on stdout, or on stderr where a table goes there.",
    ),
]
PriorOption = Annotated[
    str, typer.Option("--prior", help="Name of a shipped prior (`moldesign priors`), or a policy file.")
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        envvar="MOLDESIGN_THREADS",
        help="Threads of the network; default: OMP_NUM_THREADS, or the processors that it may use.",
    ),
]
TrustOption = Annotated[
    list[str] | None,
    typer.Option(
        "--trust-plugin",
        metavar="PATH",
        help="Let an objective run this file (Python, a pickled model, a command), or use this address; "
        "may be repeated.",
    ),
]
ForceFlag = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]


def settings_options(
    model: type[BaseModel], *, target: str = "settings", defaults: Mapping[str, Any] = MappingProxyType({})
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each field of the model.

    The command's parameter named `target` then is a dict of those that the user gave. The help of
    an option is the field's description and default, so that both are written once.

    Args:
        defaults: shown in place of the model's own, where the command's differ.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        parameters = inspect.signature(command, eval_str=True).parameters.values()
        # Keyword-only, since the order of required and optional ones then does not matter to Python.
        plain = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in parameters
            if parameter.name != target
        ]
        made = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[Optional[field.annotation], _option(field, defaults.get(name))],  # noqa: UP045
            )
            for name, field in model.model_fields.items()
        ]

        def wrapped(**values: Any) -> None:
            given = {name: values.pop(name) for name in model.model_fields}
            chosen = {name: value for name, value in given.items() if value is not None}
            command(**values, **{target: chosen})

        wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
        wrapped.__signature__ = inspect.Signature([*plain, *made])  # type: ignore[attr-defined]
        wrapped.__annotations__ = {p.name: p.annotation for p in [*plain, *made]}
        return wrapped

    return decorate


def _option(field: FieldInfo, default: Any) -> Any:
    value = field.default if default is None else default
    text = str(value).lower() if isinstance(value, bool) else str(value)
    # In round brackets: the help is markup, in which [default: 1] is a style and shows nothing.
    shown = "" if value is None else f" (default: {text})"
    return typer.Option(help=f"{field.description}{shown}", show_default=False, rich_help_panel="Settings")


def trust_plugins(paths: list[str] | None) -> None:
    """Let objectives run these files. Raises UsageError: one is not there."""
    if paths:
        from moldesign.rewards import trust

        trust.trust(paths)


def refuse_existing(path: Path, force: bool) -> None:
    """Raise UsageError if the output is there and may not be replaced, or its folder is not there."""
    from moldesign.errors import UsageError

    if path.exists() and not force:
        raise UsageError(f"{path}: exists already; choose another name or add --force")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path}: the folder {path.absolute().parent} does not exist; make it first")


def write_table(table: pd.DataFrame, output: Path | None) -> None:
    """Write a table as CSV to the output, or to stdout where there is none."""
    from moldesign.records.tables import csv_text

    write_output(csv_text(table), output)


def write_output(text: str, output: Path | None) -> None:
    """Write text to the output, or to stdout where there is none."""
    from moldesign.records.files import write_text

    if output is None:
        typer.echo(text, nl=False)
    else:
        write_text(output, text)


def failure_lines(table: pd.DataFrame, most: int = 3) -> list[str]:
    """The commonest reasons in a table with `status`, `smiles` and `reason`, with a molecule each."""
    failed = table[table["status"] == "failed"]
    kinds = failed["reason"].value_counts()
    lines = []
    for reason, count in kinds.head(most).items():
        example = failed.loc[failed["reason"] == reason, "smiles"].iloc[0]
        lines.append(visible(f"failed: {count:,} as {example}: {reason}"))
    if len(kinds) > most:
        lines.append(f"failed: {kinds.iloc[most:].sum():,} more for {len(kinds) - most:,} other reasons")
    return lines


def set_threads(threads: int | None) -> None:
    """Let torch use so many threads; by default OMP_NUM_THREADS, else the processors it may use."""
    from moldesign.policy.threads import use_threads

    use_threads(threads)
