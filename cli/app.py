"""The command `moldesign`."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from functools import cached_property
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from moldesign import __version__
from moldesign.errors import MoldesignError, one_line

#: Each command: its module, the function or the group there, and the first line of its help.
_COMMANDS = {
    "optimize": (
        "optimize:optimize",
        "Design molecules that score well, and write them to candidates.csv in the run directory.",
    ),
    "resume": (
        "resume:resume",
        "Go on with a run that was killed, interrupted or done, as if nothing had happened.",
    ),
    "sample": (
        "sample:sample",
        "Draw molecules from a prior; exactly N rows, invalid and repeated ones too unless asked otherwise.",
    ),
    "score": (
        "score:score",
        "Score molecules: one row each, in their order, with every component raw and shaped.",
    ),
    "pretrain": ("pretrain:pretrain", "Train a prior on corpora of molecules, from nothing."),
    "finetune": ("pretrain:finetune", "Train a prior further on a small set of molecules."),
    "ledger": ("ledger:app", "The oracle calls of a run, also of one that is going on."),
    "estimators": (
        "estimators:estimators",
        "List the gradient estimators of `moldesign optimize --estimator`.",
    ),
    "rewards": (
        "rewards:app",
        "List the rewards that an objective can name, and the ready-made objectives.",
    ),
    "priors": (
        "priors:app",
        "List the priors at hand: shipped ones and those in the cache folder.",
    ),
    "corpora": ("corpora:app", "List, clean and fetch corpora of molecules."),
    "doctor": ("doctor:doctor", "Check this machine and this install, and say in plain words what to do."),
    "benchmark": ("benchmark:app", "Measure how fast this machine draws, trains and optimises."),
}


class _Later(TyperCommand):
    """A command that is imported when it is asked for, so that `--help` and its neighbours start at once."""

    def __init__(self, name: str, where: str, line: str) -> None:
        super().__init__(name, short_help=line)
        self._where = where

    @cached_property
    def _command(self) -> Any:
        module, _, attribute = self._where.partition(":")
        found = getattr(import_module(f"moldesign.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            return get_group(found)
        alone = typer.Typer(add_completion=False)
        alone.command(self.name)(found)
        return get_command(alone)

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """The context of the command itself, by which it is run, completed and described."""
        return self._command.make_context(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        # What a command alone does not have, such as the commands of a group.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._command, name)


class _Commands(TyperGroup):
    """The commands by name, none of them imported yet."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        later = {name: _Later(name, where, line) for name, (where, line) in _COMMANDS.items()}
        self.commands = {**later, **self.commands}


app = typer.Typer(
    name="moldesign",
    cls=_Commands,
    help="Design molecules: a SMILES policy, pretrained on known chemistry, optimised by policy gradients.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
        _abandon_stdout()
        sys.exit(0)
    except MemoryError:
        _report("out of memory; choose a smaller --batch-size", 6)
    except Exception as error:
        reason = _missing_resource(error)
        if reason:
            _abandon_stdout()
            _report(reason, 6)
        # A defect of ours: still one line, the traceback on demand.
        _report(f"internal error: {type(error).__name__}: {error} (--debug shows where)", 1)


def _abandon_stdout() -> None:
    """Let what standard output has not taken go nowhere, so that Python does not try again when it leaves."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _missing_resource(error: Exception) -> str:
    """What the machine lacks and what to do about it, where that is the fault; else empty."""
    # torch's own, which is not loaded here; on a processor it says so in words only.
    if type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error):
        return "out of memory; choose a smaller --batch-size, or a smaller prior"
    if not isinstance(error, OSError):
        return ""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{where}cannot be written ({error.strerror}): free some disk space"
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN):
        return f"{where}{error.strerror}: end other programs, or raise the limit that `ulimit -a` shows"
    if "No usable temporary directory" in str(error):
        return "no folder for temporary files can be written to: free some disk space, or set TMPDIR"
    return ""


def _report(message: str, exit_code: int) -> None:
    if os.environ.get("MOLDESIGN_DEBUG"):
        traceback.print_exc()
    print(f"moldesign: {one_line(message)}", file=sys.stderr)
    sys.exit(exit_code)
