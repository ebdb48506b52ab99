"""Pairs and triplets of pharmacophore features, by how many bonds lie between them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.DataStructs import SparseBitVect

from moldesign.chem.molecules import Mol

#: Pharmacophore features beyond which triplets of them are not enumerated. A drug has up to 30.
MAX_FEATURES = 100

#: Bonds between two features: with fewer than the first they are none, from the last on all are alike, and at
#: the end there is no path.
_NEAR, _FAR, _APART = 2, 8, 100


def gobbi(mol: Mol) -> SparseBitVect:
    """The pharmacophore fingerprint of Gobbi and Poppinger 1998, of 39,972 bits.

    The same bits as RDKit's `Generate.Gen2DFingerprint`, which looks at one triplet after the other.

    Raises:
        ValueError: more than MAX_FEATURES features.
    """
    matches = _factory().GetMolFeats(mol)
    # A feature of Gobbi and Poppinger is one atom.
    atoms = np.array([atom for found in matches for (atom,) in found], dtype=np.int64)
    families = np.repeat(np.arange(len(matches)), [len(found) for found in matches])
    if len(atoms) > MAX_FEATURES:
        raise ValueError(f"more than {MAX_FEATURES} pharmacophore features for fingerprint 'gobbi'")
    bits = SparseBitVect(_factory().GetSigSize())
    distances = np.asarray(Chem.GetDistanceMatrix(mol), dtype=np.int64)[np.ix_(atoms, atoms)]
    counts = (distances >= _NEAR) & (distances < _APART)
    distances = np.minimum(distances, _FAR)
    first, second = np.nonzero(np.triu(counts, 1))
    pairs = [families[first], families[second]]
    bits.SetBitsFromList(_bits(pairs, [distances[first, second]]))
    # Each pair with what comes after its second, where all three distances count.
    pair, third = np.nonzero((counts[first] & counts[second]) & (np.arange(len(atoms)) > second[:, None]))
    first, second = first[pair], second[pair]
    triplets = [families[first], families[second], families[third]]
    bits.SetBitsFromList(
        _bits(triplets, [distances[first, second], distances[first, third], distances[second, third]])
    )
    return bits


@cache
def _factory() -> Any:
    # Its definitions take a tenth of a second to compile, which only those who use them need pay.
    from rdkit.Chem.Pharm2D import Gobbi_Pharm2D

    return Gobbi_Pharm2D.factory


def _bits(families: list[NDArray[np.int64]], distances: list[NDArray[np.int64]]) -> list[int]:
    """The bits of n groups of features, some of them the same.

    Args:
        families: (n,) of each member, those of a group in ascending order. distances: (n,) of each pair of
            members, at most _FAR.
    """
    code = np.zeros(len(families[0]), dtype=np.int64)
    for digits in (*families, *distances):
        code = code * _BASE + digits
    return [_bit(one, len(families), len(distances)) for one in np.unique(code).tolist()]


#: Families and distances are smaller.
_BASE = 16


@cache
def _bit(code: int, members: int, pairs: int) -> int:
    digits = [code // _BASE**place % _BASE for place in reversed(range(members + pairs))]
    return int(_factory().GetBitIdx(digits[:members], digits[members:], sortIndices=False))
