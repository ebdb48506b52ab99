"""Computed properties as rewards."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field, field_validator

from moldesign.chem import descriptors
from moldesign.chem.molecules import Mol
from moldesign.rewards.entry import Direction, Entry
from moldesign.rewards.reward import Reward, per_molecule
from moldesign.rewards.strict import Strict


class DescriptorParameters(Strict):
    """Which of RDKit's descriptors."""

    name: str = Field(description="name in RDKit's Chem.Descriptors, as MolWt, BalabanJ or fr_ester")

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        descriptors.rdkit_descriptor(name)
        return name


def descriptor(parameters: DescriptorParameters) -> Reward:
    """The two-dimensional descriptor that RDKit calls so; failed where it is NaN or infinite."""
    return per_molecule(descriptors.rdkit_descriptor(parameters.name))


def _entry(
    value: Callable[[Mol], float],
    unit: str,
    cost_us: float,
    *,
    direction: Direction = "between",
    unit_interval: bool = False,
) -> Entry:
    description = (value.__doc__ or "").strip().splitlines()[0].rstrip(".")
    return Entry(
        description,
        unit,
        lambda _: per_molecule(value),
        group="properties",
        direction=direction,
        unit_interval=unit_interval,
        cost_us=cost_us,
    )


ENTRIES: dict[str, Entry] = {
    "qed": _entry(descriptors.qed, "0 to 1", 230, direction="larger", unit_interval=True),
    "sa": _entry(descriptors.sa_score, "1 (easy) to 10", 170, direction="smaller"),
    "np_likeness": _entry(descriptors.np_likeness, "about -5 to 5", 120),
    "logp": _entry(descriptors.logp, "log10", 220),
    "penalised_logp": _entry(descriptors.penalised_logp, "log10", 400, direction="larger"),
    "tpsa": _entry(descriptors.tpsa, "square angstrom", 11),
    "mw": _entry(descriptors.mw, "g/mol", 3),
    "exact_mass": _entry(descriptors.exact_mass, "dalton", 3),
    "molar_refractivity": _entry(descriptors.molar_refractivity, "cm3/mol", 200),
    "hbd": _entry(descriptors.hbd, "count", 8),
    "hba": _entry(descriptors.hba, "count", 28),
    "rotatable_bonds": _entry(descriptors.rotatable_bonds, "count", 63),
    "max_consecutive_rotatable_bonds": _entry(descriptors.max_consecutive_rotatable_bonds, "count", 50),
    "rings": _entry(descriptors.rings, "count", 2),
    "aromatic_rings": _entry(descriptors.aromatic_rings, "count", 3),
    "aliphatic_rings": _entry(descriptors.aliphatic_rings, "count", 4),
    "largest_ring": _entry(descriptors.largest_ring, "atoms", 9),
    "macrocycles": _entry(descriptors.macrocycles, "count", 9),
    "spiro_atoms": _entry(descriptors.spiro_atoms, "count", 2),
    "bridgehead_atoms": _entry(descriptors.bridgehead_atoms, "count", 2),
    "fraction_sp3": _entry(descriptors.fraction_sp3, "0 to 1", 3, unit_interval=True),
    "sp_atoms": _entry(descriptors.sp_atoms, "count", 41),
    "sp2_atoms": _entry(descriptors.sp2_atoms, "count", 42),
    "sp3_atoms": _entry(descriptors.sp3_atoms, "count", 41),
    "heavy_atoms": _entry(descriptors.heavy_atoms, "count", 2),
    "hetero_atoms": _entry(descriptors.hetero_atoms, "count", 6),
    "stereocentres": _entry(descriptors.stereocentres, "count", 2),
    "formal_charge": _entry(descriptors.formal_charge, "elementary charges", 2),
    "graph_length": _entry(descriptors.graph_length, "bonds", 22),
    "bertz": _entry(descriptors.bertz, "bits", 210),
    "descriptor": Entry(
        "Any of RDKit's two-dimensional descriptors, by its name there",
        "that of the descriptor",
        descriptor,
        DescriptorParameters,
        group="properties",
        example={"name": "BalabanJ"},
        cost_us=500,
    ),
}
