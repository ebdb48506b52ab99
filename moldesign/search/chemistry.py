"""Whether a molecule is made of what known molecules are made of, and worth a chemist's second look."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from moldesign.chem import alerts
from moldesign.chem.environments import environments
from moldesign.chem.molecules import Mol
from moldesign.chem.rings import ring_systems
from moldesign.language.occurrences import shipped_occurrences
from moldesign.rewards.component import Component
from moldesign.rewards.objective import Objective

#: A ring system in fewer molecules of the shipped corpora is odd, as in the reward `ring_systems`.
KNOWN_RINGS = 10
#: An atom with such neighbours in fewer molecules is odd.
KNOWN_ENVIRONMENTS = 2


def is_known(mol: Mol) -> bool:
    """Whether the shipped corpora have each atom of a molecule with such neighbours, and each ring system."""
    # The environments first: they take a third of the time.
    return _common_environments().issuperset(environments(mol, "ecfp2")) and has_known_rings(mol)


def has_known_rings(mol: Mol) -> bool:
    """Whether the shipped corpora have all its ring systems."""
    known = shipped_occurrences("ring_systems")
    return all(known[ring] >= KNOWN_RINGS for ring in ring_systems(mol))


def known_ring(generator: np.random.Generator) -> str:
    """Canonical SMILES of a ring system of the shipped corpora, as often as the root of its occurrences: half
    of what is drawn is beyond the 300 commonest of 2,400.
    """
    names, weights = _common_rings()
    return names[int(np.searchsorted(weights, generator.random() * weights[-1], side="right"))]


@cache
def _common_rings() -> tuple[list[str], NDArray[np.float64]]:
    """Ring systems, and the running sum of their weights."""
    counts = shipped_occurrences("ring_systems").counts
    common = {name: count for name, count in counts.items() if count >= KNOWN_RINGS}
    return [*common], np.cumsum(np.sqrt([*common.values()]))


def is_sound(mol: Mol) -> bool:
    """Whether a molecule is known chemistry, and no PAINS or BRENK alert matches it."""
    return is_known(mol) and not alerts.has_alert(mol)


@cache
def _common_environments() -> frozenset[int]:
    counts = shipped_occurrences("environments").counts
    return frozenset(int(name) for name, count in counts.items() if count >= KNOWN_ENVIRONMENTS)


def strict(objective: Objective) -> Objective:
    """The objective that is 0 for alerts and odd ring systems; a filter that it has is not doubled."""
    there = {
        node.reward
        for node in objective.components
        if isinstance(node, Component) and node.role == "filter" and not node.parameters
    }
    filters = [
        Component(reward=name, role="filter", label=f"strict_{name}")
        for name in ("alerts", "ring_systems")
        if name not in there
    ]
    return Objective.model_validate({**dict(objective), "components": [*objective.components, *filters]})
