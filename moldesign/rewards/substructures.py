"""Substructures wanted, unwanted or counted."""

from __future__ import annotations

from pydantic import Field, model_validator

from moldesign.chem.molecules import Mol
from moldesign.chem.substructures import count_matches, has_match, pattern
from moldesign.rewards.entry import Entry
from moldesign.rewards.fields import Smarts
from moldesign.rewards.reward import Reward, per_molecule
from moldesign.rewards.strict import Strict


class SubstructuresParameters(Strict):
    """SMARTS that a molecule must hold and must not hold."""

    required: list[Smarts] = Field([], description="SMARTS that must all be there")
    forbidden: list[Smarts] = Field([], description="SMARTS of which none may be there")

    @model_validator(mode="after")
    def _something(self) -> SubstructuresParameters:
        if not self.required and not self.forbidden:
            raise ValueError("give required or forbidden SMARTS")
        return self


def substructures(parameters: SubstructuresParameters) -> Reward:
    """1 where every required SMARTS matches and no forbidden one does, else 0."""
    required = [pattern(smarts) for smarts in parameters.required]
    forbidden = [pattern(smarts) for smarts in parameters.forbidden]

    def value(mol: Mol) -> float:
        fits = all(has_match(mol, query) for query in required)
        return float(fits and not any(has_match(mol, query) for query in forbidden))

    return per_molecule(value)


class SubstructureCountParameters(Strict):
    """SMARTS to count."""

    smarts: Smarts = Field(description="SMARTS to count")


def substructure_count(parameters: SubstructureCountParameters) -> Reward:
    """How often the SMARTS matches, each set of atoms once."""
    query = pattern(parameters.smarts)
    return per_molecule(lambda mol: float(count_matches(mol, query)))


ENTRIES: dict[str, Entry] = {
    "substructures": Entry(
        "1 where all required SMARTS are there and no forbidden one is, else 0",
        "0 or 1",
        substructures,
        SubstructuresParameters,
        group="structure",
        direction="larger",
        example={"required": ["[CX3](=O)[NX3]"], "forbidden": ["[N+](=O)[O-]"]},
        unit_interval=True,
        cost_us=10,
    ),
    "substructure_count": Entry(
        "Number of matches of a SMARTS",
        "count",
        substructure_count,
        SubstructureCountParameters,
        group="structure",
        example={"smarts": "[F]"},
        cost_us=5,
    ),
}
