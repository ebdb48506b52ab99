"""What the policy wrote of late: where parts come from that nothing scored has."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

#: Molecules that are kept; the oldest go first.
_KEPT = 3000


class Stock:
    """Molecules, scored or not, by canonical SMILES.

    The best that were scored are relatives of one another, and so are their children. A part that none of
    them has must come from elsewhere.
    """

    def __init__(self) -> None:
        self._smiles: list[str] = []

    def __len__(self) -> int:
        return len(self._smiles)

    def add(self, smiles: Iterable[str]) -> None:
        """Take in molecules, and forget the oldest of too many."""
        self._smiles.extend(smiles)
        del self._smiles[:-_KEPT]

    def pick(self, generator: np.random.Generator) -> str | None:
        """Any of them; None where there is none."""
        return self._smiles[int(generator.integers(len(self._smiles)))] if self._smiles else None

    def state(self) -> list[str]:
        """Them."""
        return [*self._smiles]

    def restore(self, state: Iterable[str]) -> None:
        """Go back to a state."""
        self._smiles = [*state]
