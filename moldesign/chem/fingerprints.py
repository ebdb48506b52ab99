"""Fingerprints of molecules, and how similar two of them are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, DataStructs
from rdkit.Avalon import pyAvalonTools
from rdkit.Chem import rdFingerprintGenerator, rdMolDescriptors

from moldesign.chem.molecules import Mol
from moldesign.chem.pharmacophores import gobbi

#: - ecfp2 to ecfp8: Morgan, radius 1 to 4 (Rogers and Hahn, J. Chem. Inf. Model. 50, 742, 2010);
#: - fcfp2 to fcfp6: the same over pharmacophore features;
#: - atom_pair: pairs of atoms at most 10 bonds apart (Carhart et al., 1985), as in GuacaMol;
#: - topological_torsion: chains of four atoms (Nilakantan et al., 1987);
#: - rdkit: RDKit's subgraphs of up to seven bonds, branched ones too;
#: - layered: the same with bond orders, rings and aromaticity in layers of their own;
#: - pattern: RDKit's substructure patterns;
#: - maccs: 166 keys (Durant et al., 2002);
#: - avalon: Gedeck et al., 2006;
#: - gobbi: triplets of pharmacophore features (Gobbi and Poppinger, 1998), GuacaMol's PHCO.
Kind = Literal[
    "ecfp2", "ecfp4", "ecfp6", "ecfp8", "fcfp2", "fcfp4", "fcfp6", "atom_pair", "topological_torsion",
    "rdkit", "layered", "pattern", "maccs", "avalon", "gobbi",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)

#: Circular ones: each has a feature at least for any molecule, and can have any width, a feature's column
#: being the remainder of its hash, as RDKit has it. Others have the width of RDKit's bit vector.
CircularKind = Literal["ecfp2", "ecfp4", "ecfp6", "ecfp8", "fcfp2", "fcfp4", "fcfp6"]
CIRCULAR: tuple[CircularKind, ...] = get_args(CircularKind)

#: Kinds that only say whether a feature is there, not how often.
BITS_ONLY: frozenset[Kind] = frozenset({"layered", "pattern", "maccs", "gobbi"})

Measure = Literal["tanimoto", "dice", "tversky", "cosine"]
MEASURES: tuple[Measure, ...] = get_args(Measure)

#: Bits of a folded fingerprint: of all kinds but maccs (167) and gobbi (39,972).
BITS = 2048

#: Walks of seven bonds in a molecule beyond which its subgraphs are not enumerated. A drug has ten thousand,
#: C60 130,000; nine atoms all bound to one another have 19 million, and take RDKit ten seconds and more.
MAX_WALKS = 500_000

_GOLDEN, _MIXER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)

#: An RDKit vector: sparse counts, or bits.
Fingerprint = Any


@cache
def _generator(kind: Kind) -> Any:
    if kind == "atom_pair":
        return rdFingerprintGenerator.GetAtomPairGenerator(maxDistance=10, fpSize=BITS)
    if kind == "topological_torsion":
        return rdFingerprintGenerator.GetTopologicalTorsionGenerator(fpSize=BITS)
    if kind == "rdkit":
        return rdFingerprintGenerator.GetRDKitFPGenerator(maxPath=7, fpSize=BITS)
    radius = int(kind[-1]) // 2
    if kind.startswith("fcfp"):
        features = rdFingerprintGenerator.GetMorganFeatureAtomInvGen()
        return rdFingerprintGenerator.GetMorganGenerator(
            radius=radius, fpSize=BITS, atomInvariantsGenerator=features
        )
    return rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=BITS)


def fingerprint(mol: Mol, kind: Kind = "ecfp4", *, counts: bool | None = None) -> Fingerprint:
    """The fingerprint of a molecule, which may be empty: ethane has no torsion.

    Args:
        counts: True: how often each feature is there, unfolded but for avalon's BITS bins. False: bits that
            say present or absent; those of atom_pair and topological_torsion also tell 1, 2, 4 and 8 times
            apart, as RDKit has it. None: counts of the kinds that have them, else bits.

    Raises:
        ValueError: counts of a kind in BITS_ONLY; a molecule with too many features to enumerate.
    """
    if counts is None:
        counts = kind not in BITS_ONLY
    if counts and kind in BITS_ONLY:
        raise ValueError(f"fingerprint '{kind}' has only bits: leave counts out or set it to false")
    if kind in ("rdkit", "layered", "avalon"):
        _require_few_walks(mol, kind)
    if kind == "layered":
        return Chem.LayeredFingerprint(mol, maxPath=7, fpSize=BITS)
    if kind == "pattern":
        return Chem.PatternFingerprint(mol, fpSize=BITS)
    if kind == "maccs":
        return rdMolDescriptors.GetMACCSKeysFingerprint(mol)
    if kind == "gobbi":
        return gobbi(mol)
    if kind == "avalon":
        make = pyAvalonTools.GetAvalonCountFP if counts else pyAvalonTools.GetAvalonFP
        return make(mol, nBits=BITS)
    generator = _generator(kind)
    return generator.GetSparseCountFingerprint(mol) if counts else generator.GetFingerprint(mol)


def is_empty(vector: Fingerprint) -> bool:
    """Whether a fingerprint has no feature at all: nothing is similar to it, not even itself."""
    if hasattr(vector, "GetNonzeroElements"):
        return not vector.GetNonzeroElements()
    return int(vector.GetNumOnBits()) == 0


def _require_few_walks(mol: Mol, kind: Kind) -> None:
    neighbours = np.asarray(Chem.GetAdjacencyMatrix(mol), dtype=np.float64)
    walks = np.ones(len(neighbours))
    for _ in range(7):
        walks = neighbours @ walks
    if walks.sum() > MAX_WALKS:
        raise ValueError(f"bonds too dense for fingerprint '{kind}'")


def tanimoto(query: Fingerprint, others: Sequence[Fingerprint]) -> NDArray[np.float64]:
    """Tanimoto similarities (n,), 0 to 1, of one fingerprint to n others of the same kind.

    For counts a and b the sum of the smaller over the sum of the larger. Two empty ones give 0.
    """
    return np.asarray(DataStructs.BulkTanimotoSimilarity(query, list(others)), dtype=np.float64)


def similarities(
    query: Fingerprint,
    others: Sequence[Fingerprint],
    measure: Measure = "tanimoto",
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
) -> NDArray[np.float64]:
    """Similarities (n,), 0 to 1, of one fingerprint to n others of the same kind; an empty one gives 0.

    Of the counts a of the query and b of the other, feature by feature, with A and B their sums and C the sum
    of min(a, b); of bits likewise, each 0 or 1:

        tanimoto  C / (A + B - C)
        dice      2 C / (A + B)
        tversky   C / (C + alpha (A - C) + beta (B - C))
        cosine    sum(a b) / sqrt(sum(a^2) sum(b^2))

    Args:
        alpha: weight of what only the query has, in tversky.
        beta: weight of what only the other has, in tversky.
    """
    others = list(others)
    counts = hasattr(query, "GetNonzeroElements")
    bulk: dict[Measure, Callable[..., Any]] = {
        "tanimoto": DataStructs.BulkTanimotoSimilarity,
        "dice": DataStructs.BulkDiceSimilarity,
        # RDKit allows weights above 1 for counts only.
        "tversky": lambda a, b: (
            DataStructs.BulkTverskySimilarity(a, b, alpha, beta) if counts else _tversky(a, b, alpha, beta)
        ),
        # RDKit has the cosine of bits only.
        "cosine": _cosines if counts else DataStructs.BulkCosineSimilarity,
    }
    return np.asarray(bulk[measure](query, others), dtype=np.float64)


def _tversky(query: Fingerprint, others: Sequence[Fingerprint], alpha: float, beta: float) -> list[float]:
    """As `similarities` has it, of bits."""
    size = query.GetNumOnBits()
    values = []
    for other in others:
        common = (query & other).GetNumOnBits()
        whole = common + alpha * (size - common) + beta * (other.GetNumOnBits() - common)
        values.append(common / whole if whole else 0.0)
    return values


def _cosines(query: Fingerprint, others: Sequence[Fingerprint]) -> list[float]:
    a = query.GetNonzeroElements()
    length = sum(count * count for count in a.values())
    values = []
    for other in others:
        b = other.GetNonzeroElements()
        product = sum(count * b.get(feature, 0) for feature, count in a.items())
        lengths = length * sum(count * count for count in b.values())
        values.append(product / lengths**0.5 if lengths else 0.0)
    return values


def unary_columns(mol: Mol, kind: Kind, width: int) -> NDArray[np.int64]:
    """The columns that are 1 in a row of bits whose overlaps are those of the counts of a molecule.

    A feature that is there c times sets c bits, one for each of 1 to c: of two molecules the bits in common
    are the sum of the smaller counts, and those of either the sum of the larger. Folded to a width, in which
    few collide.
    """
    found = fingerprint(mol, kind, counts=True).GetNonzeroElements()
    features = np.fromiter(found.keys(), dtype=np.uint64, count=len(found))
    counts = np.fromiter(found.values(), dtype=np.int64, count=len(found))
    ends = np.cumsum(counts)
    times = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
    # Steele et al. 2014, Fast splittable pseudorandom number generators, with one round of mixing.
    mixed = np.repeat(features, counts) * _GOLDEN + times.astype(np.uint64) * _MIXER
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIXER
    return np.asarray(np.unique((mixed >> np.uint64(32)) % np.uint64(width)), dtype=np.int64)
