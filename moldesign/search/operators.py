"""Where candidates come from: the operators that make new molecules of those that are bred from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from moldesign.chem.edits import Cuts, crossed, edited, recombined, reringed
from moldesign.chem.molecules import Mol, to_smiles
from moldesign.search.brood import Brood
from moldesign.search.chemistry import known_ring
from moldesign.search.choices import Origin
from moldesign.search.relatives import Relatives
from moldesign.search.stock import Stock


@dataclass(frozen=True)
class Breeding:
    """What children are made of.

    Attributes:
        brood: the good ones. stock: others. relatives: what both look like inside.
    """

    brood: Brood
    stock: Stock
    relatives: Relatives
    generator: np.random.Generator

    def parents(self, n: int) -> list[Cuts]:
        """n of the good ones, with repetition."""
        return [self.relatives.cuts(smiles) for smiles in self.brood.parents(n, self.generator)]


#: A child; None where nothing came of it.
Operator = Callable[[Breeding], Mol | None]


def crossover(among: Breeding) -> Mol | None:
    """Ends, or halves of a ring, of two molecules joined (Jensen 2019, graph-based genetic algorithm)."""
    first, second = among.parents(2)
    return crossed(first, second, among.generator)


def recombination(among: Breeding) -> Mol | None:
    """Ends of two molecules at a link of a third."""
    return recombined(among.parents(3), among.generator)


def graft(among: Breeding) -> Mol | None:
    """A part of a molecule of the stock in place of one of a good molecule: an end, half a ring, a link."""
    smiles = among.stock.pick(among.generator)
    if smiles is None:
        return None
    other = among.relatives.cuts(smiles)
    first, last = among.parents(2)
    if among.generator.random() < 0.25:
        return recombined([first, other, last], among.generator)
    return crossed(first, other, among.generator)


def edit(among: Breeding) -> Mol | None:
    """A molecule with one atom, one bond or one ring changed, or parts moved or exchanged."""
    (parent,) = among.parents(1)
    return edited(parent, among.generator)


def ring(among: Breeding) -> Mol | None:
    """A known ring system in place of one of a good molecule, as no small change makes indole of benzene."""
    (parent,) = among.parents(1)
    other = among.relatives.cuts(known_ring(among.generator))
    return reringed(parent, other, among.generator)


#: Those that need no policy.
OPERATORS: dict[Origin, Operator] = {
    "crossover": crossover,
    "recombination": recombination,
    "graft": graft,
    "edit": edit,
    "ring": ring,
}
#: Tries for each child that is wanted, at most.
_TRIES = 2


def children(
    name: Origin, n: int, among: Breeding, wanted: Callable[[str], bool], fits: Callable[[Mol], bool]
) -> dict[str, Mol]:
    """Up to n different molecules, by canonical SMILES, that one of OPERATORS makes and that are wanted.

    Args:
        wanted: asked of each once. fits: of those that are wanted.
    """
    operator = OPERATORS[name]
    found: dict[str, Mol] = {}
    seen = set[str]()
    for _ in range(_TRIES * n):
        if len(found) >= n:
            break
        child = operator(among)
        if child is None:
            continue
        smiles = to_smiles(child)
        if smiles not in seen and wanted(smiles) and fits(child):
            found[smiles] = child
        seen.add(smiles)
    return found
