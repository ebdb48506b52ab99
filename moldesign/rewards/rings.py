"""Ring systems, common or rare among known drug-like molecules."""

from __future__ import annotations

import math

from pydantic import Field

from moldesign.chem.molecules import Mol
from moldesign.chem.rings import ring_systems
from moldesign.language.occurrences import shipped_occurrences
from moldesign.rewards.entry import Entry, NoParameters
from moldesign.rewards.reward import Reward, per_molecule
from moldesign.rewards.shaping import Step
from moldesign.rewards.strict import Strict


class RareRingSystemsParameters(Strict):
    """What is rare."""

    min_count: int = Field(
        10, ge=1, description="a ring system in fewer molecules of the shipped corpora is rare; 1: in none"
    )


def rare_ring_systems(parameters: RareRingSystemsParameters) -> Reward:
    """Number of ring systems that fewer than `min_count` molecules of the shipped corpora hold."""
    known = shipped_occurrences("ring_systems")

    def value(mol: Mol) -> float:
        return float(sum(known[system] < parameters.min_count for system in ring_systems(mol)))

    return per_molecule(value)


def ring_rarity(_: NoParameters) -> Reward:
    """log10(1 + n), n the molecules of the shipped corpora that hold the molecule's rarest ring system.

    0 for a ring system that is nowhere there. A molecule without rings has none that is rare: all the
    molecules of the corpora count for it.
    """
    known = shipped_occurrences("ring_systems")

    def value(mol: Mol) -> float:
        return math.log10(1 + min((known[system] for system in ring_systems(mol)), default=known.molecules))

    return per_molecule(value)


ENTRIES: dict[str, Entry] = {
    "ring_systems": Entry(
        "Number of ring systems that are rare among drug-like molecules; shaped to 1 without any, else 0",
        "count",
        rare_ring_systems,
        RareRingSystemsParameters,
        group="structure",
        direction="smaller",
        example={"min_count": 10},
        shaping=Step(high=0.0),
        cost_us=450,
    ),
    "ring_rarity": Entry(
        "Logarithm of how many drug-like molecules hold the molecule's rarest ring system",
        "log10(1 + count)",
        ring_rarity,
        group="structure",
        direction="larger",
        cost_us=450,
    ),
}
