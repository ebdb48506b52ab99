"""Scaffolds that a molecule has or holds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from moldesign.chem.molecules import Mol, read
from moldesign.chem.scaffolds import core_query, generic, murcko
from moldesign.chem.substructures import has_match
from moldesign.rewards.entry import Entry
from moldesign.rewards.fields import Smiles
from moldesign.rewards.reward import Reward, per_molecule
from moldesign.rewards.strict import Strict


class ScaffoldParameters(Strict):
    """Scaffolds, and how a molecule is compared with them."""

    scaffolds: list[Smiles] = Field(
        min_length=1,
        description="SMILES; of a whole molecule its Murcko scaffold is taken, except to contain",
    )
    mode: Literal["equals", "generic_equals", "contains"] = Field(
        "equals",
        description="equals: the same Murcko scaffold; generic_equals: the same graph of it, whatever atoms"
        " and bonds; contains: the SMILES as it stands is a substructure, * any atom but hydrogen",
    )

    @model_validator(mode="after")
    def _scaffolds(self) -> ScaffoldParameters:
        for smiles in self.scaffolds:
            if self.mode != "contains" and not murcko(read(smiles)):
                raise ValueError(f'scaffold {smiles!a} has no ring; use mode = "contains" for a chain')
        return self


def scaffold(parameters: ScaffoldParameters) -> Reward:
    """1 where the molecule has, or holds, any of the scaffolds, else 0. Stereo does not count."""
    given = [read(smiles) for smiles in parameters.scaffolds]
    if parameters.mode == "contains":
        queries = [core_query(mol) for mol in given]
        return per_molecule(lambda mol: float(any(has_match(mol, query) for query in queries)))
    reduced = murcko if parameters.mode == "equals" else generic
    wanted = {reduced(mol) for mol in given}

    def value(mol: Mol) -> float:
        return float(reduced(mol) in wanted)

    return per_molecule(value)


ENTRIES: dict[str, Entry] = {
    "scaffold": Entry(
        "1 where the molecule has or contains one of the scaffolds, else 0",
        "0 or 1",
        scaffold,
        ScaffoldParameters,
        group="structure",
        direction="larger",
        example={"scaffolds": ["c1ccc2[nH]ccc2c1"], "mode": "contains"},
        unit_interval=True,
        cost_us=100,
    ),
}
