"""Where to search from: everything that was scored or, once that leads nowhere, a new beginning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

#: A gain is one among the best so many.
_TOP = 10
#: Molecules that an island begins with.
_FOUNDERS = 50


class Islands:
    """Which scored molecules are bred from.

    All of them, until for a number of calls none was among the ten best; then an island: what is scored from
    then on, which begins with molecules that nobody chose. When the island stands still too, all are bred
    from again, so that what it has found meets the rest; and so on. Whitley et al. 1999, The island model
    genetic algorithm.

    Attributes:
        members: SMILES of the present island; None while there is none.

    Args:
        patience: calls without gain; 0: there is never an island.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.members: set[str] | None = None
        self._best: list[float] = []
        self._since_gain = 0

    def __contains__(self, smiles: str) -> bool:
        return self.members is None or smiles in self.members

    @property
    def due(self) -> bool:
        """Whether nothing was gained for too long."""
        return 0 < self.patience <= self._since_gain

    @property
    def founding(self) -> bool:
        """Whether there is an island, with too few molecules yet to breed from."""
        return self.members is not None and len(self.members) < _FOUNDERS

    def take_in(self, smiles: str, score: float) -> None:
        """Learn of a molecule that was scored."""
        if self.members is not None:
            self.members.add(smiles)
        gained = len(self._best) < _TOP or score > self._best[-1]
        self._best = sorted([*self._best, score], reverse=True)[:_TOP]
        self._since_gain = 0 if gained else self._since_gain + 1

    def move_on(self, scores: Iterable[float]) -> None:
        """To an island, or back to everything; nothing is gained yet there.

        Args:
            scores: of everything that was scored.
        """
        self.members = set() if self.members is None else None
        self._best = sorted(scores, reverse=True)[:_TOP] if self.members is None else []
        self._since_gain = 0

    def state(self) -> dict[str, Any]:
        """The island, its best scores, and how long nothing was gained."""
        members = None if self.members is None else sorted(self.members)
        return {"members": members, "best": self._best, "since_gain": self._since_gain}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a state."""
        self.members = None if state["members"] is None else {*state["members"]}
        self._best, self._since_gain = [*state["best"]], state["since_gain"]
