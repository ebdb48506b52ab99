"""Circular atom environments, and which of them a corpus of molecules has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moldesign.chem.fingerprints import CircularKind, fingerprint
from moldesign.chem.molecules import Mol, quiet_rdkit, uncharged
from moldesign.chem.neighbours import kept, read_corpus_line, readable_as_written


class NotAMolecule(ValueError):
    """A line of a corpus that is no molecule; `index` is its place there."""

    def __init__(self, index: int) -> None:
        super().__init__(f"number {index} of the corpus is no molecule")
        self.index = index


def environments(mol: Mol, kind: CircularKind) -> set[int]:
    """Identifiers of the environments that a molecule, uncharged, has: at least one."""
    return set(fingerprint(uncharged(mol), kind, counts=True).GetNonzeroElements())


class Environments:
    """The circular environments of atoms that occur in a corpus: identifiers of a fingerprint, unfolded.

    Folded to 2048 bits, nearly every bit occurs in a corpus of some thousand molecules. Molecules are taken
    uncharged, since corpora differ in the protons that they write. The corpus is read at
    once: half a minute for 270,000 molecules. With `cache`, a directory, it is read once and kept there.

    Args:
        smiles: the corpus. Written by RDKit in canonical form, unless `canonical` is False.

    Raises:
        NotAMolecule: the first line of the corpus that RDKit cannot read.
    """

    def __init__(
        self,
        smiles: Sequence[str],
        *,
        kind: CircularKind = "ecfp4",
        canonical: bool = True,
        cache: Path | None = None,
    ) -> None:
        self._kind = kind
        canonical = canonical and readable_as_written(kind)

        def compute() -> NDArray[np.uint64]:
            quiet_rdkit()
            found: set[int] = set()
            for index, line in enumerate(smiles):
                # What has charges to take away is read in full.
                mol = read_corpus_line(line, canonical and "+" not in line and "-" not in line)
                if mol is None:
                    raise NotAMolecule(index)
                found.update(environments(mol, kind))
            return np.array(sorted(found), dtype=np.uint64)

        key = f"environments {kind} {canonical}"
        identifiers = kept(cache, key, smiles, compute, lambda array: array.ndim == 1)
        self._known = frozenset(identifiers.tolist())

    def __len__(self) -> int:
        return len(self._known)

    def unknown_share(self, mol: Mol) -> float:
        """Share, 0 to 1, of the different environments of the molecule that the corpus does not have."""
        found = environments(mol, self._kind)
        return len(found - self._known) / len(found)
