"""Where the time of a loop goes: seconds of each of its phases."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pandas as pd

OTHER = "other"


class Timeline:
    """Adds up the seconds of each phase from the first one on; each moment belongs to one phase.

    On a GPU the time of a phase is that of the host, which hands work over and goes on: nothing waits
    for the device so that it can be timed. What the device has not done by then is waited for, and
    counted, in the phase that first needs a number from it.

    Args:
        phases: their names, in the order of the table.
    """

    def __init__(self, phases: Sequence[str]) -> None:
        self._seconds = {**dict.fromkeys(phases, 0.0), OTHER: 0.0}
        self._phase = OTHER
        self._since: float | None = None

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time within the block for a phase, and not for the one around it.

        Raises:
            KeyError: no such phase.
        """
        around = self._enter(name)
        try:
            yield
        finally:
            self._enter(around)

    def table(self, steps: int, *, workers_s: float | None = None) -> pd.DataFrame:
        """One row a phase, in order: phase, seconds, share of the whole, milliseconds a step.

        The phases up to `other`, which is what is in none, add up to the whole. NaN where there was no step.

        Args:
            workers_s: seconds that a worker was at work on average: a last row, `workers`.
        """
        seconds_of = self.state()
        whole = sum(seconds_of.values())
        rows = {**seconds_of, **({} if workers_s is None else {"workers": workers_s})}
        return pd.DataFrame(
            {
                "phase": name,
                "seconds": seconds,
                "share": seconds / whole if whole else math.nan,
                "milliseconds_a_step": 1000 * seconds / steps if steps else math.nan,
            }
            for name, seconds in rows.items()
        )

    def state(self) -> dict[str, float]:
        """The seconds of each phase until now."""
        if self._since is not None:
            self._enter(self._phase)
        return dict(self._seconds)

    def restore(self, state: Mapping[str, float]) -> None:
        """Go on from seconds."""
        self._seconds.update(state)

    def _enter(self, name: str) -> str:
        """The phase until now, whose time ends here."""
        if name not in self._seconds:
            raise KeyError(name)
        now = time.perf_counter()
        if self._since is not None:
            self._seconds[self._phase] += now - self._since
        before, self._phase, self._since = self._phase, name, now
        return before
