import lzma
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import rdMolDescriptors

from moldesign.chem.fingerprints import KINDS, Kind, NearestNeighbours, fingerprint, tanimoto
from moldesign.chem.molecules import Mol, read

CELECOXIB = read("Cc1ccc(cc1)c1cc(nn1c1ccc(cc1)S(N)(=O)=O)C(F)(F)F")


@pytest.fixture(scope="module")
def corpus() -> list[str]:
    """400 molecules of ZINC250k, as RDKit writes them."""
    with lzma.open(str(files("moldesign.corpora") / "zinc250k.smi.xz"), "rt") as handle:
        lines = [line.split()[0] for line, _ in zip(handle, range(401), strict=False)]
    mols = [Chem.MolFromSmiles(line) for line in lines]
    return [Chem.MolToSmiles(mol) for mol in mols if mol is not None]


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
@pytest.mark.parametrize("kind", ["ecfp4", "ecfp6", "fcfp4", "fcfp6", "atom_pair"])
def test_counts_are_those_of_guacamol(kind: Kind, corpus: list[str]) -> None:
    # GuacaMol calls these older functions of RDKit.
    older: dict[str, Callable[[Mol], Any]] = {
        "ecfp4": lambda mol: rdMolDescriptors.GetMorganFingerprint(mol, 2),
        "ecfp6": lambda mol: rdMolDescriptors.GetMorganFingerprint(mol, 3),
        "fcfp4": lambda mol: rdMolDescriptors.GetMorganFingerprint(mol, 2, useFeatures=True),
        "fcfp6": lambda mol: rdMolDescriptors.GetMorganFingerprint(mol, 3, useFeatures=True),
        "atom_pair": lambda mol: rdMolDescriptors.GetAtomPairFingerprint(mol, maxLength=10),
    }
    mols = [read(smiles) for smiles in corpus[:50]]
    vectors = [older[kind](mol) for mol in (CELECOXIB, *mols)]
    theirs = DataStructs.BulkTanimotoSimilarity(vectors[0], vectors[1:])
    ours = tanimoto(fingerprint(CELECOXIB, kind), [fingerprint(mol, kind) for mol in mols])
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("counts", [True, False])
def test_every_kind_knows_a_molecule_from_another(counts: bool) -> None:
    for kind in KINDS:
        itself, other = tanimoto(
            fingerprint(CELECOXIB, kind, counts=counts),
            [fingerprint(mol, kind, counts=counts) for mol in (CELECOXIB, read("CCO"))],
        )
        assert itself == 1
        assert other < 0.3


def test_the_nearest_neighbour_is_that_of_rdkit(corpus: list[str]) -> None:
    # The corpus is read without perceiving aromaticity: it must come to the same bits.
    queries = [CELECOXIB, *(read(smiles) for smiles in corpus[::80])]
    index, similarity = NearestNeighbours(corpus).query(queries)
    bits = [fingerprint(read(smiles), counts=False) for smiles in corpus]
    for query, found, value in zip(queries, index, similarity, strict=True):
        all_of_them = tanimoto(fingerprint(query, counts=False), bits)
        assert value == all_of_them.max()
        assert found == all_of_them.argmax()
    assert (similarity[1:] == 1).all()


def test_a_corpus_that_rdkit_did_not_write() -> None:
    kekule = ["CCO", "C1=CC=CC=C1C", "not a molecule"]
    smiles, similarity = NearestNeighbours(kekule, canonical=False)([read("Cc1ccccc1")])
    assert (smiles, similarity.tolist()) == (["C1=CC=CC=C1C"], [1.0])


def test_an_empty_corpus_has_no_nearest_molecule() -> None:
    smiles, similarity = NearestNeighbours([])([CELECOXIB])
    assert smiles == [""]
    assert np.isnan(similarity).all()


def test_fingerprints_are_kept_and_a_damaged_file_is_made_anew(tmp_path: Path, corpus: list[str]) -> None:
    few = corpus[:20]
    expected = NearestNeighbours(few, cache=tmp_path / "kept").query([CELECOXIB])
    (kept,) = (tmp_path / "kept").iterdir()
    for content in (kept.read_bytes(), kept.read_bytes()[:100], b""):
        kept.write_bytes(content)
        again = NearestNeighbours(few, cache=tmp_path / "kept").query([CELECOXIB])
        np.testing.assert_array_equal(again, expected)
    NearestNeighbours(few[1:], cache=tmp_path / "kept").query([CELECOXIB])
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_a_cache_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way of a folder")
    smiles = ["CCO", "c1ccccc1O"]
    index, similarity = NearestNeighbours(smiles, cache=tmp_path / "file" / "kept").query([read("CCO")])
    assert index.tolist() == [0]
    assert similarity.tolist() == [1.0]
