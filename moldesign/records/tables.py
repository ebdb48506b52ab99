"""Tables as CSV text: deterministic, quoted, harmless in a spreadsheet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from moldesign.records.files import write_text

if TYPE_CHECKING:
    import pandas as pd

#: A cell that starts so runs as a formula, or joins a neighbour that does.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def text_cell(text: str) -> str:
    """The text quoted; with an apostrophe in front where a spreadsheet would run it."""
    text = text.replace("\0", "")  # first: what stands behind it would begin the cell
    if text.startswith(_FORMULA_STARTS):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"'


def plain_cell(value: object) -> str:
    """A value as bare text: numbers with six significant digits, missing and NaN empty."""
    if value is None or type(value).__name__ == "NAType":  # pandas', which is not imported for it
        return ""
    if hasattr(value, "item"):
        value = value.item()  # numpy's scalar as Python's
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # Adding 0 makes -0.0 a plain 0.
        return "" if math.isnan(value) else f"{value + 0.0:.6g}"
    return str(value)


def cell(value: object) -> str:
    """One CSV cell: numbers bare, text quoted, missing and NaN empty."""
    text = plain_cell(value)
    is_number = text == "" or isinstance(value, bool | int | float) or hasattr(value, "item")
    return text_cell(text) if isinstance(value, str) or not is_number else text


def line(values: Iterable[object]) -> str:
    """One CSV line without its newline."""
    return ",".join(cell(value) for value in values)


def csv_of(header: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV: the same rows give the same text, lines ending in LF.

    Text and the header are quoted; text that a spreadsheet would run as a formula gets an
    apostrophe in front. Numbers are bare; a missing number is an empty cell.
    """
    lines = [line(map(str, header)), *map(line, rows)]
    return "\n".join(lines) + "\n"


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV, as `csv_of` writes it."""
    columns: Sequence[list[object]] = [table[column].tolist() for column in table.columns]
    return csv_of(table.columns, zip(*columns, strict=True))


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table as `csv_text` in UTF-8, whole or not at all.

    Raises:
        UsageError, ResourceError: the path cannot be written; the disk is full.
    """
    write_text(path, csv_text(table))
