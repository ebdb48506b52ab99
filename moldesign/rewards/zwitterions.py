"""Zwitterions."""

from __future__ import annotations

from pydantic import Field

from moldesign.chem.molecules import Mol
from moldesign.chem.zwitterions import is_zwitterion, would_be_zwitterion
from moldesign.rewards.entry import Entry
from moldesign.rewards.reward import Reward, per_molecule
from moldesign.rewards.shaping import Step
from moldesign.rewards.strict import Strict


class ZwitterionParameters(Strict):
    """Whether the charges must be written."""

    ionisable: bool = Field(
        False,
        description="also a molecule with an acid and a base that are both charged at pH 7.4, by estimated"
        " pKa, however they are written",
    )


def zwitterion(parameters: ZwitterionParameters) -> Reward:
    """1 where the molecule has charges of both signs that are no neighbours, else 0."""

    def value(mol: Mol) -> float:
        return float(is_zwitterion(mol) or (parameters.ionisable and would_be_zwitterion(mol)))

    return per_molecule(value)


ENTRIES: dict[str, Entry] = {
    "zwitterion": Entry(
        "1 for a zwitterion, else 0; shaped to 1 for any other molecule",
        "0 or 1",
        zwitterion,
        ZwitterionParameters,
        group="structure",
        direction="smaller",
        example={"ionisable": True},
        shaping=Step(high=0.0),
        cost_us=230,
    ),
}
