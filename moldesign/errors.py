"""Errors that a user can mend: one line each, with the exit code of the command line."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from moldesign.text import visible


class MoldesignError(Exception):
    """Something the user can mend. The message is one line: what, where, what to do.

    What a file or another program says may stand in it: it is shown with its control characters escaped.
    """

    exit_code = 1

    def __str__(self) -> str:
        return visible(super().__str__(), keep="\t\n\r")


class UsageError(MoldesignError):
    """Wrong options or configuration."""

    exit_code = 2


class DataError(MoldesignError):
    """A corpus or a table of molecules that cannot be used."""

    exit_code = 3


class CheckpointError(MoldesignError):
    """A checkpoint or a run directory that cannot be used."""

    exit_code = 4


class RewardError(MoldesignError):
    """A reward, an external scorer or a plugin that cannot be used."""

    exit_code = 5


class ResourceError(MoldesignError):
    """Disk or memory that is not there."""

    exit_code = 6


class NonFiniteTrainingError(MoldesignError):
    """Training whose loss or gradient stays non-finite."""

    exit_code = 8


#: A longer word is no name that somebody gave, but what a file of another kind holds where a name belongs.
_LONGEST_WORD = 300


def one_line(message: str) -> str:
    """The message in one line that a terminal shows as it is: controls escaped, words of thousands cut."""
    words = visible(" ".join(message.split())).split(" ")
    half = _LONGEST_WORD // 2 - 2
    return " ".join(w if len(w) <= _LONGEST_WORD else f"{w[:half]}...{w[-half:]}" for w in words)


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause like `; did you mean 'qed'?`, empty where nothing is near."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""
