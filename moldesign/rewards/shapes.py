"""Likeness in three dimensions to a reference: overlays of shape and pharmacophore features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from moldesign.chem.conformers import embed
from moldesign.chem.molecules import Mol, read
from moldesign.chem.shapes import Method, Overlay, read_conformers
from moldesign.errors import UsageError
from moldesign.files import sha256
from moldesign.rewards.entry import Entry
from moldesign.rewards.fields import Smiles
from moldesign.rewards.reward import Values
from moldesign.rewards.strict import Strict

#: Seconds that RDKit may take for the conformers of one molecule; ten of a drug take a fifth of a second.
_EMBED_S = 30


class ShapeParameters(Strict):
    """The reference, the overlay, and the conformers that are tried."""

    file: str | None = Field(
        None, description=".sdf or .mol with conformers of one or several references; the most alike counts"
    )
    reference: Smiles | None = Field(
        None, description="SMILES of a reference, instead of a file; RDKit makes one conformer of it"
    )
    method: Method = Field("shape_align", description="shape_align or open3dalign")
    colour_weight: float | None = Field(
        None,
        ge=0,
        le=1,
        description="shape_align: weight of pharmacophore features, 0.5 if left out; the shape has the rest",
    )
    conformers: int = Field(10, ge=1, le=100, description="conformers of each molecule; the best counts")
    seed: int = Field(0, ge=0, le=2**31 - 3, description="fixes the conformers")

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if (self.file is None) == (self.reference is None):
            raise ValueError("give either a file or a reference")
        if self.method == "open3dalign" and self.colour_weight is not None:
            raise ValueError("colour_weight belongs to shape_align: open3dalign scores the shape alone")
        return self


class ShapeSimilarity:
    """Similarity of shape, 0 to 1: the best over the conformers of the molecule and over the references.

    Failed: a molecule without a conformer (moldesign.chem.conformers.embed says when).

    Raises:
        DataError: a file that holds no conformers in three dimensions.
        UsageError: a reference without shape or colour.

    Attributes:
        fingerprint: what identifies the file of the reference, for a cache of scores.
    """

    def __init__(self, parameters: ShapeParameters) -> None:
        self._parameters = parameters
        self.fingerprint = ""
        weight = 0.5 if parameters.colour_weight is None else parameters.colour_weight
        if parameters.file is not None:
            path = Path(parameters.file)
            references = {
                f"{path}, molecule {number}": mol for number, mol in enumerate(read_conformers(path), start=1)
            }
            self.fingerprint = sha256(path)
        else:
            smiles = str(parameters.reference)
            references = {}
            try:
                references[f"reference '{smiles}'"] = self._embed(read(smiles), 1)
            except ValueError as error:
                raise UsageError(f"reference '{smiles}': {error}") from None
        self._overlays = []
        for place, mol in references.items():
            try:
                self._overlays.append(Overlay(mol, parameters.method, colour_weight=weight))
            except ValueError as error:
                raise UsageError(f"{place}: {error}") from None

    def __call__(self, mols: Sequence[Mol], /) -> Values:
        return np.array([self._value(mol) for mol in mols], dtype=np.float64)

    def _value(self, mol: Mol) -> float:
        embedded = self._embed(mol, self._parameters.conformers)
        return max(overlay.similarity(embedded) for overlay in self._overlays)

    def _embed(self, mol: Mol, n: int) -> Mol:
        return embed(mol, n=n, seed=self._parameters.seed, timeout_s=_EMBED_S)


ENTRIES: dict[str, Entry] = {
    "shape_similarity": Entry(
        "Likeness of shape and pharmacophore features in three dimensions to a reference conformer",
        "0 to 1",
        ShapeSimilarity,
        ShapeParameters,
        group="similarity",
        direction="larger",
        example={"reference": "CC(=O)Nc1ccc(O)cc1", "conformers": 3},
        unit_interval=True,
        # Of ten conformers, nearly all of it for making them.
        cost_us=170_000,
        limit_s=60.0,
        isolated=True,
        cached=True,
    ),
}
