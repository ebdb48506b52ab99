"""Similarity to one or several reference molecules, or to their scaffolds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from moldesign.chem.fingerprints import (
    BITS_ONLY,
    KINDS,
    MEASURES,
    Fingerprint,
    Kind,
    Measure,
    fingerprint,
    is_empty,
    similarities,
)
from moldesign.chem.molecules import Mol, read
from moldesign.chem.scaffolds import generic, murcko
from moldesign.errors import UsageError
from moldesign.rewards.entry import Entry
from moldesign.rewards.references import Reference, References
from moldesign.rewards.reward import Values

_AGGREGATIONS: dict[str, Callable[[Values], Any]] = {"max": np.max, "mean": np.mean, "min": np.min}


class SimilarityParameters(References):
    """References, fingerprint, measure, and what is made of several similarities."""

    fingerprint: Kind = Field("ecfp4", description=f"one of {', '.join(KINDS)}")
    counts: bool | None = Field(
        None,
        description="true: counts; false: bits. If left out, counts of the kinds that have them: all but"
        f" {', '.join(kind for kind in KINDS if kind in BITS_ONLY)}",
    )
    measure: Measure = Field("tanimoto", description=f"one of {', '.join(MEASURES)}")
    alpha: float | None = Field(None, ge=0, description="tversky: weight of what only the molecule has")
    beta: float | None = Field(None, ge=0, description="tversky: weight of what only the reference has")
    aggregation: Literal["max", "mean", "min"] = Field("max", description="over the references")
    distance: bool = Field(False, description="true: 1 - similarity, which leads away from the references")

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.counts and self.fingerprint in BITS_ONLY:
            raise ValueError(f"fingerprint '{self.fingerprint}' has only bits: leave counts out")
        if self.measure == "tversky":
            if self.alpha is None or self.beta is None:
                raise ValueError("tversky needs alpha and beta")
            if self.alpha == self.beta == 0:
                raise ValueError("alpha and beta cannot both be 0: everything would be alike")
        elif self.alpha is not None or self.beta is not None:
            raise ValueError(f"alpha and beta belong to tversky, not to {self.measure}")
        return self


class ScaffoldSimilarityParameters(SimilarityParameters):
    """As for similarity, between scaffolds."""

    generic: bool = Field(
        False, description="compare graphs of the scaffolds: every atom carbon, every bond single"
    )


class Similarity:
    """Similarities, 0 to 1, of parts of molecules to the same parts of the references.

    Args:
        part: what is compared of a molecule; None where it has no such part. Two that have none are alike, 1;
            one that has it and one that has not are not, 0.

    Raises:
        UsageError: a reference of which the fingerprint cannot be computed, or has no feature.
        DataError: a file of references that cannot be read.

    Attributes:
        fingerprint: what identifies the file of references, for a cache of scores.
    """

    def __init__(self, parameters: SimilarityParameters, part: Callable[[Mol], Mol | None]) -> None:
        references = parameters.read()
        self.fingerprint = parameters.digest()
        self._parameters = parameters
        self._part = part
        self._aggregate = _AGGREGATIONS[parameters.aggregation]
        self._weights = (
            {}
            if parameters.alpha is None or parameters.beta is None
            else {"alpha": parameters.alpha, "beta": parameters.beta}
        )
        vectors = [self._of_reference(reference) for reference in references]
        self._without = np.array([vector is None for vector in vectors])
        self._vectors = [vector for vector in vectors if vector is not None]

    def __call__(self, mols: Sequence[Mol], /) -> Values:
        values = np.array([self._aggregate(self._to_each(mol)) for mol in mols], dtype=np.float64)
        return 1.0 - values if self._parameters.distance else values

    def _to_each(self, mol: Mol) -> Values:
        vector = self._vector(mol)
        if vector is None:
            return self._without.astype(np.float64)
        values = np.zeros(len(self._without))
        values[~self._without] = similarities(
            vector, self._vectors, self._parameters.measure, **self._weights
        )
        return values

    def _vector(self, mol: Mol) -> Fingerprint | None:
        part = self._part(mol)
        if part is None:
            return None
        return fingerprint(part, self._parameters.fingerprint, counts=self._parameters.counts)

    def _of_reference(self, reference: Reference) -> Fingerprint | None:
        try:
            vector = self._vector(read(reference.smiles))
        except ValueError as error:
            raise UsageError(f"{reference.place}: {error}") from None
        if vector is not None and is_empty(vector):
            kind = self._parameters.fingerprint
            raise UsageError(f"{reference.place}: has no feature for fingerprint '{kind}' to find")
        return vector


def similarity(parameters: SimilarityParameters) -> Similarity:
    """Similarity, 0 to 1, to the references: the largest, mean or smallest over all of them.

    A molecule without any feature of the fingerprint has similarity 0.
    """
    return Similarity(parameters, lambda mol: mol)


def scaffold_similarity(parameters: ScaffoldSimilarityParameters) -> Similarity:
    """Similarity, 0 to 1, of the Murcko scaffold to those of the references.

    Of an acyclic molecule 1 to an acyclic reference, 0 to any other; stereo does not count.
    """
    reduced = generic if parameters.generic else murcko

    def scaffold(mol: Mol) -> Mol | None:
        smiles = reduced(mol)
        return read(smiles) if smiles else None

    return Similarity(parameters, scaffold)


ENTRIES: dict[str, Entry] = {
    "similarity": Entry(
        "Similarity to one or several reference molecules",
        "0 to 1",
        similarity,
        SimilarityParameters,
        group="similarity",
        direction="larger",
        example={"references": ["CC(=O)Nc1ccc(O)cc1"]},
        unit_interval=True,
        cost_us=60,
    ),
    "scaffold_similarity": Entry(
        "Similarity of the Murcko scaffold to those of reference molecules",
        "0 to 1",
        scaffold_similarity,
        ScaffoldSimilarityParameters,
        group="similarity",
        direction="larger",
        example={"references": ["O=C(Nc1ccccc1)c1cc2ccccc2[nH]1"]},
        unit_interval=True,
        cost_us=300,
    ),
}
