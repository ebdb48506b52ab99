"""What a predictive model reads of a molecule: numbers in a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rdkit import DataStructs

from moldesign.chem.descriptors import rdkit_descriptor
from moldesign.chem.fingerprints import BITS, CIRCULAR, Kind, fingerprint
from moldesign.chem.molecules import Mol, read


class Features:
    """Rows (n, width) of features of n molecules: a fingerprint, RDKit's descriptors, or both.

    Args:
        kind: of the fingerprint, which comes first; None for none.
        counts: how often each feature of the fingerprint occurs, only for CIRCULAR kinds; False: whether it
            does, 0 or 1.
        bits: width of the fingerprint, only for CIRCULAR kinds.
        descriptors: RDKit's names, in the order of the columns.

    Raises:
        ValueError: no such descriptor; counts or bits of a kind that is not folded.
    """

    def __init__(
        self,
        kind: Kind | None,
        *,
        counts: bool = False,
        bits: int = BITS,
        descriptors: Sequence[str] = (),
    ) -> None:
        if kind is not None and kind not in CIRCULAR and (counts or bits != BITS):
            raise ValueError(f"fingerprint '{kind}' has bits of its own: leave counts and bits out")
        self._kind = kind
        self._counts = counts
        self._bits = 0
        if kind in CIRCULAR:
            self._bits = bits
        elif kind is not None:
            self._bits = fingerprint(read("C"), kind, counts=False).GetNumBits()
        self._descriptors = [rdkit_descriptor(name) for name in descriptors]
        self.width = self._bits + len(self._descriptors)

    def __call__(self, mols: Sequence[Mol]) -> NDArray[np.float64]:
        """Rows (n, width); NaN or infinity where a molecule has no value of a descriptor.

        Raises:
            ValueError: a molecule with too many features of the fingerprint to enumerate.
        """
        rows = np.zeros((len(mols), self.width))
        for row, mol in zip(rows, mols, strict=True):
            if self._kind is not None:
                row[: self._bits] = self._fingerprint(mol, self._kind)
            for i, descriptor in enumerate(self._descriptors, start=self._bits):
                row[i] = descriptor(mol)
        return rows

    def _fingerprint(self, mol: Mol, kind: Kind) -> NDArray[np.float64]:
        row = np.zeros(self._bits)
        if kind not in CIRCULAR:
            DataStructs.ConvertToNumpyArray(fingerprint(mol, kind, counts=False), row)
            return row
        for feature, count in fingerprint(mol, kind, counts=True).GetNonzeroElements().items():
            row[feature % self._bits] += count
        return row if self._counts else np.minimum(row, 1.0)
