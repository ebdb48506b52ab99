"""Similarity to one or several reference molecules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

from moldesign.chem.fingerprints import Kind, fingerprint, tanimoto
from moldesign.chem.molecules import InvalidMolecule, Mol, read
from moldesign.rewards.entry import Entry
from moldesign.rewards.reward import Reward, Values
from moldesign.rewards.strict import Strict

_AGGREGATIONS: dict[str, Callable[[Values], Any]] = {"max": np.max, "mean": np.mean, "min": np.min}


class SimilarityParameters(Strict):
    """References, fingerprint, and what is made of several similarities."""

    references: list[str] = Field(min_length=1, description="SMILES of the reference molecules")
    fingerprint: Kind = Field("ecfp4", description="ecfp4, ecfp6, fcfp4, fcfp6 or atom_pair")
    counts: bool = Field(True, description="unfolded counts; false: 2048 bits")
    aggregation: Literal["max", "mean", "min"] = Field("max", description="over the references")

    @field_validator("references")
    @classmethod
    def _readable(cls, references: list[str]) -> list[str]:
        for smiles in references:
            try:
                read(smiles)
            except InvalidMolecule as error:
                raise ValueError(f"reference {smiles!a} is no molecule: {error}") from None
        return references


def similarity(parameters: SimilarityParameters) -> Reward:
    """Tanimoto similarity, 0 to 1, to the references: the largest, mean or smallest over all of them."""
    kind, counts = parameters.fingerprint, parameters.counts
    references = [fingerprint(read(smiles), kind, counts=counts) for smiles in parameters.references]
    aggregate = _AGGREGATIONS[parameters.aggregation]

    def reward(mols: Sequence[Mol], /) -> Values:
        return np.array(
            [aggregate(tanimoto(fingerprint(mol, kind, counts=counts), references)) for mol in mols],
            dtype=np.float64,
        )

    return reward


ENTRIES: dict[str, Entry] = {
    "similarity": Entry(
        "Tanimoto similarity to one or several reference molecules",
        "0 to 1",
        similarity,
        SimilarityParameters,
        group="similarity",
        direction="larger",
        example={"references": ["CC(=O)Nc1ccc(O)cc1"]},
        unit_interval=True,
    ),
}
