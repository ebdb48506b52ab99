"""Matched molecular pairs with reference molecules."""

from __future__ import annotations

from pydantic import Field

from moldesign.chem.molecules import read
from moldesign.chem.pairs import MatchedPairs
from moldesign.rewards.entry import Entry
from moldesign.rewards.fields import Smiles
from moldesign.rewards.reward import Reward, per_molecule
from moldesign.rewards.strict import Strict


class MatchedPairParameters(Strict):
    """References, and how much may change."""

    references: list[Smiles] = Field(min_length=1, description="SMILES of the reference molecules")
    max_change_atoms: int = Field(
        10, ge=1, description="heavy atoms that the exchanged substituent may have, before and after"
    )
    min_constant_atoms: int = Field(6, ge=1, description="heavy atoms that must stay")


def matched_pair(parameters: MatchedPairParameters) -> Reward:
    """1 where the molecule differs from a reference in one substituent (or hydrogen), else 0."""
    is_pair = MatchedPairs(
        [read(smiles) for smiles in parameters.references],
        max_change_atoms=parameters.max_change_atoms,
        min_constant_atoms=parameters.min_constant_atoms,
    )
    return per_molecule(lambda mol: float(is_pair(mol)))


ENTRIES: dict[str, Entry] = {
    "matched_pair": Entry(
        "1 where the molecule differs from a reference in one substituent, else 0",
        "0 or 1",
        matched_pair,
        MatchedPairParameters,
        group="structure",
        direction="larger",
        example={"references": ["CC(=O)Nc1ccc(O)cc1"]},
        unit_interval=True,
        cost_us=2000,
    ),
}
