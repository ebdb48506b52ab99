"""What each component of an objective cost and what it let through."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from moldesign.rewards.scores import Scores


@dataclass
class ComponentTally:
    """Counts of one component, in molecules. `asked` is without those answered from the cache."""

    label: str
    valued: int = 0
    good: int = 0
    failed: int = 0
    asked: int = 0
    seconds: float = 0.0

    @property
    def hit_rate(self) -> float:
        """Share of the valued molecules whose desirability is at least 1/2; NaN before the first."""
        return self.good / self.valued if self.valued else float("nan")

    @property
    def milliseconds(self) -> float:
        """Mean cost of one molecule asked for; NaN before the first."""
        return 1000 * self.seconds / self.asked if self.asked else float("nan")


class Tally:
    """A running account of the components of an objective, in their order."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.components = [ComponentTally(label) for label in labels]

    def add(self, scores: Scores) -> None:
        """Take in what an objective said of a batch."""
        shaped = zip(*(scores.shaped[one.label].tolist() for one in self.components), strict=True)
        for values, reason in zip(shaped, scores.reasons, strict=True):
            self.recount(values, reason)
        for one in self.components:
            one.asked += scores.asked.get(one.label, 0)
            one.seconds += scores.seconds.get(one.label, 0.0)

    def recount(self, shaped: Sequence[float], reason: str | None) -> None:
        """Take in a molecule that nobody was asked for now."""
        # Of a lost process all are suspected that may have brought it down.
        blamed = (reason or "").split(":")[0].split(" or ")
        for one, value in zip(self.components, shaped, strict=True):
            one.valued += not math.isnan(value)
            one.good += value >= 0.5
            one.failed += one.label in blamed

    def state(self) -> list[dict[str, Any]]:
        """The counts, as plain data."""
        return [asdict(one) for one in self.components]

    def restore(self, state: Sequence[Mapping[str, Any]]) -> None:
        """Go back to counts."""
        self.components = [ComponentTally(**one) for one in state]
