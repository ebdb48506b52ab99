import lzma
import math
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import MACCSkeys, rdMolDescriptors
from rdkit.Chem.Pharm2D import Generate, Gobbi_Pharm2D

from moldesign.chem.fingerprints import (
    BITS,
    BITS_ONLY,
    KINDS,
    Kind,
    Measure,
    fingerprint,
    is_empty,
    similarities,
    tanimoto,
)
from moldesign.chem.molecules import Mol, read

CELECOXIB = read("Cc1ccc(cc1)c1cc(nn1c1ccc(cc1)S(N)(=O)=O)C(F)(F)F")

#: Nine iron atoms, each bound to all others: 8 million subgraphs of seven bonds.
CAGE = Chem.RWMol()
for _ in range(9):
    CAGE.AddAtom(Chem.Atom(26))
for first in range(9):
    for second in range(first):
        CAGE.AddBond(first, second, Chem.BondType.SINGLE)
CAGE.UpdatePropertyCache()
Chem.FastFindRings(CAGE)


@pytest.fixture(scope="module")
def corpus() -> list[str]:
    """50 molecules of ZINC250k."""
    with lzma.open(str(files("moldesign.corpora") / "zinc250k.smi.xz"), "rt") as handle:
        lines = [line.split()[0] for line, _ in zip(handle, range(51), strict=False)]
    return [line for line in lines if Chem.MolFromSmiles(line) is not None][:50]


def test_counts_by_hand() -> None:
    # Radius 0 to 2 of methane is one atom; of ethane two equal atoms and one pair: 3 features.
    ethane, propane = fingerprint(read("CC")), fingerprint(read("CCC"))
    assert sum(ethane.GetNonzeroElements().values()) == 3
    a, b = ethane.GetNonzeroElements(), propane.GetNonzeroElements()
    smaller = sum(min(a.get(k, 0), b.get(k, 0)) for k in a | b)
    larger = sum(max(a.get(k, 0), b.get(k, 0)) for k in a | b)
    assert tanimoto(ethane, [propane])[0] == pytest.approx(smaller / larger)
    assert 0 < smaller / larger < 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["ecfp4", "ecfp6", "fcfp4", "fcfp6", "atom_pair", "gobbi"])
def test_similarities_are_those_of_guacamol(kind: Kind, corpus: list[str]) -> None:
    # GuacaMol calls these older functions of RDKit; gobbi is its PHCO.
    older: dict[str, Callable[[Mol], Any]] = {
        "ecfp4": lambda mol: rdMolDescriptors.GetMorganFingerprint(mol, 2),
        "ecfp6": lambda mol: rdMolDescriptors.GetMorganFingerprint(mol, 3),
        "fcfp4": lambda mol: rdMolDescriptors.GetMorganFingerprint(mol, 2, useFeatures=True),
        "fcfp6": lambda mol: rdMolDescriptors.GetMorganFingerprint(mol, 3, useFeatures=True),
        "atom_pair": lambda mol: rdMolDescriptors.GetAtomPairFingerprint(mol, maxLength=10),
        "gobbi": lambda mol: Generate.Gen2DFingerprint(mol, Gobbi_Pharm2D.factory),
    }
    mols = [read(smiles) for smiles in corpus[: 15 if kind == "gobbi" else 50]]
    query = older[kind](CELECOXIB)
    theirs = [DataStructs.TanimotoSimilarity(query, older[kind](mol)) for mol in mols]
    ours = tanimoto(fingerprint(CELECOXIB, kind), [fingerprint(mol, kind) for mol in mols])
    assert len(set(theirs)) > 10
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_kinds_that_rdkit_has_by_other_names() -> None:
    keys = MACCSkeys._pyGenMACCSKeys(CELECOXIB)
    assert list(fingerprint(CELECOXIB, "maccs").GetOnBits()) == list(keys.GetOnBits())
    assert fingerprint(CELECOXIB, "rdkit", counts=False) == Chem.RDKFingerprint(CELECOXIB)
    assert fingerprint(CELECOXIB, "layered") == Chem.LayeredFingerprint(CELECOXIB)


def test_features_by_hand() -> None:
    # Butane: one chain of four atoms, six pairs of atoms; three, two and one paths of 1, 2 and 3 bonds,
    # which RDKit hashes twice each. Four atoms, and four atoms with their neighbours.
    assert sum(fingerprint(read("CCCC"), "topological_torsion").GetNonzeroElements().values()) == 1
    assert sum(fingerprint(read("CCCC"), "atom_pair").GetNonzeroElements().values()) == 6
    paths = fingerprint(read("CCCC"), "rdkit").GetNonzeroElements().values()
    assert sorted(paths) == [1, 1, 2, 2, 3, 3]
    assert sum(fingerprint(read("CCCC"), "ecfp2").GetNonzeroElements().values()) == 8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("counts", [None, True, False])
def test_every_kind_knows_a_molecule_from_another(kind: Kind, counts: bool | None) -> None:
    if counts and kind in BITS_ONLY:
        with pytest.raises(ValueError, match=f"'{kind}' has only bits"):
            fingerprint(CELECOXIB, kind, counts=True)
        return
    itself, other = (fingerprint(mol, kind, counts=counts) for mol in (CELECOXIB, read("CCO")))
    assert hasattr(itself, "GetNonzeroElements") == (kind not in BITS_ONLY and counts is not False)
    assert tanimoto(itself, [itself, other])[0] == 1
    assert tanimoto(itself, [itself, other])[1] < 0.3
    if not hasattr(itself, "GetNonzeroElements"):
        assert itself.GetNumBits() == {"maccs": 167, "gobbi": 39972}.get(kind, BITS)


def test_measures_by_hand() -> None:
    query = DataStructs.UIntSparseIntVect(10)
    other = DataStructs.UIntSparseIntVect(10)
    for feature, count in {1: 3, 2: 1, 3: 2}.items():
        query[feature] = count
    for feature, count in {1: 1, 3: 4, 5: 1}.items():
        other[feature] = count
    # A = 6, B = 6, C = min(3, 1) + min(2, 4) = 3, sum ab = 3 + 8, sum a^2 = 14, sum b^2 = 18.
    expected: dict[Measure, float] = {
        "tanimoto": 3 / 9,
        "dice": 6 / 12,
        "tversky": 3 / (3 + 0.9 * 3 + 0.2 * 3),
        "cosine": 11 / math.sqrt(14 * 18),
    }
    for measure, value in expected.items():
        assert similarities(query, [other, query], measure, alpha=0.9, beta=0.2) == pytest.approx([value, 1])


@pytest.mark.parametrize("counts", [True, False])
def test_measures_of_molecules(counts: bool, corpus: list[str]) -> None:
    query = fingerprint(CELECOXIB, counts=counts)
    others = [fingerprint(read(smiles), counts=counts) for smiles in corpus]

    def features(vector: Any) -> dict[int, int]:
        return vector.GetNonzeroElements() if counts else dict.fromkeys(vector.GetOnBits(), 1)

    a = features(query)
    for i, b in enumerate(map(features, others)):
        common = sum(min(a.get(k, 0), b.get(k, 0)) for k in a | b)
        only_a, only_b = sum(a.values()) - common, sum(b.values()) - common
        dot = sum(a.get(k, 0) * b.get(k, 0) for k in a | b)
        lengths = sum(n * n for n in a.values()) * sum(n * n for n in b.values())
        expected: dict[Measure, float] = {
            "tanimoto": common / (common + only_a + only_b),
            "dice": common / (common + (only_a + only_b) / 2),
            # Most of the weight on what the query has and the other lacks: the order of the two matters.
            "tversky": common / (common + 0.9 * only_a + 0.1 * only_b),
            "cosine": dot / math.sqrt(lengths),
        }
        for measure, value in expected.items():
            found = similarities(query, others[i : i + 1], measure, alpha=0.9, beta=0.1)[0]
            assert found == pytest.approx(value), measure


@pytest.mark.parametrize("measure", ["tanimoto", "dice", "tversky", "cosine"])
@pytest.mark.parametrize("counts", [True, False])
def test_nothing_is_similar_to_an_empty_fingerprint(measure: Measure, counts: bool) -> None:
    empty, full = (fingerprint(read(s), "topological_torsion", counts=counts) for s in ("CC", "CCCCO"))
    assert is_empty(empty)
    assert not is_empty(full)
    assert similarities(empty, [empty, full], measure, alpha=0.5, beta=0.5).tolist() == [0, 0]
    assert similarities(full, [empty, full], measure, alpha=0.5, beta=0.5).tolist() == [0, 1]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["rdkit", "layered", "avalon"])
def test_what_would_take_too_long_is_refused(kind: Kind) -> None:
    with pytest.raises(ValueError, match=f"too dense for fingerprint '{kind}'"):
        fingerprint(CAGE.GetMol(), kind)


@pytest.mark.timeout(20)
def test_a_peptide_with_too_many_features_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 100 pharmacophore features"):
        fingerprint(read("N[C@@H](CCCNC(=N)N)C(=O)" * 22 + "O"), "gobbi")


def test_cages_of_real_chemistry_are_not_refused() -> None:
    c60 = (
        "c12c3c4c5c1c1c6c7c2c2c8c3c3c9c4c4c%10c5c5c1c1c6c6c%11c7c2c2c7c8c3c3c8c9c4c4c9c%10c5c5c1c1c6c6c%11c2"
        "c2c7c3c3c8c4c4c9c5c1c1c6c2c3c41"
    )
    for smiles in (c60, "C12C3C4C1C5C4C3C25", "C1C2CC3CC1CC(C2)C3"):
        vector = fingerprint(read(smiles), "rdkit")
        assert tanimoto(vector, [vector])[0] == 1
