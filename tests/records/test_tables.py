import csv
import io
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given

from moldesign.records.tables import cell, csv_of, write_csv
from moldesign.text import visible


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "＝1+1"])
def test_text_that_runs_in_a_spreadsheet_is_neutralised(text: str) -> None:
    assert cell(text) == f'"\'{text}"'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\t=1+1", "\\t=1+1"),
        ("\rx", "\\rx"),
        ("\n=1+1", "\\n=1+1"),
        (" =1+1", " '=1+1"),
        # Where the comma is the decimal sign, a semicolon ends a cell, and quotes do not hold it together.
        ("a;=HYPERLINK(0)", "a;'=HYPERLINK(0)"),
        ("\x1b[31mred\x9b\u202e", "\\x1b[31mred\\x9b\\u202e"),
        ("CC\udce9O\0", "CC\\udce9O\\x00"),
        ("C=C-[N+]@x; -1", "C=C-[N+]@x; -1"),
    ],
)
def test_a_cell_is_one_cell_of_one_line_and_steers_no_terminal(text: str, shown: str) -> None:
    assert cell(text) == f'"{shown}"'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-1.5, "-1.5"),
        (0.1 + 0.2, "0.3"),
        (-0.0, "0"),
        (np.float64(449.1234567), "449.123"),
        (np.int64(7), "7"),
        (1e-9, "1e-09"),
        (float("nan"), ""),
        (None, ""),
        (True, "true"),
        (np.bool_(False), "false"),
        ("", '""'),
        ('say "hi", twice', '"say ""hi"", twice"'),
        (np.str_("C=C"), '"C=C"'),
    ],
)
def test_cells(value: object, expected: str) -> None:
    assert cell(value) == expected


def test_a_table_survives_the_way_through_csv(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"smiles": ["CCO", "C#N", 'a "q", b'], "=evil": [1, 2, 3], "score": [0.5, np.nan, -2.0]}
    )
    write_csv(table, tmp_path / "x.csv")
    content = (tmp_path / "x.csv").read_bytes()
    assert b"\r" not in content
    assert content.endswith(b"\n")
    back = pd.read_csv(tmp_path / "x.csv")
    assert list(back.columns) == ["smiles", "'=evil", "score"]
    assert back["smiles"].tolist() == table["smiles"].tolist()
    np.testing.assert_array_equal(back["score"], table["score"])
    with (tmp_path / "x.csv").open(newline="") as handle:
        assert len(list(csv.reader(handle))) == 4


def test_an_empty_table_is_its_header(tmp_path: Path) -> None:
    write_csv(pd.DataFrame({"smiles": [], "score": []}), tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == '"smiles","score"\n'


@given(st.lists(st.tuples(st.text(max_size=8), st.floats(allow_nan=False, allow_infinity=False)), max_size=8))
@example([("\0@SUM(A1)", 0.0)])
def test_any_text_comes_back_and_none_runs(rows: list[tuple[str, float]]) -> None:
    back = list(csv.reader(io.StringIO(csv_of(("text", "number"), rows), newline="")))
    assert len(back) == len(rows) + 1
    for (text, number), (text_back, number_back) in zip(rows, back[1:], strict=True):
        # Apostrophes before what would run; what does not print is an escape.
        assert text_back.replace("'", "") == visible(text).replace("'", "")
        assert visible(text_back) == text_back
        assert not text_back.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
        assert float(number_back) == pytest.approx(number, rel=1e-5)
