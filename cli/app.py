"""The command `moldesign`."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer

from moldesign import __version__
from moldesign.cli import corpora, estimators, optimize, pretrain, priors, rewards, sample, score
from moldesign.errors import MoldesignError

app = typer.Typer(
    name="moldesign",
    help="Design molecules: a SMILES policy, pretrained on known chemistry, optimised by policy gradients.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("optimize")(optimize.optimize)
app.command("sample")(sample.sample)
app.command("score")(score.score)
app.command("pretrain")(pretrain.pretrain)
app.command("finetune")(pretrain.finetune)
app.add_typer(rewards.app, name="rewards")
app.command("estimators")(estimators.estimators)
app.add_typer(priors.app, name="priors")
app.add_typer(corpora.app, name="corpora")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"moldesign {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options that go before the command."""
    if debug:
        os.environ["MOLDESIGN_DEBUG"] = "1"


def main() -> None:
    """Run the command line. An error that a user can mend is one line on stderr and its own exit code."""
    try:
        app()
    except MoldesignError as error:
        _report(str(error), error.exit_code)
    except KeyboardInterrupt:
        _report("interrupted", 130)
    except BrokenPipeError:
        # The reader of a pipe (head, less) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except MemoryError:
        _report("out of memory; choose a smaller --batch-size", 6)
    except Exception as error:  # a defect of ours: still one line, the traceback on demand
        _report(f"internal error: {type(error).__name__}: {error} (--debug shows where)", 1)


def _report(message: str, exit_code: int) -> None:
    if os.environ.get("MOLDESIGN_DEBUG"):
        traceback.print_exc()
    print(f"moldesign: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(exit_code)
