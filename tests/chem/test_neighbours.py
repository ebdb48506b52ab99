import lzma
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from moldesign.chem.fingerprints import CircularKind, fingerprint, tanimoto
from moldesign.chem.molecules import read
from moldesign.chem.neighbours import NearestNeighbours

CELECOXIB = read("Cc1ccc(cc1)c1cc(nn1c1ccc(cc1)S(N)(=O)=O)C(F)(F)F")


@pytest.fixture(scope="module")
def corpus() -> list[str]:
    """400 molecules of ZINC250k, as RDKit writes them."""
    with lzma.open(str(files("moldesign.corpora") / "zinc250k.smi.xz"), "rt") as handle:
        lines = [line.split()[0] for line, _ in zip(handle, range(401), strict=False)]
    mols = [Chem.MolFromSmiles(line) for line in lines]
    return [Chem.MolToSmiles(mol) for mol in mols if mol is not None]


@pytest.mark.parametrize("kind", ["ecfp4", "ecfp6", "fcfp4"])
def test_the_nearest_neighbours_are_those_of_rdkit(kind: CircularKind, corpus: list[str]) -> None:
    # The corpus is read without perceiving aromaticity: it must come to the same bits.
    queries = [CELECOXIB, *(read(smiles) for smiles in corpus[::80])]
    search = NearestNeighbours(corpus, kind=kind)
    search.BLOCK = 64  # several blocks
    bits = [fingerprint(read(smiles), kind, counts=False) for smiles in corpus]
    index, similarity = search.nearest(queries, 7)
    for row, query in enumerate(queries):
        all_of_them = tanimoto(fingerprint(query, kind, counts=False), bits)
        order = np.argsort(-all_of_them, kind="stable")[:7]
        assert index[row].tolist() == order.tolist()
        assert similarity[row].tolist() == all_of_them[order].tolist()
    assert (similarity[1:, 0] == 1).all()
    first, value = search.query(queries)
    assert first.tolist() == index[:, 0].tolist()
    assert value.tolist() == similarity[:, 0].tolist()


def test_of_equally_near_ones_the_first() -> None:
    search = NearestNeighbours(["CCN", "OCC", "CCO", "CCO"], canonical=False)
    index, similarity = search.nearest([read("CCO")], 3)
    assert index.tolist() == [[1, 2, 3]]
    assert similarity.tolist() == [[1, 1, 1]]


def test_more_neighbours_than_molecules() -> None:
    for k in (0, 3):
        with pytest.raises(ValueError, match=f"no {k} nearest of 2 molecules"):
            NearestNeighbours(["CCO", "CCN"]).nearest([CELECOXIB], k)


def test_a_corpus_that_rdkit_did_not_write() -> None:
    kekule = ["CCO", "C1=CC=CC=C1C", "not a molecule", "c1ccccc1" * 300]
    search = NearestNeighbours(kekule, canonical=False)
    smiles, similarity = search([read("Cc1ccccc1")])
    assert (smiles, similarity.tolist()) == (["C1=CC=CC=C1C"], [1.0])
    assert search.unreadable().tolist() == [2, 3]


def test_an_empty_corpus_has_no_nearest_molecule() -> None:
    smiles, similarity = NearestNeighbours([])([CELECOXIB])
    assert smiles == [""]
    assert np.isnan(similarity).all()


def test_fingerprints_are_kept_and_a_damaged_file_is_made_anew(tmp_path: Path, corpus: list[str]) -> None:
    few = corpus[:20]
    expected = NearestNeighbours(few, cache=tmp_path / "kept").query([CELECOXIB])
    (kept,) = (tmp_path / "kept").iterdir()
    whole = kept.read_bytes()
    petabytes = whole.replace(b"(20, 32), }" + 14 * b" ", b"(2000000000000000, 32), }")
    assert len(petabytes) == len(whole)
    assert petabytes != whole
    for content in (
        whole,
        whole[:100],
        b"",
        petabytes,
        whole.replace(b"}", b" "),
        whole.replace(b"<u8", b"|O "),
    ):
        kept.write_bytes(content)
        again = NearestNeighbours(few, cache=tmp_path / "kept").query([CELECOXIB])
        np.testing.assert_array_equal(again, expected)
    NearestNeighbours(few[1:], cache=tmp_path / "kept").query([CELECOXIB])
    NearestNeighbours(few, kind="ecfp6", cache=tmp_path / "kept").query([CELECOXIB])
    assert len(list((tmp_path / "kept").iterdir())) == 3


def test_nothing_is_kept_where_every_user_may_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert NearestNeighbours(["CCO"], cache=tmp_path / "kept").query([read("CCO")])[1].tolist() == [1.0]
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way of a folder")
    smiles = ["CCO", "c1ccccc1O"]
    index, similarity = NearestNeighbours(smiles, cache=tmp_path / "file" / "kept").query([read("CCO")])
    assert index.tolist() == [0]
    assert similarity.tolist() == [1.0]
