"""The shape of a molecule in three dimensions as rewards."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import Field

from moldesign.chem import conformers
from moldesign.chem.molecules import Mol
from moldesign.rewards.entry import Direction, Entry
from moldesign.rewards.reward import Reward, per_molecule
from moldesign.rewards.strict import Strict


class ConformerParameters(Strict):
    """How the structures are made whose values are averaged."""

    conformers: int = Field(
        1, ge=1, le=50, description="conformers to make; the value is the mean over those that RDKit finds"
    )
    seed: int = Field(0, ge=0, le=2**31 - 3, description="fixes the conformers")


def shape(value: Callable[[Mol, int], float]) -> Callable[[ConformerParameters], Reward]:
    """The builder of a reward: the mean of a value of one conformer, by its number, over all conformers.

    Failed: a molecule without a conformer (moldesign.chem.conformers.embed says when).
    """

    def build(parameters: ConformerParameters) -> Reward:
        def mean(mol: Mol) -> float:
            embedded = conformers.embed(mol, n=parameters.conformers, seed=parameters.seed)
            return float(np.mean([value(embedded, one.GetId()) for one in embedded.GetConformers()]))

        return per_molecule(mean)

    return build


def _entry(
    value: Callable[[Mol, int], float],
    unit: str,
    *,
    direction: Direction = "between",
    unit_interval: bool = False,
) -> Entry:
    description = (value.__doc__ or "").strip().splitlines()[0].rstrip(".")
    return Entry(
        description,
        unit,
        shape(value),
        ConformerParameters,
        group="shape",
        direction=direction,
        example={"conformers": 3},
        unit_interval=unit_interval,
        cost_us=30_000,
        limit_s=30.0,
        isolated=True,
        cached=True,
    )


ENTRIES: dict[str, Entry] = {
    "npr1": _entry(conformers.npr1, "0 to 1", unit_interval=True),
    "npr2": _entry(conformers.npr2, "1/2 to 1", unit_interval=True),
    "pmi1": _entry(conformers.pmi1, "dalton square angstrom"),
    "pmi2": _entry(conformers.pmi2, "dalton square angstrom"),
    "pmi3": _entry(conformers.pmi3, "dalton square angstrom"),
    "plane_of_best_fit": _entry(conformers.plane_of_best_fit, "angstrom"),
    "asphericity": _entry(conformers.asphericity, "0 to 1", unit_interval=True),
    "eccentricity": _entry(conformers.eccentricity, "0 to 1", unit_interval=True),
    "spherocity": _entry(conformers.spherocity, "0 to 1", unit_interval=True),
    "radius_of_gyration": _entry(conformers.radius_of_gyration, "angstrom"),
    "mol_volume": _entry(conformers.mol_volume, "cubic angstrom"),
}
