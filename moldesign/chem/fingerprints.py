"""Fingerprints, their similarity, and the nearest neighbour in a corpus."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from moldesign.chem.molecules import Mol, quiet_rdkit
from moldesign.files import atomic_write

#: ecfp4, ecfp6: Morgan, radius 2 and 3 (Rogers and Hahn, 2010). fcfp4, fcfp6: the same over pharmacophore
#: features. atom_pair: pairs of atoms at most 10 bonds apart (Carhart et al., 1985), as in GuacaMol.
Kind = Literal["ecfp4", "ecfp6", "fcfp4", "fcfp6", "atom_pair"]
KINDS: tuple[Kind, ...] = get_args(Kind)

BITS = 2048

#: An RDKit vector: sparse counts or BITS bits.
Fingerprint = Any


@cache
def _generator(kind: Kind) -> Any:
    if kind == "atom_pair":
        return rdFingerprintGenerator.GetAtomPairGenerator(maxDistance=10, fpSize=BITS)
    radius = int(kind[-1]) // 2
    if kind.startswith("fcfp"):
        features = rdFingerprintGenerator.GetMorganFeatureAtomInvGen()
        return rdFingerprintGenerator.GetMorganGenerator(
            radius=radius, fpSize=BITS, atomInvariantsGenerator=features
        )
    return rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=BITS)


def fingerprint(mol: Mol, kind: Kind = "ecfp4", *, counts: bool = True) -> Fingerprint:
    """The fingerprint of a molecule: unfolded counts, or BITS bits that say present or absent."""
    generator = _generator(kind)
    return generator.GetSparseCountFingerprint(mol) if counts else generator.GetFingerprint(mol)


def tanimoto(query: Fingerprint, others: Sequence[Fingerprint]) -> NDArray[np.float64]:
    """Tanimoto similarities (n,), 0 to 1, of one fingerprint to n others of the same kind.

    For counts a and b the sum of the smaller over the sum of the larger. Two empty ones give 0.
    """
    return np.asarray(DataStructs.BulkTanimotoSimilarity(query, list(others)), dtype=np.float64)


class NearestNeighbours:
    """The most similar molecule of a corpus, by ECFP4 bits.

    The corpus is read on the first query: half a minute to a minute for 500,000 molecules, 256 bytes
    each. With `cache`, a directory, it is read once and kept there.

    Args:
        smiles: the corpus. Written by RDKit in canonical form, unless `canonical` is False.
        canonical: lets the corpus be read without perceiving aromaticity anew, twice as fast.
        cache: where the fingerprints are kept, in a file named by the corpus.
    """

    #: Rows compared at a time: 1 MB of fingerprints, which stays in the processor's cache for all queries.
    BLOCK = 4096

    def __init__(self, smiles: Sequence[str], *, canonical: bool = True, cache: Path | None = None) -> None:
        self.smiles = smiles
        self._canonical = canonical
        self._cache = cache
        self._bits: NDArray[np.uint64] | None = None
        self._sizes: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.smiles)

    def query(self, mols: Sequence[Mol]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Index into the corpus (n,) of the nearest molecule of each, and its Tanimoto similarity (n,).

        The first of equally near ones. An empty corpus gives index -1 and similarity NaN. A line of
        the corpus that RDKit cannot read is near to nothing.
        """
        best = np.full(len(mols), -1, dtype=np.int64)
        similarity = np.full(len(mols), np.nan)
        if not len(self.smiles) or not len(mols):
            return best, similarity
        bits, sizes = self._fingerprints()
        queries = _pack([_generator("ecfp4").GetFingerprint(mol) for mol in mols])
        query_sizes = np.bitwise_count(queries).sum(axis=1, dtype=np.int32)
        similarity[:] = -1.0
        for start in range(0, len(bits), self.BLOCK):
            block, block_sizes = bits[start : start + self.BLOCK], sizes[start : start + self.BLOCK]
            for i, (query, size) in enumerate(zip(queries, query_sizes, strict=True)):
                common = np.bitwise_count(block & query).sum(axis=1, dtype=np.int32)
                ratio = common / np.maximum(block_sizes + size - common, 1)
                nearest = int(ratio.argmax())
                if ratio[nearest] > similarity[i]:
                    best[i], similarity[i] = start + nearest, ratio[nearest]
        return best, similarity

    def __call__(self, mols: Sequence[Mol]) -> tuple[list[str], NDArray[np.float64]]:
        """SMILES of the nearest molecule of each, `''` in an empty corpus, and its similarity."""
        index, similarity = self.query(mols)
        return ["" if i < 0 else self.smiles[i] for i in index], similarity

    def _fingerprints(self) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
        if self._bits is None or self._sizes is None:
            self._bits = self._load()
            self._sizes = np.bitwise_count(self._bits).sum(axis=1, dtype=np.int32)
        return self._bits, self._sizes

    def _load(self) -> NDArray[np.uint64]:
        if self._cache is None:
            return self._compute()
        digest = hashlib.sha256(f"ecfp4 {BITS} {self._canonical}\n".encode())
        for line in self.smiles:
            digest.update(f"{line}\n".encode())
        path = self._cache / f"{digest.hexdigest()[:32]}.npy"
        try:
            bits = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):  # absent or damaged
            bits = None
        if bits is not None and bits.shape == (len(self.smiles), BITS // 64) and bits.dtype == np.uint64:
            return np.asarray(bits)
        bits = self._compute()
        # A cache that cannot be written (a home that is read-only, a full disk) must not cost the results.
        with contextlib.suppress(OSError):
            self._cache.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as temporary:
                np.save(temporary, bits)
        return bits

    def _compute(self) -> NDArray[np.uint64]:
        quiet_rdkit()
        bits = np.zeros((len(self.smiles), BITS // 64), dtype=np.uint64)
        generator = _generator("ecfp4")
        for start in range(0, len(self.smiles), self.BLOCK):
            rows: list[int] = []
            found: list[Fingerprint] = []
            for row in range(start, min(start + self.BLOCK, len(self.smiles))):
                mol = _read(self.smiles[row], self._canonical)
                if mol is not None:
                    rows.append(row)
                    found.append(generator.GetFingerprint(mol))
            if rows:
                bits[rows] = _pack(found)
        return bits


def _read(smiles: str, canonical: bool) -> Mol | None:
    if not canonical:
        return Chem.MolFromSmiles(smiles)
    mol = Chem.MolFromSmiles(smiles, sanitize=False)
    if mol is not None:
        # What ECFP reads: hydrogens and ring membership. Aromatic atoms and bonds are in the text.
        mol.UpdatePropertyCache(strict=False)
        Chem.FastFindRings(mol)
    return mol


def _pack(fingerprints: Sequence[Fingerprint]) -> NDArray[np.uint64]:
    """Rows (n, BITS / 64) of the bits of n fingerprints."""
    text = b"".join(DataStructs.BitVectToBinaryText(found) for found in fingerprints)
    return np.frombuffer(text, dtype=np.uint64).reshape(len(fingerprints), BITS // 64)
