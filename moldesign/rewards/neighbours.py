"""How a molecule lies to many others: near to known actives, unlike anything known, made of known parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from moldesign.assets import corpus_path, home, shipped
from moldesign.chem.environments import Environments, NotAMolecule
from moldesign.chem.fingerprints import CIRCULAR, CircularKind
from moldesign.chem.molecules import Mol
from moldesign.chem.neighbours import NearestNeighbours
from moldesign.errors import DataError, UsageError
from moldesign.rewards.entry import Entry
from moldesign.rewards.references import Reference, References
from moldesign.rewards.reward import Values
from moldesign.rewards.shaping import Linear


class NearestNeighbourParameters(References):
    """Molecules to compare with, and how many of the nearest count."""

    k: int = Field(1, ge=1, description="how many of the nearest references the value is the mean over")
    fingerprint: CircularKind = Field("ecfp4", description=f"one of {', '.join(CIRCULAR)}; 2048 bits")
    distance: bool = Field(False, description="true: 1 - similarity, the novelty against the references")


class NearestNeighbour:
    """Mean Tanimoto similarity, 0 to 1, to the k nearest references.

    Fingerprints of a file are computed once, a second for 4,000 molecules, and kept in the cache folder.

    Raises:
        UsageError: fewer than k references.
        DataError: a file that cannot be read, or a line of it that is no molecule.

    Attributes:
        fingerprint: what identifies the file of references, for a cache of scores.
    """

    def __init__(self, parameters: NearestNeighbourParameters) -> None:
        self._k, self._distance = parameters.k, parameters.distance
        references = parameters.read()
        self.fingerprint = parameters.digest()
        if len(references) < parameters.k:
            raise UsageError(f"k = {parameters.k} nearest of {len(references)} references")
        self._search = NearestNeighbours(
            [reference.smiles for reference in references],
            kind=parameters.fingerprint,
            canonical=_canonical(parameters),
            cache=_cache(parameters),
        )
        wrong = self._search.unreadable()
        if len(wrong):
            more = f" (the first of {len(wrong)})" if len(wrong) > 1 else ""
            raise _no_molecule(references[int(wrong[0])], more)

    def __call__(self, mols: Sequence[Mol], /) -> Values:
        _, similarity = self._search.nearest(mols, self._k)
        values: Values = similarity.mean(axis=1)
        return 1.0 - values if self._distance else values


class UnusualBitsParameters(References):
    """Molecules of which the environments are known."""

    file: str | None = Field(
        None,
        description="file of reference molecules (.smi, .csv, ...), or the name of a corpus; chembl_sample if"
        " no references are given either",
    )
    fingerprint: CircularKind = Field("ecfp4", description=f"one of {', '.join(CIRCULAR)}; unfolded")

    @model_validator(mode="before")
    @classmethod
    def _chembl(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and not {"references", "file"} & data.keys():
            return {**data, "file": "chembl_sample"}
        return data


class UnusualBits:
    """Share, 0 to 1, of the different bits of a molecule that no reference has.

    A bit is an atom with what is around it, and what no molecule of a large corpus has is often unstable or
    cannot be made. What Walters called silly walks (github.com/PatWalters/silly_walks), with unfolded
    fingerprints in place of 2048 bits, nearly all of which occur. Charges that protons
    explain do not count. The bits of a file are found once, half a
    minute for 270,000 molecules, and kept in the cache folder.

    Raises:
        DataError: a file that cannot be read, or a line of it that is no molecule.

    Attributes:
        fingerprint: what identifies the file of references, for a cache of scores.
    """

    def __init__(self, parameters: UnusualBitsParameters) -> None:
        references = parameters.read()
        self.fingerprint = parameters.digest()
        try:
            self._environments = Environments(
                [reference.smiles for reference in references],
                kind=parameters.fingerprint,
                canonical=_canonical(parameters),
                cache=_cache(parameters),
            )
        except NotAMolecule as error:
            raise _no_molecule(references[error.index]) from None

    def __call__(self, mols: Sequence[Mol], /) -> Values:
        return np.array([self._environments.unknown_share(mol) for mol in mols], dtype=np.float64)


def _canonical(parameters: References) -> bool:
    """Whether RDKit wrote all the references."""
    return not parameters.references and shipped(corpus_path(str(parameters.file)))


def _cache(parameters: References) -> Path | None:
    """Where what is computed of the references is kept; None where they are no file."""
    return None if parameters.file is None else home() / "fingerprints"


def _no_molecule(reference: Reference, more: str = "") -> DataError:
    return DataError(
        f"{reference.place}: {reference.smiles[:80]!a} is no molecule{more};"
        " clean the file with: moldesign corpora prepare"
    )


ENTRIES: dict[str, Entry] = {
    "nearest_neighbour": Entry(
        "Similarity to the nearest of many molecules, or the mean over the k nearest",
        "0 to 1",
        NearestNeighbour,
        NearestNeighbourParameters,
        group="similarity",
        direction="larger",
        example={"references": ["CC(=O)Nc1ccc(O)cc1", "CC(=O)Oc1ccccc1C(=O)O"]},
        unit_interval=True,
        # Of 100,000 references; it grows with their number.
        cost_us=4_500,
    ),
    "unusual_bits": Entry(
        "Share of a molecule's circular fingerprint bits that no molecule of a corpus has",
        "0 to 1",
        UnusualBits,
        UnusualBitsParameters,
        group="similarity",
        direction="smaller",
        example={"references": ["CC(=O)Nc1ccc(O)cc1", "CC(=O)Oc1ccccc1C(=O)O"]},
        unit_interval=True,
        shaping=Linear(zero=0.3, one=0.0),
        cost_us=80,
    ),
}
