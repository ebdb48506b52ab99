"""Files of any content: every line is accounted for, and what was written comes back with its line."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import lzma
import re
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import hypothesis.strategies as st
import pytest
import zstandard
from hypothesis import example, given

from moldesign.assets import corpus_path
from moldesign.errors import DataError
from moldesign.language.corpus import load
from moldesign.language.reading import KEPT_CHARACTERS, Entry, MoleculeFile

PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstandard.compress,
}  # fmt: skip

#: What tables are made of and what breaks them, in any order; and bytes of any kind.
BYTES = st.one_of(
    st.lists(
        st.sampled_from(
            [b"CCO", b"c1ccccc1", b"smiles", b"SMILES", b"name", b"NA", b"None", b"1.5", b"=x", b"\n", b"\n",
             b"\r", b"\r\n", b",", b";", b"\t", b" ", b'"', b'""', b"\0", b"\xff", b"\xe9", b"\xef\xbb\xbf",
             b"\x1b[2J", b"\xe2\x80\xa8", b"\x0b", b"\x1a"]
        ),
        min_size=1,
        max_size=40,
    ).map(b"".join),
    st.binary(min_size=1, max_size=60),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def lines_in(content: bytes) -> int:
    """Lines of a text that ends them with LF, CR LF or CR."""
    text = content.decode("utf-8-sig", "surrogateescape")
    return len(re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", text))


@given(content=BYTES, suffix=st.sampled_from([".smi", ".csv", ".tsv"]), packing=st.sampled_from(list(PACK)))
@example(b'smiles,y\n"CCO,1\nCCN,2\n', ".csv", "")
@example(b"\xef\xbb\xbf", ".smi", "")
@example(b"\r", ".csv", ".gz")
def test_every_line_of_any_file_is_an_entry_a_header_or_part_of_a_row(
    folder: Path, content: bytes, suffix: str, packing: str
) -> None:
    path = folder / f"any{suffix}{packing}"
    path.write_bytes(PACK[packing](content))
    file = MoleculeFile(path)
    try:
        entries = list(file)
    except DataError as error:
        message = str(error)
    else:
        message = ""
    if message:
        assert message.startswith(str(path))
        assert "\n" not in message
        return
    assert file.lines == lines_in(content)
    assert file.lines == file.headers + file.continued + len(entries)
    numbers = [entry.line for entry in entries]
    assert all(a < b for a, b in itertools.pairwise([0, *numbers, file.lines + 1]))
    for entry in entries:
        assert entry.problem or (entry.text and not set(entry.text) & set(" \t\0"))
        assert len(entry.text) <= KEPT_CHARACTERS
    # Who wants every line to hold a molecule hears of the first that does not.
    wrong = next((entry for entry in entries if entry.problem), None)
    if entries and wrong is None:
        assert load(path) == [entry.text for entry in entries]
    elif wrong is not None:
        with pytest.raises(DataError, match=rf", line {wrong.line}: {re.escape(str(wrong.problem))}"):
            load(path)


NOTES = st.text(alphabet='ab ,;"\n\t=\u00e9', max_size=12)
SMILES = st.sampled_from(["CCO", "c1ccccc1", "C[C@H](N)C(=O)O", "[Na+].[Cl-]", "F/C=C/F", "N#N"])


@given(
    rows=st.lists(st.tuples(SMILES, NOTES), min_size=1, max_size=12),
    delimiter=st.sampled_from(",;\t"),
    first=st.booleans(),
    ending=st.sampled_from(["\n", "\r\n"]),
    mark=st.booleans(),
)
def test_a_table_that_was_written_well_comes_back_with_its_lines(
    folder: Path, rows: list[tuple[str, str]], delimiter: str, first: bool, ending: str, mark: bool
) -> None:
    order = (0, 1) if first else (1, 0)
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=ending)
    writer.writerow([("smiles", "note")[i] for i in order])
    writer.writerows([[row[i] for i in order] for row in rows])
    path = folder / ("table.tsv" if delimiter == "\t" else "table.csv")
    path.write_bytes((b"\xef\xbb\xbf" if mark else b"") + buffer.getvalue().encode())
    file = MoleculeFile(path)
    line, expected = 2, []
    for smiles, note in rows:
        expected.append(Entry(line, smiles))
        line += 1 + note.count("\n")
    assert list(file) == expected
    assert (file.headers, file.continued) == (1, line - 2 - len(rows))


@pytest.fixture(scope="module")
def molecules() -> list[str]:
    return [entry.text for entry in islice(MoleculeFile(corpus_path("chembl_sample")), 400)]


@pytest.mark.parametrize("packing", [".gz", ".xz", ".zst"])
def test_a_packed_file_that_is_cut_short_is_never_a_shorter_file(
    folder: Path, molecules: list[str], packing: str
) -> None:
    whole = PACK[packing]("\n".join(molecules).encode())
    # Of two files one after the other too, which gzip, xz and zstd allow.
    for content, percents in ((whole, range(1, 100)), (whole + whole, range(3, 100, 10))):
        path = folder / f"cut.smi{packing}"
        for percent in percents:
            size = len(content) * percent // 100
            if size == len(whole):
                continue  # the first of two, whole
            path.write_bytes(content[:size])
            with pytest.raises(DataError, match=r"damaged or cut short after line \d+"):
                list(MoleculeFile(path))


def test_a_plain_file_that_is_cut_short_loses_its_end_and_spoils_one_molecule(
    folder: Path, molecules: list[str]
) -> None:
    table = "smiles,id\n" + "".join(f"{smiles},{i}\n" for i, smiles in enumerate(molecules))
    path = folder / "cut.csv"
    for percent in range(1, 101):
        cut = table[: len(table) * percent // 100]
        path.write_text(cut)
        found = [(entry.text, entry.problem) for entry in MoleculeFile(path)]
        whole = cut.count("\n") - 1
        assert found[:whole] == [(smiles, None) for smiles in molecules[:whole]]
        assert len(found) <= whole + 1
        # A row that has lost its comma is told by its width.
        if len(found) > whole and "," not in cut.splitlines()[-1]:
            assert found[-1][1] == "ragged row: 1 fields where the first row has 2"


@pytest.mark.parametrize("packing", [".gz", ".xz", ".zst"])
def test_a_file_that_unpacks_to_nothing_but_size_is_not_read_to_its_end(folder: Path, packing: str) -> None:
    path = folder / f"bomb.smi{packing}"
    path.write_bytes(PACK[packing](b"CCO\n" + b"C" * (12 << 20)))
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match="unpacks to more than 100 times its size"):
        list(MoleculeFile(path))
