"""Each fault in docs/reliability.md names a test that is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
#: fault, what happens, exit codes, file, function, case
ROW = re.compile(r"\| (.+) \| (.+) \| ([\d, ]+) \| `([\w/]+\.py)::(\w+)(?:\[(.+)\])?` \|")
ROWS = [line for line in PAGE.splitlines() if line.startswith("|") and "::" in line]
CODES = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "130", "143"}


def test_there_are_enough_faults_and_none_twice() -> None:
    faults = [line.split(" | ")[0] for line in ROWS]
    assert len(faults) >= 45
    assert len(set(faults)) == len(faults)


@pytest.mark.parametrize("line", ROWS, ids=lambda line: line.split(" | ")[0].strip("| "))
def test_the_test_of_a_fault_is_there(line: str) -> None:
    row = ROW.fullmatch(line)
    assert row is not None, "a row is: fault | what happens | exit code | `file::test`"
    _, _, codes, file, function, case = row.groups()
    assert set(codes.split(", ")) <= CODES
    text = (ROOT / "tests" / file).read_text(encoding="utf-8")
    functions = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
    assert function in functions
    assert function.startswith("test_")
    # A case is named by its id, which stands in the file.
    assert case is None or case in text
