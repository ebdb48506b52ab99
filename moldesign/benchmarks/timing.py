"""Rates side by side: what is timed in turns, and how it compares."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of several timings."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of one value or more."""
        return cls(statistics.median(values), min(values), max(values))

    def times(self, factor: float) -> Spread:
        """The same timings in another unit."""
        return Spread(self.median * factor, self.min * factor, self.max * factor)

    def facts(self) -> dict[str, float]:
        """As JSON has it, to four digits: timings are no better."""
        return {name: float(f"{value:.4g}") for name, value in vars(self).items()}


@dataclass(frozen=True)
class Row:
    """One line of a comparison.

    Attributes:
        what: what was timed, at which `batch` (None where there is none).
        unit: of both spreads; more is better, save for seconds.
        against: what `ours` was timed in turns with; empty where alone.
        bound: whether that is a bare kernel, what the machine could do, rather than another program.
    """

    what: str
    batch: int | None
    unit: str
    ours: Spread
    against: str = ""
    theirs: Spread | None = None
    bound: bool = False

    @property
    def ratio(self) -> float | None:
        """The ratio of the medians, ours to theirs."""
        return None if self.theirs is None else self.ours.median / self.theirs.median

    def facts(self) -> dict[str, Any]:
        """The row as JSON has it."""
        return {
            "measurement": self.what,
            "batch": self.batch,
            "unit": self.unit,
            "ours": self.ours.facts(),
            "against": self.against,
            "theirs": None if self.theirs is None else self.theirs.facts(),
            "bound": self.bound,
            "ratio": None if self.ratio is None else float(f"{self.ratio:.4g}"),
        }


def alternate(*timed: Callable[[], float], repeats: int) -> list[Spread]:
    """The spread of what each gives, asked in turns: what slows the machine for a while slows them all."""
    rounds = [[one() for one in timed] for _ in range(repeats)]
    return [Spread.of(values) for values in zip(*rounds, strict=True)]


def rate(work: Callable[[], float], seconds: float) -> float:
    """Units a second of work that is repeated for so many seconds, once at least; a call gives its units."""
    done = 0.0
    started = time.perf_counter()
    while True:
        done += work()
        passed = time.perf_counter() - started
        if passed >= seconds:
            return done / passed


def wait_for(device: torch.device) -> None:
    """Return when the device has done what it was given: a GPU works on behind the program."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
