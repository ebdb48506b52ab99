"""The fuzzer finds what it is for, and finds nothing in a first look at each reader."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FUZZER = Path(__file__).with_name("readers.py")


def run(*arguments: object) -> tuple[int, str]:
    """Exit code and standard output of the fuzzer."""
    command = [sys.executable, str(FUZZER), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_readers_that_raise_hang_crash_or_grow_are_found_and_the_file_is_kept(tmp_path: Path) -> None:
    faulty = [word for name in ("raises", "hangs", "crashes", "grows") for word in ("--target", name)]
    code, said = run(*faulty, "--inputs", 1, "--processor-seconds", 5, "--seed", 3, "--out", tmp_path)
    assert code == 1
    for found in (
        "KeyError: 'a.txt'", "took longer than 5", "ended the process (SIGSEGV)", "took 7",
        "seed 3: 4 findings",
    ):  # fmt: skip
        assert found in said
    kept = sorted(path.name.split("-")[0] for path in tmp_path.glob("*.txt"))
    assert kept == ["crashes", "grows", "hangs", "raises"]
    assert code == run(*faulty[:2], "--inputs", 1, "--seed", 3, "--out", tmp_path / "again")[0]
    again = [path.name for path in (tmp_path / "again").glob("*.txt")]
    assert again == [path.name for path in tmp_path.glob("raises*.txt")], "the same seed, the same file"


def test_a_first_look_finds_nothing(tmp_path: Path) -> None:
    names = ("molecules", "objectives", "priors", "alerts", "smiles")
    targets = [word for name in names for word in ("--target", name)]
    code, said = run(*targets, "--inputs", 25, "--seed", 1, "--seconds", 10_000, "--out", tmp_path)
    assert code == 0, said
    assert said.count("25 files") == len(names)
