"""What molecules that are bred from look like inside: kept, as the same few are parents again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from moldesign.chem.edits import Cuts
from moldesign.chem.molecules import Mol, reread
from moldesign.chem.scaffolds import murcko

T = TypeVar("T")

#: Molecules that are kept; others are read and cut again.
_KEPT = 10_000


class Relatives:
    """Molecules by their canonical SMILES, read and cut once."""

    def __init__(self) -> None:
        self._mols: dict[str, Mol] = {}
        self._cuts: dict[str, Cuts] = {}
        self._scaffolds: dict[str, str] = {}

    def mol(self, smiles: str) -> Mol:
        """The molecule."""
        return _kept(self._mols, smiles, lambda: reread(smiles))

    def cuts(self, smiles: str) -> Cuts:
        """What it can be cut into."""
        return _kept(self._cuts, smiles, lambda: Cuts(self.mol(smiles)))

    def scaffold(self, smiles: str) -> str:
        """Its Murcko scaffold; empty for one without rings."""
        return _kept(self._scaffolds, smiles, lambda: murcko(reread(smiles)))


def _kept(kept: dict[str, T], smiles: str, make: Callable[[], T]) -> T:
    """What is kept of a molecule; made, and the oldest forgotten, where it is not."""
    found = kept.get(smiles)
    if found is None:
        if len(kept) >= _KEPT:
            del kept[next(iter(kept))]
        found = kept[smiles] = make()
    return found
