"""The tables of ring systems and of environments are what the corpora hold."""

import lzma
from importlib.resources import files
from pathlib import Path

import pytest

from moldesign.chem.environments import environments
from moldesign.chem.molecules import read
from moldesign.errors import DataError
from moldesign.files import sha256
from moldesign.language.corpus import load
from moldesign.language.occurrences import (
    CORPORA,
    COUNTED,
    Occurrences,
    count,
    make_table,
    read_table,
    shipped_occurrences,
    write_table,
)

SHIPPED = Path(str(files("moldesign.corpora")))


@pytest.fixture(scope="module")
def corpora() -> dict[str, list[str]]:
    return {name: load(name) for name in CORPORA}


def test_molecules_are_counted_not_rings(tmp_path: Path) -> None:
    # Two phenyls of one molecule count once; what is no molecule counts nowhere.
    (tmp_path / "a.smi").write_text("c1ccc(-c2ccccc2)cc1\nC1CC1c1ccccc1\nCCO\nC1CC\n", encoding="ascii")
    (tmp_path / "b.smi").write_text("Cc1ccccc1\nC[NH+]1CCCCC1\n", encoding="ascii")
    counted = count("ring_systems", [tmp_path / "a.smi", tmp_path / "b.smi"], workers=2)
    assert counted == Occurrences(5, {"c1ccccc1": 3, "C1CC1": 1, "C1CCNCC1": 1})
    assert counted["c1ccccc1"] == 3
    assert counted["C1CCC1"] == 0


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_text("C1CC1c1ccccc1\nCc1ccccc1\nC1CCC1\nCCO\n", encoding="ascii")
    table, again = tmp_path / "ring_systems.tsv.xz", tmp_path / "again.tsv.xz"
    counted = make_table(tmp_path, "ring_systems", [tmp_path / "a.smi"])
    assert read_table(table, "ring_systems") == counted
    text = lzma.decompress(table.read_bytes()).decode()
    assert text == "ring_system\tmolecules\n*\t4\nc1ccccc1\t2\nC1CC1\t1\nC1CCC1\t1\n"
    write_table(again, "ring_systems", Occurrences(4, dict(reversed(counted.counts.items()))))
    assert again.read_bytes() == table.read_bytes()


def test_environments_are_counted_by_their_identifiers(tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_text("CCO\nCCCO\nC[NH3+]\n", encoding="ascii")
    counted = count("environments", [tmp_path / "a.smi"], workers=2)
    ethanol, propanol = (environments(read(smiles), "ecfp2") for smiles in ("CCO", "CCCO"))
    assert counted.molecules == 3
    assert {int(name) for name, n in counted.counts.items() if n >= 2} == ethanol & propanol
    assert all(counted[str(identifier)] for identifier in environments(read("CN"), "ecfp2"))


@pytest.mark.parametrize("what", COUNTED)
@pytest.mark.parametrize("corpus", CORPORA)
def test_the_shipped_tables_know_the_corpora(corpus: str, what: str, corpora: dict[str, list[str]]) -> None:
    known = shipped_occurrences(what)
    for smiles in corpora[corpus][::2500]:
        features, _ = COUNTED[what](smiles)
        assert features is not None
        assert all(known[feature] >= 1 for feature in features.split(".") if feature), smiles


def test_the_shipped_tables_count_every_molecule(corpora: dict[str, list[str]]) -> None:
    for what in COUNTED:
        known = shipped_occurrences(what)
        assert known.molecules == sum(map(len, corpora.values()))
        assert min(known.counts.values()) == 1
    rings = shipped_occurrences("ring_systems")
    assert max(rings.counts.values()) == rings["c1ccccc1"] < rings.molecules


@pytest.mark.parametrize("what", COUNTED)
def test_the_card_names_the_file_that_is_shipped(what: str) -> None:
    card = (SHIPPED / f"{what}.md").read_text(encoding="utf-8")
    known = shipped_occurrences(what)
    assert sha256(SHIPPED / f"{what}.tsv.xz") in card
    assert f"{known.molecules:,}" in card
    for least in (1, 2, 10, 100):
        assert f"| {sum(number >= least for number in known.counts.values()):,} |" in card


@pytest.mark.parametrize("content", [b"", b"not xz", lzma.compress(b"a\tb\n"), None])
def test_a_damaged_table_is_a_data_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "table.tsv.xz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="table of ring systems"):
        read_table(path, "ring_systems")
