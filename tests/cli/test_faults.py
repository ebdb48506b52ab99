"""Broken files, plugins and disks through the command: exit code, one clear line, nothing half-written."""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import zstandard

from moldesign.chem.molecules import read
from moldesign.language.tokenizer import END_INDEX, SPECIALS, Tokenizer
from moldesign.policy.checkpoint import Provenance, save_policy
from moldesign.policy.policy import Policy
from moldesign.policy.settings import Architecture
from moldesign.rewards import trust
from moldesign.rewards.objective import Objective

#: A chain of whole molecules that every reader takes.
GOOD = "".join(f"{'C' * (i % 30 + 3)}O{'N' * (i % 3)}\n" for i in range(90)).encode()
SMALL = ["--layers", 1, "--hidden-size", 16, "--embedding-size", 8, "--epochs", 1]


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file in the folder, temporary ones too; a pipe is not opened."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(done: Any, code: int, *said: str) -> None:
    """One line, the exit code, nothing else."""
    assert done.code == code, done.err
    assert done.err.startswith("moldesign: ")
    assert len(done.err.splitlines()) == 1, done.err
    assert len(done.err) < 1500
    assert done.err.strip().isprintable()
    assert "Traceback" not in done.err
    assert "internal error" not in done.err
    for part in said:
        assert part in done.err
    assert done.out == ""


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


# ---------------------------------------------------------------------------------- files of molecules

#: File name, content, and line, status and reason of each of its rows.
READ: dict[str, tuple[str, bytes, list[tuple[int, str, str]]]] = {
    "ragged rows": (
        "a.csv",
        b"smiles,name\nCCO,a\nCC,b,c\nCCN\nCCC,d\n",
        [(2, "scored", ""), (3, "invalid", "ragged row: 3 fields"), (4, "invalid", "ragged row: 1"),
         (5, "scored", "")],
    ),
    "a stray quote": (
        "a.csv",
        b'smiles,name\n"CCO,a\nCCN,b\nCCC,"c\nCCCl,d\n',
        [(2, "invalid", "stray quote"), (3, "scored", ""), (4, "invalid", "stray quote"), (5, "scored", "")],
    ),
    "a quoted line break": (
        "a.csv",
        b'smiles,name\nCCO,"a\nb"\n"C\nC",c\nCCN,d\n',
        [(2, "scored", ""), (4, "invalid", "stray quote"), (5, "invalid", "character that"),
         (6, "scored", "")],
    ),
    "a byte order mark": ("a.csv", b"\xef\xbb\xbfsmiles\nCCO\n", [(2, "scored", "")]),
    "NUL bytes": (
        "a.csv", b"smiles,n\nCC\0O,1\nCCN,\0\n", [(2, "invalid", "NUL byte"), (3, "scored", "")]
    ),
    "Latin-1": (
        "a.csv", b"smiles,n\nCC\xe9O,a\nCCO,\xe9\n",
        [(2, "invalid", "bytes that are not UTF-8"), (3, "scored", "")],
    ),
    "CR line ends": ("a.csv", b"smiles,n\rCCO,1\rCCN,2\r", [(2, "scored", ""), (3, "scored", "")]),
    "one header twice": ("a.csv", b"smiles,smiles\nCCO,rubbish\n", [(2, "scored", "")]),
    "names that mean nothing": (
        "a.csv", b"smiles,n\nNA,1\nnull,2\nNone,3\n,4\n\nCCO,nan\n",
        [(2, "invalid", "missing value"), (3, "invalid", "missing value"), (4, "invalid", "missing value"),
         (5, "invalid", "blank line"), (6, "invalid", "blank line"), (7, "scored", "")],
    ),
    "formulas": (
        "a.csv", b"smiles\n=1+1\n@SUM(A1)\nCCO\n",
        [(2, "invalid", "not a SMILES"), (3, "invalid", "not a SMILES"), (4, "scored", "")],
    ),
    "a line of 100 MB": (
        "a.smi", b"CCO\n" + b"C" * 100_000_000 + b"\nCCN\n",
        [(1, "scored", ""), (2, "invalid", "longer than 1000 characters"), (3, "scored", "")],
    ),
    "nothing but rubbish": (
        "a.smi", b"this\nis\nrubbish\n",
        [(1, "invalid", "not a SMILES"), (2, "invalid", "not a SMILES"), (3, "invalid", "not a SMILES")],
    ),
    "one molecule again and again": (
        "a.smi", b"CCO\nOCC\nC(C)O\n" * 20, [(i, "scored", "") for i in range(1, 61)]
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", READ)
def test_what_can_be_read_of_a_broken_table_is_scored(forks: Any, tmp_path: Path, fault: str) -> None:
    name, content, expected = READ[fault]
    (tmp_path / name).write_bytes(content)
    done = forks("score", name, "--objective", "qed", "-o", "out.csv", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    found = table_of(tmp_path / "out.csv")
    assert [(int(row["line"]), row["status"]) for row in found] == [row[:2] for row in expected]
    for row, (_, _, reason) in zip(found, expected, strict=True):
        assert row["reason"].startswith(reason) if reason else row["reason"] == ""
        assert bool(row["score"]) == (row["status"] == "scored")
        assert not row["smiles"].startswith(("=", "+", "-", "@"))
    facts = json.loads(done.out)
    assert facts["rows"] == len(expected)
    assert (tmp_path / "out.csv").stat().st_size < 100_000
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "out.csv"])


def as_is(content: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(content)

    return make


#: File name, how it comes to be, exit code, and what is said.
UNREADABLE: dict[str, tuple[str, Callable[[Path], object], int, str]] = {
    "no file": ("a.smi", lambda path: None, 3, "a.smi: does not exist"),
    "an empty file": ("a.csv", as_is(b""), 3, "a.csv: the file is empty"),
    "a header and nothing else": ("a.csv", as_is(b"smiles,name\n"), 3, "a.csv: no line with a molecule"),
    "no column of SMILES": ("a.csv", as_is(b"name,price\nx,1\n"), 3, "no column of SMILES found"),
    "columns of a megabyte": (
        "a.csv", as_is(b"x" * 500_000 + b"," + b"y" * 500_000 + b"\n1,2\n"), 3, "no column of SMILES"
    ),
    "columns that a terminal obeys": (
        "a.csv", as_is(b"\x1b[2Jname,\x07x\n1,2\n"), 3, r"columns: '\x1b[2Jname', '\x07x'"
    ),
    "a quote that opens the file": ("a.csv", as_is(b'"smiles,name\nCCO,a\n'), 3, "line 1: stray quote"),
    "UTF-16": ("a.csv", as_is("smiles\nCCO\n".encode("utf-16")), 3, "the text is UTF-16; save it as UTF-8"),
    "a directory": ("a.smi", Path.mkdir, 3, "a.smi: is a directory"),
    "a pipe": ("a.smi", os.mkfifo, 3, "a.smi: is a pipe or a device"),
    "a device": ("a.smi", lambda path: path.symlink_to("/dev/zero"), 3, "a.smi: is a pipe or a device"),
    "another kind of file": ("a.sdf", as_is(b"CCO\n"), 2, "unknown kind of file"),
    "text in place of gzip": ("a.smi.gz", as_is(b"CCO\n"), 3, "damaged or cut short"),
    "gzip cut short": ("a.smi.gz", as_is(gzip.compress(GOOD)[:-9]), 3, "damaged or cut short"),
    "xz cut short": ("a.smi.xz", as_is(lzma.compress(GOOD)[:-9]), 3, "damaged or cut short"),
    "zstandard cut short": ("a.smi.zst", as_is(zstandard.compress(GOOD)[:-9]), 3, "damaged or cut short"),
    "a bomb": ("a.smi.zst", as_is(zstandard.compress(b"C" * (1 << 26))), 3, "unpacks to more than 100 times"),
    "parquet that is none": ("a.parquet", as_is(b"PAR1" + b"\0" * 64 + b"PAR1"), 3, "not a readable parquet"),
}  # fmt: skip


@pytest.mark.parametrize("fault", UNREADABLE)
@pytest.mark.parametrize(
    "command",
    ["score {} --objective qed -o out", "corpora prepare {} -o out.smi", "pretrain {} -o out"],
    ids=["score", "prepare", "pretrain"],
)
def test_a_file_that_cannot_be_read_is_one_line(forks: Any, tmp_path: Path, command: str, fault: str) -> None:
    name, make, code, said = UNREADABLE[fault]
    make(tmp_path / name)
    before = content_of(tmp_path)
    refused(forks(*command.format(name).split(), cwd=tmp_path), code, f"{name}", said)
    assert content_of(tmp_path) == before
    assert not (tmp_path / "out").exists()


def test_a_corpus_is_made_of_what_can_be_read(forks: Any, tmp_path: Path) -> None:
    lines = 0
    for fault, (name, content, expected) in READ.items():
        (tmp_path / f"{fault.replace(' ', '_')}{Path(name).suffix}").write_bytes(content)
        lines += len(expected)
    names = sorted(path.name for path in tmp_path.iterdir())
    done = forks("corpora", "prepare", *names, "-o", "out.smi", "--workers", 1, "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    assert facts["lines"] == facts["headers"] + facts["continued"] + lines
    assert facts["kept"] + facts["duplicates"] + sum(facts["rejected"].values()) == lines
    assert sorted((tmp_path / "out.smi").read_text().split()) == ["CCC", "CCCl", "CCN", "CCO"]


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"rubbish\nmore\n", 3, "none of 2 rows is an allowed molecule (most often, 2 times: not a SMILES"),
        (b"CCO\n" * 300, 0, "299"),
    ],
    ids=["all invalid", "all the same"],
)
def test_a_corpus_of_one_kind_of_line(
    forks: Any, tmp_path: Path, content: bytes, code: int, said: str
) -> None:
    (tmp_path / "a.smi").write_bytes(content)
    done = forks("corpora", "prepare", "a.smi", "-o", "out.smi", "--workers", 1, cwd=tmp_path)
    if code:
        refused(done, code, said)
        assert [path.name for path in tmp_path.iterdir()] == ["a.smi"]
    else:
        assert done.code == 0
        assert said in done.err
        assert (tmp_path / "out.smi").read_text() == "CCO\n"


# --------------------------------------------------------------------- molecules that RDKit falls over

#: What crashed RDKit or took it seconds to hours when it was read, canonicalised or described, by name.
HAZARDS = {
    "40,000 characters of benzene": "c1ccccc1" * 5000,
    "a ring of 20,000 atoms": "C1" + "C" * 19_998 + "1",
    "300 phenylenes": "c1ccc(cc1)" * 300,
    "100,000 carbons": "C" * 100_000,
    "5,000 double bonds": "C" + "/C=C" * 5000,
    "a chain of 2,000": "C" * 2000,
    "a dendrimer": "C(C(C)(C)C)(C(C)(C)C)" * 90,
    "parentheses 400 deep": "C(" * 400 + "C" + ")" * 400,
    "twenty cyclobutanes in a ring": "C12CC(C1)" + "C1CC(C1)" * 18 + "C1CC2C1",
    "41 phenylenes in a ring": "c12ccc(cc1)" + "-c1ccc(cc1)" * 39 + "-c1ccc2cc1",
    "a cage of 4,156 rings": "C123C45C67C89C%10%11C%12%13C%14%15C%16%17C%18%19C%20%21C%22%23C11C44C26C58C7%10"
    "C9%12C%11%14C%13%16C%15%18C%17%20C%19%22C%211C3%234",
    "a torus of 200 atoms": "C12" + "C3C4C5C6C7C8" * 30 + "C12",
    "a charge that RDKit drops": "[C+256]",
    "a mass that RDKit drops": "[65536C]",
    "a letter that RDKit drops": "CCO\u0421",
    "a picture that RDKit drops": "CCO\U0001f600",
}  # fmt: skip
#: What is large or odd and yet within the limits.
WITHIN = {
    "250 carbons": "C" * 250,
    "124 double bonds": "C" + "/C=C" * 124,
    "C60": "c12c3c4c5c1c1c6c7c2c2c8c3c3c9c4c4c%10c5c5c1c1c6c6c%11c7c2c2c7c8c3c3c8c9c4c4c9c%10c5c5c1c1c6c6c%11"
    "c2c2c7c3c3c8c4c4c9c5c1c1c6c2c3c41",
    "seven phenylenes in a ring": "c12ccc(cc1)" + "-c1ccc(cc1)" * 5 + "-c1ccc2cc1",
    "250 fragments": ".".join("C" * 250),
    "any atom": "*",
    "nine atoms, each bound to four others": "C123C45C16C42C35C6" + "C" * 3,
}  # fmt: skip


@pytest.mark.parametrize("command", ["score", "prepare"])
def test_molecules_that_rdkit_falls_over_cost_themselves_alone(
    forks: Any, tmp_path: Path, command: str
) -> None:
    texts = {**HAZARDS, **WITHIN}
    lines = [line for text in texts.values() for line in (text, "CCO", "c1ccccc1O")]
    (tmp_path / "a.smi").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if command == "prepare":
        done = forks("corpora", "prepare", "a.smi", "-o", "out.smi", "--workers", 1, "--json", cwd=tmp_path)
        assert done.code == 0, done.err
        assert {"CCO", "Oc1ccccc1"} <= set((tmp_path / "out.smi").read_text().split())
        rejects = (tmp_path / "out.smi.rejects.tsv").read_text()
        refused_at = {int(row.split("\t")[1]) for row in rejects.splitlines()[1:]}
        assert {1 + 3 * i for i in range(len(HAZARDS))} <= refused_at
        return
    done = forks("score", "a.smi", "--objective", "druglike", "-o", "out.csv", cwd=tmp_path)
    assert done.code == 0, done.err
    status = [row["status"] for row in table_of(tmp_path / "out.csv")]
    assert status[0 : 3 * len(HAZARDS) : 3] == ["invalid"] * len(HAZARDS)
    assert status[1::3] == status[2::3] == ["scored"] * len(texts)
    assert "Traceback" not in done.err
    assert len(done.err) < 2000, "RDKit's own log is off"


# --------------------------------------------------------------------------------------------- plugins


def objective(function: str, path: str = "plugin.py", more: str = "") -> str:
    return f'[[components]]\nreward = "{path}:{function}"\nlimit_s = 0.5\n{more}'


#: Content of plugin.py (None: no file), the function that is named, exit code, and what is said.
NOT_LOADED: dict[str, tuple[str | None, str, int, str]] = {
    "a syntax error": ("def f(smiles) return 1\n", "f", 5, "SyntaxError"),
    "an error while it is imported": ("import no_such_module_at_all\n", "f", 5, "ModuleNotFoundError"),
    "sys.exit while it is imported": ("import sys\nsys.exit(0)\n", "f", 5, "SystemExit"),
    "no such function": ("def f(smiles): ...\n", "g", 5, "AttributeError"),
    "no function": ("f = 3\n", "f", 5, "neither an Entry nor a function"),
    "no text": ("\0\0", "f", 5, "cannot be loaded"),
    "not trusted": ("def f(smiles): ...\n", "f", 2, "if you trust it, add --trust-plugin"),
    "not there": (None, "f", 2, "--trust-plugin plugin.py: no such file"),
}


@pytest.mark.parametrize("fault", NOT_LOADED)
def test_a_plugin_that_cannot_be_loaded_is_one_line(forks: Any, tmp_path: Path, fault: str) -> None:
    text, function, code, said = NOT_LOADED[fault]
    (tmp_path / "goal.toml").write_text(objective(function))
    (tmp_path / "a.smi").write_bytes(GOOD)
    if text is not None:
        (tmp_path / "plugin.py").write_text(text)
    trust = [] if fault == "not trusted" else ["--trust-plugin", "plugin.py"]
    before = content_of(tmp_path)
    done = forks("score", "a.smi", "--objective", "goal.toml", *trust, "-o", "out.csv", cwd=tmp_path)
    refused(done, code, said)
    assert content_of(tmp_path) == before


DEEDS = """
import ctypes, itertools, os, subprocess, sys, time
import numpy as np

def raises(): raise KeyError("no such molecule")
def hang(): time.sleep(1000)
def spin():
    while True: pass
def segfault(): ctypes.string_at(0)
def leave(): os._exit(3)
def leave_softly(): sys.exit(3)
def exhaust(): return len(b"x" * (1 << 36))

DEEDS = {
    "CO": raises, "CCO": hang, "CCCO": spin, "CCCCO": segfault, "CCCCCO": leave, "CCCCCCO": leave_softly,
    "CCCCCCCO": exhaust, "CN": lambda: "0.5", "CCN": lambda: None, "CCCN": lambda: float("nan"),
    "CCCCN": lambda: float("-inf"), "CCCCCN": lambda: 1j, "CCCCCCN": lambda: np.complex128(1 + 1j),
    "CCCCCCCN": lambda: [0.5, 0.5], "CS": lambda: 1e999, "CCCS": lambda: {"score": 1},
    "CCCCS": lambda: 10**400,
}

def deeds(smiles):
    print("printed by the plugin")
    subprocess.run(["echo", "printed by a program"])
    values = [DEEDS[one]() if one in DEEDS else 0.5 for one in smiles]
    smiles.clear()
    return values

def too_few(smiles): return [0.5] * (len(smiles) - 1)
def too_many(smiles): return [0.5] * (len(smiles) + 1)
def endless(smiles): return itertools.repeat(0.5)
def no_arguments(): return 0.5
def two_arguments(smiles, other): return 0.5
def one_number(smiles): return 0.5
def text(smiles): return "0.5"
def nothing(smiles): pass
def a_table(smiles): return {one: 0.5 for one in smiles}
def rows(smiles): return np.full((len(smiles), 2), 0.5)
def half(smiles): return (0.5 for _ in smiles)
"""
REASONS = {
    "CO": "deeds: KeyError: 'no such molecule'",
    "CCO": "deeds: took longer than 0.5 s",
    "CCCO": "deeds: took longer than 0.5 s",
    "CCCCO": "deeds: killed the worker process (SIGSEGV)",
    "CCCCCO": "deeds: ended the worker process (exit code 3)",
    "CCCCCCO": "deeds: RuntimeError: called sys.exit(3)",
    "CCCCCCCO": "deeds: needs more memory than 4096 MB",
    "CN": "deeds: TypeError: gave text where a number belongs: '0.5'",
    "CCN": "deeds: gave no value",
    "CCCN": "deeds: gave no value",
    "CCCCN": "deeds: gave an infinite value",
    "CCCCCN": "deeds: TypeError: gave a complex number: 1j",
    "CCCCCCN": "deeds: TypeError: gave a complex number: (1+1j)",
    "CCCCCCCN": "deeds: TypeError: float() argument must be",
    "CS": "deeds: gave an infinite value",
    "CCCS": "deeds: TypeError: float() argument must be",
    "CCCCS": "deeds: OverflowError: int too large",
    "CCF": "",
    "CCCl": "",
}


def test_whatever_a_plugin_does_costs_its_molecule_alone_and_stays_out_of_the_table(
    forks: Any, tmp_path: Path
) -> None:
    (tmp_path / "plugin.py").write_text(DEEDS)
    (tmp_path / "goal.toml").write_text(objective("deeds"))
    (tmp_path / "a.smi").write_text("\n".join(REASONS))
    done = forks("score", "a.smi", "--objective", "goal.toml", "--trust-plugin", "plugin.py", cwd=tmp_path)
    assert done.code == 0, done.err
    rows = list(csv.DictReader(done.out.splitlines()))
    assert [row["smiles"] for row in rows] == list(REASONS)
    for row in rows:
        reason = REASONS[row["smiles"]]
        assert row["status"] == ("failed" if reason else "scored"), row
        assert row["score"] == ("" if reason else "0.5")
        assert row["reason"].startswith(reason)
    assert "printed by the plugin" in done.err
    assert "printed by a program" in done.err
    assert "19 molecules: 2 scored, 17 failed, 0 invalid" in done.err


NO_VALUES = {
    "too_few": "ValueError: gave 0 values for 1 molecules",
    "too_many": "ValueError: gave 2 values for 1 molecules",
    "endless": "ValueError: gave more than 1 values for 1 molecules",
    "no_arguments": "TypeError: no_arguments() takes 0 positional arguments but 1 was given",
    "two_arguments": "TypeError: two_arguments() missing 1 required positional argument",
    "one_number": "ValueError: needs one value a molecule, 1 in all; gave float",
    "text": "ValueError: needs one value a molecule, 1 in all; gave str",
    "nothing": "ValueError: needs one value a molecule, 1 in all; gave NoneType",
    "a_table": "ValueError: needs one value a molecule, 1 in all; gave dict",
    "rows": "TypeError: only 0-dimensional arrays can be converted",
}


def test_a_function_that_gives_no_values_fails_every_molecule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "_trusted", {})
    (tmp_path / "plugin.py").write_text(DEEDS)
    trust.trust([tmp_path / "plugin.py"])
    for function, said in NO_VALUES.items():
        goal = Objective.from_toml(objective(function, str(tmp_path / "plugin.py")))
        reasons = goal.evaluate([read("CCF"), read("CCCl")]).reasons
        assert [reason and reason.startswith(f"{function}: {said}") for reason in reasons] == [True, True]


@pytest.mark.parametrize(("molecules", "code"), [(2, 0), (40, 5)])
def test_a_plugin_that_gives_no_values_is_told_and_given_up(
    forks: Any, tmp_path: Path, molecules: int, code: int
) -> None:
    (tmp_path / "plugin.py").write_text(DEEDS)
    (tmp_path / "goal.toml").write_text(objective("no_arguments"))
    (tmp_path / "a.smi").write_text("".join(f"{'C' * i}F\n" for i in range(1, molecules + 1)))
    done = forks(
        "score", "a.smi", "--objective", "goal.toml", "--trust-plugin", "plugin.py", "-o", "out.csv",
        cwd=tmp_path,
    )  # fmt: skip
    if code:
        refused(done, 5, "'no_arguments' failed for each of the last 40 molecules")
        assert not (tmp_path / "out.csv").exists()
    else:
        assert done.code == 0, done.err
        assert {row["status"] for row in table_of(tmp_path / "out.csv")} == {"failed"}
        assert "2 molecules: 0 scored, 2 failed, 0 invalid" in done.err


MEDDLES = """
from moldesign.rewards.entry import Entry
from rdkit import Chem

def reward(mols):
    for mol in mols:
        Chem.Kekulize(mol, clearAromaticFlags=True)
        for atom in mol.GetAtoms():
            atom.SetAtomicNum(6)
            atom.SetFormalCharge(1)
    mols.clear()
    return [0.5] * 2

meddles = Entry("changes what it is given", "", lambda _: reward, unit_interval=True, cost_us=1.0)
"""


def test_a_plugin_that_changes_its_molecules_changes_no_other_value(forks: Any, tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text(MEDDLES)
    alone = '[[components]]\nreward = "qed"\n'
    (tmp_path / "alone.toml").write_text(alone)
    (tmp_path / "both.toml").write_text(objective("meddles", more=alone))
    (tmp_path / "a.smi").write_text("c1ccccc1O\nCC(=O)Nc1ccc(O)cc1\n")
    for name in ("alone", "both"):
        trust = ["--trust-plugin", "plugin.py"]
        done = forks(
            "score", "a.smi", "--objective", f"{name}.toml", *trust, "-o", f"{name}.csv", cwd=tmp_path
        )
        assert done.code == 0, done.err
    column = "qed_raw" if "qed_raw" in table_of(tmp_path / "alone.csv")[0] else "qed"
    values = [[row[column] for row in table_of(tmp_path / f"{name}.csv")] for name in ("alone", "both")]
    assert values[0] == values[1]
    assert all(values[0])


# ------------------------------------------------------------------------------ full disks, odd places

FULL = [
    ("score a.smi --objective qed -o out", (0, 100)),
    ("score a.smi --objective qed --explain --plot out.png", (0, 20_000)),
    ("sample -n 30 --prior small.safetensors -o out", (0, 100)),
    ("corpora prepare a.smi -o out.smi --workers 1", (0, 30)),
    ("corpora prepare a.smi -o out.smi.gz --workers 1", (0, 30)),
    ("corpora prepare a.smi -o out.smi.xz --workers 1", (0, 30)),
    ("corpora prepare a.smi -o out.smi.zst --workers 1", (0, 30)),
    ("rewards new mine -o out.py", (0, 100)),
]


@pytest.mark.parametrize(("command", "limits"), FULL, ids=[command for command, _ in FULL])
def test_a_disk_that_is_full_leaves_nothing_and_says_so(
    forks: Any, small_prior: Path, tmp_path: Path, command: str, limits: tuple[int, ...]
) -> None:
    (tmp_path / "a.smi").write_bytes(GOOD)
    (tmp_path / "small.safetensors").symlink_to(small_prior)
    before = content_of(tmp_path)
    for limit in limits:
        done = forks(*command.split(), cwd=tmp_path, limits={"RLIMIT_FSIZE": limit})
        assert done.code == 6, done.err
        assert "cannot be written (File too large): free some disk space" in done.err.splitlines()[-1]
        assert "Traceback" not in done.err
        assert content_of(tmp_path) == before


@pytest.mark.parametrize("limit", [0, 30, 120, 2000, 30_000])
def test_a_training_on_a_full_disk_ends_in_one_line(forks: Any, tmp_path: Path, limit: int) -> None:
    (tmp_path / "a.smi").write_bytes(GOOD)
    limits = {"RLIMIT_FSIZE": limit}
    done = forks("pretrain", "a.smi", "-o", "out", *SMALL, "--batch-size", 2, cwd=tmp_path, limits=limits)
    assert done.code == 6, done.err
    assert "cannot be written (File too large)" in done.err.splitlines()[-1]
    assert "Traceback" not in done.err
    assert not list(tmp_path.rglob(".tmp-*"))
    assert not (tmp_path / "out" / "prior.safetensors").exists()


def test_where_no_temporary_file_can_be_written_a_training_says_so(tmp_path: Path) -> None:
    """Torch looks for a folder for them when it is first asked for an optimizer, and finds none."""
    (tmp_path / "a.smi").write_bytes(GOOD)
    # Where torch has found one it is here, for its children.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TORCHINDUCTOR")}
    done = subprocess.run(
        [sys.executable, "-m", "moldesign", "pretrain", "a.smi", "-o", "out", *map(str, SMALL)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )  # fmt: skip
    assert done.returncode == 6, done.stderr
    assert "no folder for temporary files can be written to" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["score a.smi --objective qed", "sample -n 30 --prior small.safetensors"])
def test_a_device_that_takes_nothing(forks: Any, small_prior: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "a.smi").write_bytes(GOOD)
    (tmp_path / "small.safetensors").symlink_to(small_prior)
    done = forks(*command.split(), cwd=tmp_path, out=Path("/dev/full"))
    refused(done, 6, "cannot be written (No space left on device): free some disk space")
    done = forks(*command.split(), "-o", "/dev/full", "--force", cwd=tmp_path)
    refused(done, 6, "/dev/full: cannot be written (No space left on device)")


#: Where nobody can write, root neither.
@pytest.mark.parametrize("place", ["/proc/nowhere", "a.smi/nowhere", "folder", "none/nowhere"])
@pytest.mark.parametrize(
    "command",
    [
        "score a.smi --objective qed --force -o {}",
        "sample -n 5 --prior small.safetensors --force -o {}",
        "corpora prepare a.smi --force -o {}.smi",
        "rewards new mine --force -o {}.py",
        "pretrain a.smi -o {}",
    ],
    ids=["score", "sample", "prepare", "new", "pretrain"],
)
def test_a_place_where_nothing_can_be_written(
    forks: Any, small_prior: Path, tmp_path: Path, command: str, place: str
) -> None:
    if command.startswith("pretrain") and place in ("folder", "none/nowhere"):
        pytest.skip("a training makes its folder")
    (tmp_path / "a.smi").write_bytes(GOOD)
    (tmp_path / "small.safetensors").symlink_to(small_prior)
    for name in ("folder", "folder.smi", "folder.py"):
        (tmp_path / name).mkdir()
    before = content_of(tmp_path)
    refused(forks(*command.format(place).split(), cwd=tmp_path), 2, place)
    assert content_of(tmp_path) == before


# ---------------------------------------------------------------------------------------------- priors


def test_a_prior_cut_short_is_refused_wherever_it_was_cut(
    forks: Any, small_prior: Path, tmp_path: Path
) -> None:
    whole = small_prior.read_bytes()
    path = tmp_path / "cut.safetensors"
    for percent in (0, 1, 50, 99):
        path.write_bytes(whole[: len(whole) * percent // 100])
        for command in ("sample -n 5 -o out.csv --prior", "priors show"):
            done = forks(*command.split(), "cut.safetensors", cwd=tmp_path)
            refused(done, 4, "cut.safetensors: not a whole safetensors file")
    path.write_bytes(pickle.dumps({"weights": [1.0]}) * 100)
    refused(forks("sample", "--prior", "cut.safetensors", cwd=tmp_path), 4, "not a whole safetensors file")
    assert [one.name for one in tmp_path.iterdir()] == ["cut.safetensors"]


def test_a_broken_prior_hides_no_other(
    moldesign: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "priors").mkdir()
    (tmp_path / "priors" / "broken.safetensors").write_bytes(b"no prior")
    monkeypatch.setenv("MOLDESIGN_HOME", str(tmp_path))
    done = moldesign("priors", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    found = {row["name"]: row for row in json.loads(done.out)}
    assert "not a whole safetensors file" in found["broken"]["error"]
    assert found["druglike"]["molecules"] > 0


def prior_of(shares: dict[str, float], end: float, path: Path) -> Path:
    """A policy whose next letters have these shares, whatever stands before."""
    shape = Architecture(layers=1, hidden_size=8, embedding_size=4)
    policy = Policy.fresh(shape, Tokenizer([*SPECIALS, *shares]), seed=1)
    with torch.no_grad():
        for parameter in policy.network.parameters():
            parameter.zero_()
        bias = policy.network.head.bias
        bias.fill_(-100.0)
        bias[len(SPECIALS) :] = torch.tensor(list(shares.values())).log()
        bias[END_INDEX] = torch.tensor(end).log()
    save_policy(policy, path, Provenance(name="odd"))
    return path


@pytest.mark.parametrize(
    ("shares", "end", "calls"),
    [
        ({"(": 0.5, "C": 1e-30}, 0.5, (0, 0)),
        ({"C": 1.0, "(": 1e-30}, 1e-30, (0, 0)),
        ({"C": 0.3, "(": 1e-30}, 0.7, (1, 12)),
    ],
    ids=["all invalid", "never ending", "few molecules"],
)
def test_a_prior_that_writes_nothing_new_ends_the_run(
    forks: Any, tmp_path: Path, shares: dict[str, float], end: float, calls: tuple[int, int]
) -> None:
    prior_of(shares, end, tmp_path / "odd.safetensors")
    done = forks(
        "optimize", "qed", "--prior", "odd.safetensors", "--budget", 500, "--batch-size", 16,
        "--estimator", "dap", "--max-length", 20, "-o", "run", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    assert facts["stopped_by"].startswith("nothing new in")
    assert calls[0] <= facts["calls"] <= calls[1]
    assert "Traceback" not in done.err


def test_a_prior_with_fewer_molecules_than_asked_for(forks: Any, tmp_path: Path) -> None:
    prior_of({"C": 0.3, "(": 1e-30}, 0.7, tmp_path / "odd.safetensors")
    options = ["--prior", "odd.safetensors", "-n", 200, "--unique", "--valid-only", "-o", "out.csv"]
    refused(forks("sample", *options, cwd=tmp_path), 3, "of 200 such molecules found; raise --temperature")
    assert [path.name for path in tmp_path.iterdir()] == ["odd.safetensors"]


# ---------------------------------------------------------------- in a process of its own from the start


def test_a_reader_that_has_seen_enough(moldesign: Any, tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_bytes(GOOD * 40)
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stdout:
        process = moldesign.start("score", "a.smi", "--objective", "qed", cwd=tmp_path, stdout=stdout)
    assert os.read(reader, 6) == b'"line"'
    os.close(reader)
    _, err = process.communicate()
    assert process.returncode == 0
    assert "Traceback" not in err
    assert "Exception ignored" not in err


def test_a_broken_file_and_a_broken_plugin_in_fresh_processes(moldesign: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"name,price\nx,1\n")
    refused(moldesign("score", "a.csv", "--objective", "qed", cwd=tmp_path), 3, "a.csv: no column of SMILES")
    (tmp_path / "plugin.py").write_text("def f(smiles) return 1\n")
    (tmp_path / "goal.toml").write_text(objective("f"))
    (tmp_path / "a.smi").write_bytes(GOOD)
    done = moldesign(
        "score",
        "a.smi",
        "--objective",
        "goal.toml",
        "--trust-plugin",
        "plugin.py",
        "-o",
        "out.csv",
        cwd=tmp_path,
    )
    refused(done, 5, "SyntaxError")
    assert not (tmp_path / "out.csv").exists()
