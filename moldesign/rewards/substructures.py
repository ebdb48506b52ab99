"""Substructures wanted, unwanted or counted, and structural alerts."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from moldesign.chem import alerts
from moldesign.chem.molecules import Mol
from moldesign.chem.substructures import count_matches, has_match, pattern
from moldesign.rewards.entry import Entry
from moldesign.rewards.reward import Reward, per_molecule
from moldesign.rewards.shaping import Step
from moldesign.rewards.strict import Strict


def _parsing(smarts: list[str]) -> list[str]:
    for one in smarts:
        pattern(one)
    return smarts


class SubstructuresParameters(Strict):
    """SMARTS that a molecule must hold and must not hold."""

    required: list[str] = Field([], description="SMARTS that must all be there")
    forbidden: list[str] = Field([], description="SMARTS of which none may be there")

    _parse = field_validator("required", "forbidden")(_parsing)

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

    smarts: str = Field(description="SMARTS to count")

    @field_validator("smarts")
    @classmethod
    def _parse(cls, smarts: str) -> str:
        pattern(smarts)
        return smarts


def substructure_count(parameters: SubstructureCountParameters) -> Reward:
    """How often the SMARTS matches, each set of atoms once."""
    query = pattern(parameters.smarts)
    return per_molecule(lambda mol: float(count_matches(mol, query)))


class AlertsParameters(Strict):
    """Which collections of alerts."""

    collections: list[alerts.Collection] = Field(
        list(alerts.COLLECTIONS), min_length=1, description="PAINS, BRENK or both"
    )


def structural_alerts(parameters: AlertsParameters) -> Reward:
    """Number of different alerts that the molecule raises."""
    collections = tuple(dict.fromkeys(parameters.collections))
    return per_molecule(lambda mol: float(len(alerts.matches(mol, collections))))


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
    ),
    "substructure_count": Entry(
        "Number of matches of a SMARTS",
        "count",
        substructure_count,
        SubstructureCountParameters,
        group="structure",
        example={"smarts": "[F]"},
    ),
    "alerts": Entry(
        "Number of PAINS and BRENK structural alerts; shaped to 1 without any, else 0",
        "count",
        structural_alerts,
        AlertsParameters,
        group="structure",
        direction="smaller",
        shaping=Step(high=0.0),
    ),
}
