"""Similarity to the nearest of many molecules: like known actives, or unlike anything known."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from moldesign.assets import corpus_path, home, shipped
from moldesign.chem.molecules import Mol
from moldesign.chem.neighbours import CircularKind, NearestNeighbours
from moldesign.errors import DataError, UsageError
from moldesign.rewards.entry import Entry
from moldesign.rewards.references import References
from moldesign.rewards.reward import Values


class NearestNeighbourParameters(References):
    """Molecules to compare with, and how many of the nearest count."""

    k: int = Field(1, ge=1, description="how many of the nearest references the value is the mean over")
    fingerprint: CircularKind = Field(
        "ecfp4", description="ecfp2, ecfp4, ecfp6, ecfp8, fcfp2, fcfp4 or fcfp6; 2048 bits"
    )
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
        in_file = parameters.file is not None
        self._search = NearestNeighbours(
            [reference.smiles for reference in references],
            kind=parameters.fingerprint,
            canonical=not parameters.references and shipped(corpus_path(str(parameters.file))),
            cache=home() / "fingerprints" if in_file else None,
        )
        wrong = self._search.unreadable()
        if len(wrong):
            first = references[int(wrong[0])]
            more = f" (the first of {len(wrong)})" if len(wrong) > 1 else ""
            raise DataError(
                f"{first.place}: {first.smiles[:80]!a} is no molecule{more};"
                " clean the file with: moldesign corpora prepare"
            )

    def __call__(self, mols: Sequence[Mol], /) -> Values:
        _, similarity = self._search.nearest(mols, self._k)
        values: Values = similarity.mean(axis=1)
        return 1.0 - values if self._distance else values


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
}
