"""Packages that not everyone installs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from moldesign.errors import RewardError


@contextmanager
def extra(name: str) -> Iterator[None]:
    """A block that imports what the extra of that name installs.

    Raises:
        RewardError: it is not installed; the message holds the command that installs it.
    """
    try:
        yield
    except ImportError as error:
        raise RewardError(f"{error}; install the extra: pip install 'moldesign-rl[{name}]'") from None
