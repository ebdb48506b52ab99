"""What each component of an objective cost and what it let through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
        for one in self.components:
            known = ~np.isnan(scores.shaped[one.label])
            one.valued += int(known.sum())
            one.good += int((scores.shaped[one.label][known] >= 0.5).sum())
            # Of a lost process all are suspected that may have brought it down.
            blamed = ((reason or "").split(":")[0].split(" or ") for reason in scores.reasons)
            one.failed += sum(one.label in labels for labels in blamed)
            one.asked += scores.asked.get(one.label, 0)
            one.seconds += scores.seconds.get(one.label, 0.0)
