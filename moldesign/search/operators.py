"""Where candidates come from: the operators that make new molecules of those that are bred from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from moldesign.chem.edits import crossed, edited, recombined
from moldesign.chem.molecules import Mol, to_smiles
from moldesign.search.brood import Brood
from moldesign.search.choices import Origin
from moldesign.search.relatives import Relatives

#: A child of a brood; None where nothing came of it.
Operator = Callable[[Brood, Relatives, np.random.Generator], Mol | None]


def crossover(brood: Brood, relatives: Relatives, generator: np.random.Generator) -> Mol | None:
    """Ends, or halves of a ring, of two molecules joined (Jensen 2019, graph-based genetic algorithm)."""
    first, second = (relatives.cuts(smiles) for smiles in brood.parents(2, generator))
    return crossed(first, second, generator)


def recombination(brood: Brood, relatives: Relatives, generator: np.random.Generator) -> Mol | None:
    """Ends of two molecules at a link of a third."""
    return recombined([relatives.cuts(smiles) for smiles in brood.parents(3, generator)], generator)


def edit(brood: Brood, relatives: Relatives, generator: np.random.Generator) -> Mol | None:
    """A molecule with one atom, one bond or one ring changed."""
    (smiles,) = brood.parents(1, generator)
    return edited(relatives.mol(smiles), generator)


#: Those that need no policy.
OPERATORS: dict[Origin, Operator] = {"crossover": crossover, "recombination": recombination, "edit": edit}
#: Tries for each child that is wanted, at most.
_TRIES = 2


def children(
    name: Origin,
    n: int,
    brood: Brood,
    relatives: Relatives,
    generator: np.random.Generator,
    wanted: Callable[[str], bool],
) -> dict[str, Mol]:
    """Up to n different molecules, by canonical SMILES, that one of OPERATORS makes and that are wanted."""
    operator = OPERATORS[name]
    found: dict[str, Mol] = {}
    for _ in range(_TRIES * n):
        if len(found) >= n:
            break
        child = operator(brood, relatives, generator)
        if child is None:
            continue
        smiles = to_smiles(child)
        if smiles not in found and wanted(smiles):
            found[smiles] = child
    return found
