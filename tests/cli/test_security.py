"""What strangers may put into files runs nothing, writes nowhere and steers no terminal: the real command."""

from __future__ import annotations

import csv
import gzip
import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

#: A scorer that was written without care: it puts each SMILES into a line for a shell, and among arguments.
CARELESS = """#!/bin/sh
while IFS= read -r smiles; do
    printf '%s\\n' "$smiles" >> got.txt
    sh -c "true $smiles" > /dev/null 2>&1
    grep $smiles /dev/null > /dev/null 2>&1
    echo "1"
done | { echo "score"; cat; }
"""
HOSTILE = [
    ";touch fooled",
    "$(touch fooled)",
    "`touch fooled`",
    "C;touch${IFS}fooled",
    "C|touch>fooled",
    "C&touch<fooled",
    "C\nC;touch fooled",
    "C\0C",
    "-f/etc/passwd",
    "--help",
    "../../etc/passwd",
    "=HYPERLINK(0)",
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m\u202eCCO",
    "[red]CCO[/blue]",
]
#: SMILES with all the signs that a shell reads and a molecule may have.
HARMLESS = {
    "C$C": "C$C",
    "C(=O)(N)C#N": "N#CC(N)=O",
    r"F/C=C\F": r"F/C=C\F",
    "*CC": "*CC",
    "[13CH4]~C": "C~[13CH4]",
}

COMMAND = """
[[components]]
reward = "command"
parameters = { command = ["./careless.sh"], mode = "stdin", answer = "csv" }
shaping = { kind = "linear", zero = 0, one = 1 }
"""


def test_hostile_smiles_reach_a_careless_program_inert(moldesign: Any, tmp_path: Path) -> None:
    program = tmp_path / "careless.sh"
    program.write_text(CARELESS)
    program.chmod(0o755)
    # The program is one that can be fooled.
    subprocess.run([program], input=b";touch fooled\n", cwd=tmp_path, check=True, capture_output=True)
    for left in ("fooled", "got.txt"):
        (tmp_path / left).unlink()

    with (tmp_path / "in.csv").open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([["smiles"], *([one] for one in [*HOSTILE, *HARMLESS])])
    (tmp_path / "goal.toml").write_text(COMMAND)
    before = {path.name for path in tmp_path.iterdir()}
    done = moldesign(
        "score", "in.csv", "--objective", "goal.toml", "--trust-plugin", "careless.sh", cwd=tmp_path
    )
    assert done.code == 0, done.err

    assert {path.name for path in tmp_path.iterdir()} == before | {"got.txt"}
    assert (tmp_path / "got.txt").read_text().splitlines() == list(HARMLESS.values())
    rows = list(csv.DictReader(io.StringIO(done.out)))
    # One of them runs over two lines, of which each is refused.
    statuses = ["invalid"] * (len(HOSTILE) + 1) + ["scored"] * len(HARMLESS)
    assert [row["status"] for row in rows] == statuses
    # What was read is shown, in a form that runs in no spreadsheet and steers no terminal.
    assert (done.out + done.err).replace("\n", "").isprintable()
    shown = [row["smiles"] for row in rows]
    assert {"'-f/etc/passwd", "'--help", "'=HYPERLINK(0)", "\\x1b[2J\\x1b]0;owned\\x07"} <= set(shown)
    assert not any(text.startswith(("=", "+", "-", "@", "\t", "\r")) for text in shown)
    assert [row["score"] for row in rows][-5:] == ["1"] * 5


PYTHON = '[[components]]\nreward = "mine.py:f"\n'
OBJECTIVES = {
    "a program": (COMMAND, "runs ./careless.sh: if you trust it, add --trust-plugin ./careless.sh"),
    "python": (PYTHON, "runs mine.py: if you trust it, add --trust-plugin mine.py"),
    "the flag": (f'trust_plugin = ["mine.py"]\n{PYTHON}', "unknown key 'trust_plugin'"),
}


@pytest.mark.parametrize("what", OBJECTIVES)
def test_a_file_of_another_runs_nothing(moldesign: Any, tmp_path: Path, what: str) -> None:
    text, said = OBJECTIVES[what]
    (tmp_path / "careless.sh").write_text("#!/bin/sh\ntouch ran\n")
    (tmp_path / "careless.sh").chmod(0o755)
    (tmp_path / "mine.py").write_text("open('ran', 'w')\ndef f(smiles): return [1.0] * len(smiles)\n")
    (tmp_path / "received").mkdir()
    config = text.replace("[[components]]", "[[objective.components]]")
    (tmp_path / "received" / "config.toml").write_text(f'prior = "druglike"\n{config}')
    # A folder that somebody else packed may hold modules called like those that are imported.
    for module in ("torch", "numpy", "pydantic", "sitecustomize"):
        (tmp_path / f"{module}.py").write_text("open('ran', 'w')\n")
    done = moldesign("optimize", "--config", "received/config.toml", "-o", "run", cwd=tmp_path)
    assert done.code == 2, done.err
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "run").exists()


def test_archives_are_refused(moldesign: Any, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "in.tar.gz", "w:gz") as archive:
        for name in ("../escape.smi", "/tmp/escape.smi"):
            archive.addfile(tarfile.TarInfo(name))
        link = tarfile.TarInfo("link.smi")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    done = moldesign("corpora", "prepare", "in.tar.gz", "-o", "out.smi", cwd=tmp_path)
    assert done.code == 2
    assert done.err.startswith("moldesign: in.tar.gz: unknown kind of file; use .smi")
    assert len(done.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.tar.gz"]


def test_a_bomb_is_refused(moldesign: Any, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "in\x1b[2J.smi.gz", "wb", 9) as handle:
        for _ in range(12):
            handle.write(bytes(2**20))
    done = moldesign("score", "in\x1b[2J.smi.gz", "--objective", "qed", "-o", "out.csv", cwd=tmp_path)
    assert done.code == 3, done.err
    assert done.err.startswith("moldesign: in\\x1b[2J.smi.gz: unpacks to more than 100 times its size")
    assert not (tmp_path / "out.csv").exists()
