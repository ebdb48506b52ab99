"""Every molecule that was scored, the best first: what proposals are made of."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from typing import Any


class Archive:
    """Scored molecules.

    Attributes:
        smiles: canonical, in the order in which they came; scores: of these.
        ranked: places of them, best first, of equals the later first.
    """

    def __init__(self) -> None:
        self.smiles: list[str] = []
        self.scores: list[float] = []
        self.ranked: list[int] = []
        self._known: set[str] = set()

    def __len__(self) -> int:
        return len(self.smiles)

    def __contains__(self, smiles: str) -> bool:
        return smiles in self._known

    def add(self, smiles: str, score: float) -> int:
        """Take in a molecule that is not there yet; how many are as good or better."""
        place = len(self.smiles)
        self.smiles.append(smiles)
        self.scores.append(score)
        self._known.add(smiles)

        def badness(one: int) -> float:
            return -self.scores[one]

        better_or_equal = bisect_right(self.ranked, -score, key=badness)
        self.ranked.insert(bisect_left(self.ranked, -score, key=badness), place)
        return better_or_equal

    def add_failed(self, smiles: str) -> None:
        """Know a molecule that could not be scored, so that it is not proposed again."""
        self._known.add(smiles)

    def state(self) -> dict[str, Any]:
        """Molecules and scores, and what could not be scored."""
        failed = sorted(self._known.difference(self.smiles))
        return {"smiles": self.smiles, "scores": self.scores, "failed": failed}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a state."""
        for smiles, score in zip(state["smiles"], state["scores"], strict=True):
            self.add(smiles, score)
        self._known.update(state["failed"])
