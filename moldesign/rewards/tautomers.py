"""Tautomers that nobody would draw."""

from __future__ import annotations

from moldesign.chem.tautomers import shortfall
from moldesign.rewards.entry import Entry, NoParameters
from moldesign.rewards.reward import Reward, per_molecule
from moldesign.rewards.shaping import Step


def unwanted_tautomer(_: NoParameters) -> Reward:
    """Points of RDKit's tautomer score by which the best tautomer beats the molecule as written."""
    return per_molecule(shortfall)


ENTRIES: dict[str, Entry] = {
    "unwanted_tautomer": Entry(
        "Points of tautomer score by which another tautomer is better; shaped to 1 up to one point, else 0",
        "points",
        unwanted_tautomer,
        group="structure",
        direction="smaller",
        shaping=Step(high=1.0),
        limit_s=20.0,
        isolated=True,
        cached=True,
        cost_us=1800,
    ),
}
