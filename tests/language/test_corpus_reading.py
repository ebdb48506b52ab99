"""Files as they come: which SMILES are read, which lines are refused, and how they are counted."""

from __future__ import annotations

import gzip
import lzma
import tarfile
from collections import deque
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
import zstandard

from moldesign.errors import DataError, UsageError
from moldesign.language import reading
from moldesign.language.reading import Entry, MoleculeFile


def entries(path: Path, content: bytes, column: str | None = None) -> list[tuple[int, str, str | None]]:
    path.write_bytes(content)
    file = MoleculeFile(path, column)
    found = list(file)
    # Every line is accounted for, whatever the file holds.
    assert file.lines == file.headers + file.continued + len(found)
    assert file.share_read == 1.0
    return [(entry.line, entry.text, entry.problem) for entry in found]


def good(*pairs: tuple[int, str]) -> list[tuple[int, str, str | None]]:
    return [(line, text, None) for line, text in pairs]


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".smi", bytes),
        (".smi.gz", gzip.compress),
        (".smi.xz", lzma.compress),
        (".SMI.XZ", lzma.compress),
        (".smi.zst", zstandard.compress),
        (".smi.zst", lambda data: zstandard.compress(data[:4]) + zstandard.compress(data[4:])),
        (".smi.gz", lambda data: gzip.compress(data[:5]) + gzip.compress(data[5:])),
    ],
)
def test_compressions(tmp_path: Path, suffix: str, pack: type[bytes]) -> None:
    assert entries(tmp_path / f"a{suffix}", pack(b"CCO\nCCN\n")) == good((1, "CCO"), (2, "CCN"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"CCO\r\nCCN\r\n", good((1, "CCO"), (2, "CCN"))),
        (b"CCO\rCCN", good((1, "CCO"), (2, "CCN"))),
        (b"\xef\xbb\xbfCCO\nCCN", good((1, "CCO"), (2, "CCN"))),
        (b"\xef\xbb\xbfSMILES\nCCN", good((2, "CCN"))),
        (b"smiles name\nCCO\tethanol\nCCN |$;;R1$| x\n", good((2, "CCO"), (3, "CCN"))),
        (b"  CCO  \n", good((1, "CCO"))),
        (b"CCO \xe9thanol\n", good((1, "CCO"))),  # a name in Latin-1 does not spoil its molecule
        (b"CCO\n\nNA\n", [(1, "CCO", None), (2, "", "blank line"), (3, "NA", "missing value")]),
        (b"CCO\nsmiles\n", good((1, "CCO"), (2, "smiles"))),  # a header is the first line or none
        (b"CC\0O\n", [(1, "CC\0O", "NUL byte")]),
        (b"C\xff\xfe\nCO\n", [(1, "C\udcff\udcfe", "bytes that are not UTF-8 text"), (2, "CO", None)]),
    ],
)
def test_smi(tmp_path: Path, content: bytes, expected: list[tuple[int, str, str | None]]) -> None:
    assert entries(tmp_path / "a.smi", content) == expected


@pytest.mark.parametrize(
    ("content", "column", "expected"),
    [
        (b"id,SMILES,y\n1,CCO,2\n2,CCN,3\n", None, good((2, "CCO"), (3, "CCN"))),
        (b"id;Smiles;y\n1;CCO;2\n", None, good((2, "CCO"))),
        (b'"id","canonical_smiles"\n"1","CCO"\n', None, good((2, "CCO"))),
        (b"x,drug\n1,CCO\n", "drug", good((2, "CCO"))),
        (b"x,drug\n1,CCO\n", "DRUG", good((2, "CCO"))),
        (b"x,drug\n1,CCO\n", "2", good((2, "CCO"))),
        (b"1,CCO\n2,CCN\n", None, good((1, "CCO"), (2, "CCN"))),
        (b"1,CCO\n2,CCN\n", "2", good((1, "CCO"), (2, "CCN"))),
        (b"CCO\nCCN\n", None, good((1, "CCO"), (2, "CCN"))),
        (b"\n\nsmiles\nCCO\n", None, [(1, "", "blank line"), (2, "", "blank line"), (4, "CCO", None)]),
        (b"smiles,y\nCCO,1\nCCN,1,\n", None, good((2, "CCO"), (3, "CCN"))),  # a trailing delimiter
        (b"smiles,note\nCCO,NA\nnull,1\n", None, [(2, "CCO", None), (3, "null", "missing value")]),
        # A quoted field may run over lines where the SMILES column does not.
        (b'smiles,note\nCCO,"two\nlines"\nCCN,x\n', None, good((2, "CCO"), (4, "CCN"))),
        (b'smiles,"IC50\n(nM)"\nCCO,1\n', None, good((3, "CCO"))),
        (b'smiles,note\nCCO,"say ""hi"", then go"\n', None, good((2, "CCO"))),
    ],
)
def test_tables(
    tmp_path: Path, content: bytes, column: str | None, expected: list[tuple[int, str, str | None]]
) -> None:
    assert entries(tmp_path / "a.csv", content, column) == expected


def test_tsv(tmp_path: Path) -> None:
    assert entries(tmp_path / "a.tsv", b"name\tsmiles\na,b\tCCO\n") == good((2, "CCO"))


@pytest.mark.parametrize(
    "stray", [b'"CCC,1', b'"CCC,1"x', b'CCC,"1', b'"CCC""', b'"CCC,"1']
)  # fmt: skip
def test_a_stray_quote_costs_its_own_line_alone(tmp_path: Path, stray: bytes) -> None:
    lines = [b"smiles,y", *[b"CCO,%d" % i for i in range(100)], stray, *[b"CCN,%d" % i for i in range(100)]]
    found = entries(tmp_path / "a.csv", b"\n".join(lines))
    refused = [(line, problem) for line, _, problem in found if problem]
    assert [line for line, _ in refused] == [102]
    assert "quote" in str(refused[0][1])
    assert len(found) == 201


def test_a_quote_that_never_ends_does_not_swallow_the_next_quoted_row(tmp_path: Path) -> None:
    content = b'smiles,y\n"CCC,1\nCCO,2\n"CCN",3\nCCCC",4\n'
    found = entries(tmp_path / "a.csv", content)
    assert [(line, text) for line, text, problem in found if not problem] == [
        (3, "CCO"), (4, "CCN"), (5, 'CCCC"'),
    ]  # fmt: skip


def test_ragged_rows_are_refused_rather_than_shifted(tmp_path: Path) -> None:
    found = entries(tmp_path / "a.csv", b"name,smiles\nethanol,CCO\n1,2-diol,OCCO\nCCN\n")
    assert found[0] == (2, "CCO", None)
    assert [problem for _, _, problem in found[1:]] == [
        "ragged row: 3 fields where the first row has 2",
        "ragged row: 1 fields where the first row has 2",
    ]


def test_a_line_without_end_is_not_held_in_memory(tmp_path: Path) -> None:
    found = entries(tmp_path / "a.smi", b"CCO\n" + b"C" * 5_000_000 + b"\nCCN\n")
    assert [line for line, _, _ in found] == [1, 2, 3]
    assert len(found[1][1]) <= 2000


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"id": [1, 2, 3], "SMILES": ["CCO", None, "CCN x"]})
    pyarrow.parquet.write_table(table, path)
    file = MoleculeFile(path)
    assert list(file) == [Entry(1, "CCO"), Entry(2, "", "missing value"), Entry(3, "CCN")]
    assert file.lines == 3
    with pytest.raises(DataError, match="column 'id' holds int64, not text"):
        list(MoleculeFile(path, "id"))
    with pytest.raises(DataError, match="no column 'SMILE'; did you mean 'SMILES'"):
        list(MoleculeFile(path, "SMILE"))


@pytest.mark.parametrize("dictionary", [False, True])
def test_parquet_with_bytes_that_are_no_text(tmp_path: Path, dictionary: bool) -> None:
    path = tmp_path / "a.parquet"
    texts = pa.array([b"CCO", b"CC\xe9O", None], pa.binary()).view(pa.string())
    pyarrow.parquet.write_table(
        pa.table({"smiles": texts.dictionary_encode() if dictionary else texts}), path
    )
    assert list(MoleculeFile(path)) == [
        Entry(1, "CCO"),
        Entry(2, "CC\udce9O", "bytes that are not UTF-8 text"),
        Entry(3, "", "missing value"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "column", "message"),
    [
        ("a.smi", b"", None, "the file is empty"),
        ("a.smi.gz", b"CCO\n", None, "damaged or cut short"),
        ("a.smi.gz", gzip.compress(b"CCO\n" * 9999)[:-20], None, "damaged or cut short"),
        ("a.smi.xz", lzma.compress(b"CCO\n" * 9999)[:-30], None, "damaged or cut short"),
        ("a.smi.xz", b"CCO\n", None, "damaged or cut short"),
        ("a.smi.zst", b"CCO\n", None, "damaged or cut short"),
        ("a.parquet", b"CCO\n", None, "not a readable parquet file"),
        ("a.csv", "smiles\nCCO\n".encode("utf-16"), None, "UTF-16"),
        ("a.csv", b"name,price\nx,1\n", None, "no column of SMILES found .columns: name, price."),
        ("a.csv", b"name,smiles\nx,CCO\n", "smile", "no column 'smile'; did you mean 'smiles'"),
        ("a.csv", b'"CCO,1\nCCN,2\n', None, "line 1: stray quote"),
    ],
)
def test_files_that_cannot_be_used(
    tmp_path: Path, name: str, content: bytes, column: str | None, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        list(MoleculeFile(path, column))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst", ".parquet"])
def test_a_file_that_unpacks_to_far_more_than_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(reading, "MAX_UNPACKED_CHARACTERS", 10_000)
    path = tmp_path / f"bomb.smi{suffix}"
    lines = b"C\n" * 400_000
    if suffix == ".parquet":
        path = tmp_path / "bomb.parquet"
        pyarrow.parquet.write_table(pa.table({"smiles": ["C"] * 400_000}), path, compression="zstd")
    else:
        pack: dict[str, Any] = {".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstandard.compress}
        path.write_bytes(pack[suffix](lines))
    file = MoleculeFile(path)
    with pytest.raises(DataError, match="unpacks to more than 100 times its size, as no molecules do"):
        deque(file, maxlen=0)
    # It is looked at after each thousand lines.
    most = max(10_000, reading.MAX_UNPACKED_RATIO * file.size) / reading.LINE_WEIGHT
    assert 0 < file.lines < most + 1000


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.smi.zip", "a.7z", "a.smi.bz2", "a.tgz"])
def test_archives_are_not_opened(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../../escape.smi"))
    with pytest.raises(UsageError, match=f"{name}: unknown kind of file; use .smi"):
        list(MoleculeFile(path))
    # Nor by another name: what they hold is lines that are no molecules, and goes nowhere.
    path = path.rename(tmp_path / "a.smi.gz")
    assert all(entry.problem for entry in MoleculeFile(path))
    assert list(tmp_path.iterdir()) == [path]


def test_names_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        MoleculeFile(tmp_path / "none.smi")
    (tmp_path / "folder.smi").mkdir()
    with pytest.raises(DataError, match="is a directory"):
        MoleculeFile(tmp_path / "folder.smi")
    for name in ("a.sdf", "a", "a.parquet.gz", "a.gz"):
        with pytest.raises(UsageError, match="unknown kind of file"):
            MoleculeFile(tmp_path / name)
