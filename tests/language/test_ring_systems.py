"""The table of ring systems is what the corpora hold."""

import lzma
from importlib.resources import files
from pathlib import Path

import pytest

from moldesign.chem.molecules import read
from moldesign.chem.rings import ring_systems
from moldesign.errors import DataError
from moldesign.files import sha256
from moldesign.language.corpus import load
from moldesign.language.ring_systems import (
    CORPORA,
    RingSystemCounts,
    count,
    make_table,
    read_counts,
    shipped_counts,
    write_counts,
)

SHIPPED = Path(str(files("moldesign.corpora")))


@pytest.fixture(scope="module")
def corpora() -> dict[str, list[str]]:
    return {name: load(name) for name in CORPORA}


def test_molecules_are_counted_not_rings(tmp_path: Path) -> None:
    # Two phenyls of one molecule count once; what is no molecule counts nowhere.
    (tmp_path / "a.smi").write_text("c1ccc(-c2ccccc2)cc1\nC1CC1c1ccccc1\nCCO\nC1CC\n", encoding="ascii")
    (tmp_path / "b.smi").write_text("Cc1ccccc1\nC[NH+]1CCCCC1\n", encoding="ascii")
    counted = count([tmp_path / "a.smi", tmp_path / "b.smi"], workers=2)
    assert counted == RingSystemCounts(5, {"c1ccccc1": 3, "C1CC1": 1, "C1CCNCC1": 1})
    assert counted["c1ccccc1"] == 3
    assert counted["C1CCC1"] == 0


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_text("C1CC1c1ccccc1\nCc1ccccc1\nC1CCC1\nCCO\n", encoding="ascii")
    table, again = tmp_path / "table.tsv.xz", tmp_path / "again.tsv.xz"
    counted = make_table(table, [tmp_path / "a.smi"])
    assert read_counts(table) == counted
    text = lzma.decompress(table.read_bytes()).decode()
    assert text == "ring_system\tmolecules\n*\t4\nc1ccccc1\t2\nC1CC1\t1\nC1CCC1\t1\n"
    write_counts(again, RingSystemCounts(4, dict(reversed(counted.counts.items()))))
    assert again.read_bytes() == table.read_bytes()


@pytest.mark.parametrize("corpus", CORPORA)
def test_the_shipped_table_knows_the_ring_systems_of_the_corpora(
    corpus: str, corpora: dict[str, list[str]]
) -> None:
    known = shipped_counts()
    for smiles in corpora[corpus][::2500]:
        assert all(known[system] >= 1 for system in ring_systems(read(smiles))), smiles


def test_the_shipped_table_counts_every_molecule(corpora: dict[str, list[str]]) -> None:
    known = shipped_counts()
    assert known.molecules == sum(map(len, corpora.values()))
    assert max(known.counts.values()) == known["c1ccccc1"] < known.molecules
    assert min(known.counts.values()) == 1


def test_the_card_names_the_file_that_is_shipped() -> None:
    card = (SHIPPED / "ring_systems.md").read_text(encoding="utf-8")
    counts = list(shipped_counts().counts.values())
    assert sha256(SHIPPED / "ring_systems.tsv.xz") in card
    assert f"{shipped_counts().molecules:,}" in card
    for least in (1, 2, 10, 100):
        assert f"| {sum(number >= least for number in counts):,} |" in card


@pytest.mark.parametrize("content", [b"", b"not xz", lzma.compress(b"a\tb\n"), None])
def test_a_damaged_table_is_a_data_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "table.tsv.xz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="table of ring systems"):
        read_counts(path)
