"""Preparing a corpus: what is kept, what is refused, and what is written."""

from __future__ import annotations

import gzip
import lzma
import random
from itertools import islice
from pathlib import Path

import pytest
import zstandard

from moldesign.assets import corpus_path
from moldesign.chem.molecules import Standard, read, standardise
from moldesign.errors import DataError, UsageError
from moldesign.language.corpus import SeenHashes, load, prepare, write
from moldesign.language.reading import MoleculeFile


def shipped(count: int) -> list[str]:
    """The first molecules of a shipped corpus."""
    return [entry.text for entry in islice(MoleculeFile(corpus_path("chembl_sample")), count)]


def test_every_line_is_kept_or_refused_with_its_number_and_reason(tmp_path: Path) -> None:
    first = tmp_path / "first.smi"
    second = tmp_path / "second.csv"
    first.write_bytes(
        b"CCO\nOCC ethanol again\n\n[Na+].CC(=O)[O-]\nC[C@H](N)C(=O)O\n"
        b"CC[Hg]C\n[C+256]CC\nC1CC\nC\xffC\n=cmd\tx\n"
    )
    second.write_bytes(b'id,smiles\n1,NCCC\n2,CC(=O)O\n3,"CCC\n4,CCCl\n')
    output = tmp_path / "out.smi"
    rejects = tmp_path / "rejects.tsv"
    report = prepare([first, second], output, rejects=rejects, workers=2)
    assert output.read_text().split() == ["CCO", "CC(=O)O", "C[C@H](N)C(=O)O", "CCCN", "CCCl"]
    assert (report.lines, report.headers, report.continued) == (15, 1, 0)
    assert (report.kept, report.duplicates, report.rejected.total()) == (5, 2, 7)
    assert report.lines == report.headers + report.continued + report.rows
    assert report.rejected["atom charge beyond 8"] == 1
    assert rejects.read_text().splitlines() == [
        "file\tline\ttext\treason",
        "first.smi\t2\tOCC\tduplicate",
        "first.smi\t3\t\tblank line",
        "first.smi\t6\tCC[Hg]C\telement outside the set: Hg",
        "first.smi\t7\t[C+256]CC\tatom charge beyond 8: [C+256]",
        "first.smi\t8\tC1CC\tnot a SMILES (grammar)",
        "first.smi\t9\tC\\udcffC\tbytes that are not UTF-8 text",
        "first.smi\t10\t'=cmd\tnot a SMILES (grammar)",
        "second.csv\t3\tCC(=O)O\tduplicate",
        'second.csv\t4\t3,"CCC\tstray quote: unexpected end of data',
    ]


def test_rejects_run_in_no_spreadsheet_and_steer_no_terminal(tmp_path: Path) -> None:
    source = tmp_path / "=cmd|\x1b[2J\tß.smi"
    source.write_bytes(b'CCO\n"=1+1"\n@SUM\n\x1b]0;x\x07\n')
    rejects = tmp_path / "rejects.tsv"
    prepare([source], tmp_path / "out.smi", rejects=rejects, workers=1)
    rows = [line.split("\t") for line in rejects.read_text(encoding="ascii").splitlines()[1:]]
    assert [row[2] for row in rows] == ['\'"=1+1"', "'@SUM", "\\x1b]0;x\\x07"]
    assert {row[0] for row in rows} == {"'=cmd|\\x1b[2J\\t\\xdf.smi"}


def test_the_same_bytes_for_any_number_of_workers(tmp_path: Path) -> None:
    lines = shipped(700)
    lines += [*random.Random(0).sample(lines, 300), "rubbish", "C" * 2000]
    source = tmp_path / "in.smi"
    source.write_text("\n".join(lines))
    written = []
    for workers in (1, 3):
        output, rejects = tmp_path / f"{workers}.smi.xz", tmp_path / f"{workers}.tsv"
        report = prepare([source], output, rejects=rejects, workers=workers)
        assert report.kept == 700
        assert report.duplicates == 300
        written.append((output.read_bytes(), rejects.read_bytes(), report.sha256))
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("name", "unpack"),
    [
        ("a.smi", bytes),
        ("a.smi.gz", gzip.decompress),
        ("a.smi.xz", lzma.decompress),
        ("a.smi.zst", lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)),
        ("a.csv", bytes),
        ("a.csv.gz", gzip.decompress),
    ],
)
def test_what_is_written_is_read_back(tmp_path: Path, name: str, unpack: type[bytes]) -> None:
    smiles = shipped(50)
    write(tmp_path / name, smiles)
    expected = "\n".join((["smiles"] if "csv" in name else []) + smiles) + "\n"
    assert unpack((tmp_path / name).read_bytes()).decode() == expected
    assert load(tmp_path / name) == smiles
    once = (tmp_path / name).read_bytes()
    write(tmp_path / name, smiles)
    assert (tmp_path / name).read_bytes() == once, "no time stamp in the file"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\n\n", "none of 3 rows is an allowed molecule .most often, 3 times: blank line"),
        (b"rubbish\nmore rubbish\n", "none of 2 rows is an allowed molecule"),
        (b"smiles\n", "no line with a molecule"),
        (random.Random(0).randbytes(20_000), "none of"),
    ],
)
def test_rubbish_is_an_error_of_one_line_and_leaves_nothing(
    tmp_path: Path, content: bytes, message: str
) -> None:
    source = tmp_path / "in.smi"
    source.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        prepare([source], tmp_path / "out.smi", rejects=tmp_path / "r.tsv", workers=1)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [source]


def test_a_file_that_ends_badly_leaves_an_older_output_alone(tmp_path: Path) -> None:
    source = tmp_path / "in.smi.gz"
    source.write_bytes(gzip.compress("\n".join(shipped(2000)).encode())[:-9])
    output = tmp_path / "out.smi"
    output.write_text("CCO\n")
    with pytest.raises(DataError, match="damaged or cut short"):
        prepare([source], output, workers=1)
    assert output.read_text() == "CCO\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.smi.gz", "out.smi"]


def test_outputs_that_cannot_be(tmp_path: Path) -> None:
    source = tmp_path / "in.smi"
    source.write_text("CCO\n")
    with pytest.raises(UsageError, match="is also an input"):
        prepare([source], source)
    with pytest.raises(UsageError, match="there is no directory"):
        prepare([source], tmp_path / "none" / "out.smi")
    with pytest.raises(UsageError, match="unknown kind of file"):
        prepare([source], tmp_path / "out.sdf")
    with pytest.raises(UsageError, match="is written as"):
        prepare([source], tmp_path / "out.parquet")
    with pytest.raises(UsageError, match="cannot be written"):
        prepare([source], Path("/proc/out.smi"))  # where nobody can make a file


def test_progress_ends_at_the_whole(tmp_path: Path) -> None:
    source = tmp_path / "in.smi"
    source.write_text("\n".join(shipped(600)))
    seen: list[tuple[float, int, int]] = []
    prepare([source], tmp_path / "out.smi", workers=1, progress=lambda *now: seen.append(now))
    assert [rows for _, rows, _ in seen] == [256, 512, 600]
    assert seen[-1][0] == 1.0


def test_seen_hashes_tell_new_from_met_as_a_set_does() -> None:
    generator = random.Random(1)
    hashes, met = SeenHashes(), set[str]()
    for size in (1, 0, 5, 1000, 3, 3, 3, 2000, 500, 1):
        texts = [str(generator.randrange(3000)) for _ in range(size)]
        expected = []
        for text in texts:
            expected.append(text not in met)
            met.add(text)
        assert hashes.add(texts) == expected


def test_load_names_the_line_that_holds_no_smiles(tmp_path: Path) -> None:
    path = tmp_path / "a.smi"
    path.write_text("CCO\n\nCCN\n")
    with pytest.raises(DataError, match=r"a\.smi, line 2: blank line; clean the file with"):
        load(path)
    with pytest.raises(UsageError, match="no corpus named 'zinc25k'"):
        load("zinc25k")


@pytest.mark.parametrize(
    ("name", "count", "standard"),
    [
        ("zinc250k", 249_456, Standard(neutralise=False, max_charge=8)),
        ("chembl_sample", 273_579, Standard(stereo=False)),
    ],
)
def test_shipped_corpora_are_clean_and_unique(name: str, count: int, standard: Standard) -> None:
    smiles = load(name)
    assert len(smiles) == count
    assert len(set(smiles)) == count
    for text in random.Random(0).sample(smiles, 500):
        assert standardise(read(text), standard) == text
