"""Ctrl-C and SIGTERM: finish the step, save, and leave; a second one leaves at once."""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType, TracebackType
from typing import Self

import typer


class Interrupts:
    """Within the block, the first signal is remembered and the second ends the process."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        """Whether to stop: what a loop asks once a step."""
        return self.signal is not None

    def __enter__(self) -> Self:
        self._before = {
            number: signal.signal(number, self._receive) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def exit_if_received(self) -> None:
        """Leave with 128 + the signal's number, as shells expect, if one came."""
        if self.signal is not None:
            raise typer.Exit(128 + self.signal)

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None:
            os._exit(128 + number)
        self.signal = number
        # Not print: the signal may have come in the middle of one, and its buffer admits no second writer.
        # Who was to read it may be gone: Ctrl-C reaches all of a pipe.
        with contextlib.suppress(OSError):
            os.write(2, b"stopping after this step; once more to leave at once\n")
