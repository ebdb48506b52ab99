"""The candidates as structures: an SDF file with 2D coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from moldesign.records.files import writing
from moldesign.records.tables import plain_cell
from moldesign.text import visible


def write_sdf(table: pd.DataFrame, path: Path, blocks: Sequence[str | None]) -> int:
    """The number of structures written: one record a row, with 2D coordinates and every column.

    The title of a record is `rank`, where there is one. Empty cells are left out.

    Args:
        blocks: (n,) the mol block of each row; a row without one is left out.

    Raises:
        UsageError, ResourceError: the path cannot be written; the disk is full.
    """
    written = 0
    columns = [table[name].tolist() for name in table.columns]
    with writing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        for block, *values in zip(blocks, *columns, strict=True):
            if block is None:
                continue
            row = dict(zip(map(str, table.columns), values, strict=True))
            _, _, drawing = block.partition("\n")
            title = f"candidate {row['rank']}" if "rank" in row else ""
            handle.write(f"{title}\n{drawing.rstrip()}\n" + _properties(row) + "$$$$\n")
            written += 1
    return written


def _properties(row: Mapping[str, object]) -> str:
    # A name ends at the bracket and a value at the first empty line, so neither may hold one.
    values = {name: visible(" ".join(plain_cell(value).split())) for name, value in row.items()}
    return "".join(
        f">  <{name.translate(_NO_BRACKETS)}>\n{value}\n\n" for name, value in values.items() if value
    )


_NO_BRACKETS = str.maketrans("<>\r\n", "()  ")
