"""`moldesign corpora` as a user types it."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest
from typer.testing import CliRunner

from moldesign.cli.corpora import app
from moldesign.errors import DataError, UsageError


def run(*arguments: object) -> tuple[str, str]:
    """Standard output and standard error of a command; its error is raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout, result.stderr


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOLDESIGN_HOME", str(tmp_path / "home"))


def test_list_names_what_is_shipped() -> None:
    rows = json.loads(run("list", "--json")[0])
    assert {row["name"] for row in rows} >= {"zinc250k", "chembl_sample"}
    assert all(row["origin"] == "shipped" and Path(row["path"]).is_file() for row in rows)
    assert "zinc250k" in run("list")[0]


def test_show_prints_molecules_on_stdout_and_the_card_on_stderr() -> None:
    out, err = run("show", "zinc250k", "-n", "2")
    assert out == "CC(C)(C)c1ccc2occ(CC(=O)Nc3ccccc3F)c2c1\nC[C@@H]1CC(Nc2cncc(-c3nncn3C)c2)C[C@@H](C)C1\n"
    assert "ZINC" in err


def test_prepare_accounts_for_every_line(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("drug,y\nC[C@H](N)C(=O)[O-],1\nCC(N)C(=O)O,2\nrubbish,3\nCC[Si](C)C,4\n")
    output = tmp_path / "out.smi.gz"
    out, err = run(
        "prepare", source, "-o", output, "--column", "drug", "--no-stereo", "--elements", "C,N,O",
        "--workers", "1", "--json",
    )  # fmt: skip
    summary = json.loads(out)
    assert summary["lines"] == 5
    assert summary["kept"] == 1
    assert summary["duplicates"] == 1
    assert summary["rejected"] == {"element outside the set": 1, "not a SMILES (grammar)": 1}
    rejects = Path(summary["rejects"])
    assert rejects.name == "out.smi.gz.rejects.tsv"
    assert [line.split("\t")[1] for line in rejects.read_text().splitlines()[1:]] == ["3", "4", "5"]
    for shown in ("5 lines read", "duplicate", "rejected: element outside the set", "header"):
        assert shown in err
    assert "\x1b" not in err, "no colours and no progress bar where stderr is no terminal"


def test_names_and_molecules_of_others_steer_no_terminal(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "corpora"
    folder.mkdir(parents=True)
    corpus = folder / "a[red]\x1b[2J.smi.xz"
    corpus.write_bytes(lzma.compress("CCO\n\x1b[2J\x9b\u202e\n".encode()))
    corpus.with_name("a[red]\x1b[2J.md").write_text("# Card\n\x1b]0;owned\x07\n")
    shown, molecules, card = run("list")[0], *run("show", "a[red]\x1b[2J")
    report = run("prepare", corpus, "-o", tmp_path / "[b]\x1b.smi", "--workers", 1)[1]
    assert "a[red]\\x1b[2J" in shown
    assert molecules == "CCO\n\\x1b[2J\\x9b\\u202e\n"
    assert "\\x1b]0;owned\\x07" in card
    assert "[b]\\x1b.smi" in report
    for said in (shown, molecules, card, report):
        assert said.replace("\n", "").isprintable()


def test_an_output_that_exists_is_kept_unless_forced(tmp_path: Path) -> None:
    source, output = tmp_path / "in.smi", tmp_path / "out.smi"
    source.write_text("CCO\n")
    output.write_text("precious\n")
    with pytest.raises(UsageError, match="exists already"):
        run("prepare", source, "-o", output)
    assert output.read_text() == "precious\n"
    assert run("prepare", source, "-o", output, "--force", "--workers", 1)[0] == f"{output}\n"
    assert output.read_text() == "CCO\n"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["none.smi"], DataError, "none.smi: does not exist"),
        (["zinc205k"], UsageError, "did you mean 'zinc250k'"),
        (["in.smi", "--elements", "C,Q"], UsageError, "'Q' is no element"),
        (["in.smi", "--min-atoms", "9", "--max-atoms", "8"], UsageError, "--max-atoms 8"),
        (["in.smi", "--min-atoms", "9"], DataError, "none of 1 rows is an allowed molecule"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.smi").write_text("CCO\n")
    with pytest.raises(error, match=message):
        run("prepare", *arguments, "-o", "out.smi", "--workers", "1")
    assert [path.name for path in tmp_path.iterdir()] == ["in.smi"]
