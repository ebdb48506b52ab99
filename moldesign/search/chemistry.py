"""Whether a molecule is one that a chemist would look at twice."""

from __future__ import annotations

from functools import lru_cache

from moldesign.chem import alerts
from moldesign.chem.molecules import reread
from moldesign.chem.rings import ring_systems
from moldesign.language.ring_systems import shipped_counts
from moldesign.rewards.component import Component
from moldesign.rewards.objective import Objective

#: A ring system in fewer molecules of the shipped corpora is odd, as in the reward `ring_systems`.
KNOWN_RINGS = 10


@lru_cache(maxsize=50_000)
def is_sound(smiles: str) -> bool:
    """Whether no PAINS or BRENK alert matches a molecule and all its ring systems are known chemistry.

    Args:
        smiles: canonical, as RDKit wrote it.
    """
    mol = reread(smiles)
    known = shipped_counts()
    return all(known[ring] >= KNOWN_RINGS for ring in ring_systems(mol)) and not alerts.has_alert(mol)


def strict(objective: Objective) -> Objective:
    """The objective that is 0 for molecules that are not sound; a filter that it has is not doubled."""
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
