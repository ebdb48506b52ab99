"""The nearest molecules of a corpus."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, DataStructs

from moldesign.chem.fingerprints import BITS, CircularKind, Fingerprint, fingerprint
from moldesign.chem.molecules import Mol, parse, quiet_rdkit
from moldesign.files import atomic_write, make_folder, open_to_all


class NearestNeighbours:
    """The most similar molecules of a corpus: Tanimoto similarity of circular fingerprints of BITS bits.

    The corpus is read on the first query: one to two and a half minutes for 500,000 molecules, 256
    bytes each. With `cache`, a directory, it is read once and kept there.

    Args:
        smiles: the corpus. Written by RDKit in canonical form, unless `canonical` is False.
        kind: the fingerprint.
        canonical: lets the corpus be read without perceiving aromaticity anew, twice as fast. Only for ecfp.
        cache: where the fingerprints are kept, in a file named by the corpus.
    """

    #: Molecules compared at a time: 1 MB of fingerprints, which stays in the processor's cache.
    BLOCK = 4096

    def __init__(
        self,
        smiles: Sequence[str],
        *,
        kind: CircularKind = "ecfp4",
        canonical: bool = True,
        cache: Path | None = None,
    ) -> None:
        self.smiles = smiles
        self._kind = kind
        self._canonical = canonical and readable_as_written(kind)
        self._cache = cache
        self._words: NDArray[np.uint64] | None = None
        self._sizes: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.smiles)

    def nearest(
        self, mols: Sequence[Mol | Fingerprint], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Indices into the corpus (n, k) of the k nearest molecules of each, and their similarities (n, k).

        The nearest first; of equally near ones, that which comes first in the corpus. A line of the corpus
        that RDKit cannot read is near to nothing.

        Args:
            mols: molecules, or bits that `fingerprint` made of them, of the kind of this search.

        Raises:
            ValueError: the corpus has fewer than k molecules.
        """
        if not 1 <= k <= len(self.smiles):
            raise ValueError(f"no {k} nearest of {len(self.smiles)} molecules")
        best = np.zeros((len(mols), k), dtype=np.int64)
        similarity = np.full((len(mols), k), -1.0)
        if not len(mols):
            return best, similarity
        words, sizes = self._fingerprints()
        queries = _pack(
            [fingerprint(mol, self._kind, counts=False) if isinstance(mol, Mol) else mol for mol in mols]
        )
        query_sizes = np.bitwise_count(queries).sum(axis=1, dtype=np.int32)
        for start in range(0, len(sizes), self.BLOCK):
            block, block_sizes = words[:, start : start + self.BLOCK], sizes[start : start + self.BLOCK]
            for i, (query, size) in enumerate(zip(queries, query_sizes, strict=True)):
                common = (
                    np.bitwise_count(block & query[:, None]).sum(axis=0, dtype=np.uint16).astype(np.int32)
                )
                ratio = common / np.maximum(block_sizes + size - common, 1)
                nearer = np.flatnonzero(ratio > similarity[i, -1])
                if len(nearer):
                    values = np.concatenate([similarity[i], ratio[nearer]])
                    order = np.argsort(-values, kind="stable")[:k]
                    similarity[i] = values[order]
                    best[i] = np.concatenate([best[i], start + nearer])[order]
        return best, similarity

    def query(self, mols: Sequence[Mol | Fingerprint]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Index into the corpus (n,) of the nearest molecule of each, and its Tanimoto similarity (n,).

        The first of equally near ones. An empty corpus gives index -1 and similarity NaN.
        """
        if not len(self.smiles):
            return np.full(len(mols), -1, dtype=np.int64), np.full(len(mols), np.nan)
        best, similarity = self.nearest(mols, 1)
        return best[:, 0], similarity[:, 0]

    def __call__(self, mols: Sequence[Mol | Fingerprint]) -> tuple[list[str], NDArray[np.float64]]:
        """SMILES of the nearest molecule of each, `''` in an empty corpus, and its similarity."""
        index, similarity = self.query(mols)
        return ["" if i < 0 else self.smiles[i] for i in index], similarity

    def unreadable(self) -> NDArray[np.int64]:
        """Indices of what in the corpus is no molecule. Reads the corpus."""
        return np.flatnonzero(self._fingerprints()[1] == 0)

    def _fingerprints(self) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
        """Words of 64 bits (BITS / 64, N) of the N molecules of the corpus, and the bits set in each (N,)."""
        if self._words is None or self._sizes is None:
            # A word of all molecules lies together: sums over words are then twice as fast as along rows.
            self._words = np.ascontiguousarray(self._load().T)
            self._sizes = np.bitwise_count(self._words).sum(axis=0, dtype=np.int32)
        return self._words, self._sizes

    def _load(self) -> NDArray[np.uint64]:
        shape = (len(self.smiles), BITS // 64)
        key = f"{self._kind} {BITS} {self._canonical}"
        return kept(self._cache, key, self.smiles, self._compute, lambda bits: bits.shape == shape)

    def _compute(self) -> NDArray[np.uint64]:
        quiet_rdkit()
        bits = np.zeros((len(self.smiles), BITS // 64), dtype=np.uint64)
        for start in range(0, len(self.smiles), self.BLOCK):
            rows: list[int] = []
            found: list[Fingerprint] = []
            for row in range(start, min(start + self.BLOCK, len(self.smiles))):
                mol = read_corpus_line(self.smiles[row], self._canonical)
                if mol is not None:
                    rows.append(row)
                    found.append(fingerprint(mol, self._kind, counts=False))
            if rows:
                bits[rows] = _pack(found)
        return bits


def kept(
    cache: Path | None,
    key: str,
    smiles: Sequence[str],
    compute: Callable[[], NDArray[np.uint64]],
    valid: Callable[[NDArray[Any]], bool],
) -> NDArray[np.uint64]:
    """What is computed of a corpus, from the file that holds it or, without one, kept in one then.

    Args:
        cache: the folder of the file; None, or one that every user may write to: nothing is kept.
        key: all that the result depends on but the corpus.
        valid: whether what the file holds can be the result.
    """
    if cache is None or open_to_all(cache, cache.parent):
        return compute()
    digest = hashlib.sha256(f"{key}\n".encode())
    for line in smiles:
        digest.update(f"{line}\n".encode())
    path = cache / f"{digest.hexdigest()[:32]}.npy"
    try:
        array = np.load(path, allow_pickle=False)
    except Exception:  # absent, or damaged: NumPy raises of every kind for what is no header
        array = None
    if array is not None and array.dtype == np.uint64 and valid(array):
        return np.asarray(array)
    array = compute()
    # A cache that cannot be written (a home that is read-only, a full disk) must not cost the results.
    with contextlib.suppress(OSError):
        make_folder(cache)
        with atomic_write(path) as temporary:
            np.save(temporary, array)
    return array


def readable_as_written(kind: CircularKind) -> bool:
    """Whether the fingerprint is the same of a canonical SMILES read without perceiving aromaticity anew."""
    return kind.startswith("ecfp")


def read_corpus_line(smiles: str, canonical: bool) -> Mol | None:
    """The molecule of a line of a corpus; None where there is none.

    Args:
        canonical: RDKit wrote it in canonical form: it is read twice as fast, for `readable_as_written`.
    """
    if not canonical:
        return parse(smiles)
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
