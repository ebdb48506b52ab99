"""Where candidates come from: the operators that make new molecules of scored ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from moldesign.chem.edits import crossed, edited, recombined
from moldesign.search.archive import Archive
from moldesign.search.choices import Origin

#: A child of scored molecules, as canonical SMILES; None where nothing came of it.
Operator = Callable[[Archive, np.random.Generator], str | None]


def crossover(archive: Archive, generator: np.random.Generator) -> str | None:
    """Ends, or halves of a ring, of two molecules joined (Jensen 2019, graph-based genetic algorithm)."""
    first, second = (archive.parts(place) for place in archive.parents(2, generator))
    return crossed(first, second, generator)


def recombination(archive: Archive, generator: np.random.Generator) -> str | None:
    """Ends of two molecules at a link of a third."""
    return recombined([archive.parts(place) for place in archive.parents(3, generator)], generator)


def edit(archive: Archive, generator: np.random.Generator) -> str | None:
    """A molecule with one atom, one bond or one ring changed."""
    (place,) = archive.parents(1, generator)
    return edited(archive.mol(place), generator)


#: Those that need no policy.
OPERATORS: dict[Origin, Operator] = {"crossover": crossover, "recombination": recombination, "edit": edit}
#: Tries for each child that is wanted, at most.
_TRIES = 4


def children(
    name: Origin,
    n: int,
    archive: Archive,
    generator: np.random.Generator,
    wanted: Callable[[str], bool],
) -> list[str]:
    """Up to n different molecules that one of OPERATORS makes and that are wanted."""
    operator = OPERATORS[name]
    found: dict[str, None] = {}
    for _ in range(_TRIES * n):
        if len(found) >= n:
            break
        child = operator(archive, generator)
        if child is not None and child not in found and wanted(child):
            found[child] = None
    return list(found)
