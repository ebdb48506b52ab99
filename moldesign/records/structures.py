"""The candidates as structures: an SDF file with 2D coordinates."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path

import pandas as pd

from moldesign.chem.molecules import Mol, parse
from moldesign.records.files import write_text
from moldesign.records.tables import plain_cell

#: The molecule drawn: a mol block with 2D coordinates.
MolBlock = Callable[[Mol], str]


def write_sdf(table: pd.DataFrame, path: Path, mol_block: MolBlock) -> int:
    """The number of structures written: one record a row, with 2D coordinates and every column.

    The table needs `smiles`; the title of a record is `rank`, where there is one. Empty cells are
    left out. A row whose SMILES is no molecule is left out too.

    Raises:
        UsageError, ResourceError: the path cannot be written; the disk is full.
    """
    records = []
    for row in table.to_dict("records"):
        mol = parse(str(row["smiles"]))
        if mol is None:
            continue
        _, _, drawing = mol_block(mol).partition("\n")
        title = f"candidate {row['rank']}" if "rank" in row else ""
        records.append(f"{title}\n{drawing.rstrip()}\n" + _properties(row) + "$$$$\n")
    write_text(path, "".join(records))
    return len(records)


def _properties(row: Mapping[Hashable, object]) -> str:
    # A name ends at the bracket and a value at the first empty line, so neither may hold one.
    values = {str(name): " ".join(plain_cell(value).split()) for name, value in row.items()}
    return "".join(
        f">  <{name.translate(_NO_BRACKETS)}>\n{value}\n\n" for name, value in values.items() if value
    )


_NO_BRACKETS = str.maketrans("<>\r\n", "()  ")
