"""The candidates of a run: every scored molecule described as a chemist reads it, best first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from moldesign.chem import alerts, descriptors, drawing, scaffolds
from moldesign.chem.fingerprints import Fingerprint, fingerprint
from moldesign.chem.molecules import Mol, parse
from moldesign.records.columns import FIXED, IDENTITY, NEAREST, component_columns
from moldesign.records.tables import write_csv

__all__ = [
    "NEAREST_FOR",
    "Kept",
    "Nearest",
    "best_first",
    "candidates_columns",
    "candidates_table",
    "with_nearest",
    "write_csv",
]

#: ECFP4 bits of molecules, in; the SMILES of the nearest training molecule of each and its Tanimoto
#: similarity, out.
Nearest = Callable[[Sequence[Fingerprint]], tuple[Sequence[str], ArrayLike]]

#: How many of the best candidates get their nearest training molecule; searching for all takes minutes.
NEAREST_FOR = 200

_NUMBERS: dict[str, Callable[[Mol], float]] = {
    "mw": descriptors.mw,
    "logp": descriptors.logp,
    "tpsa": descriptors.tpsa,
    "hbd": descriptors.hbd,
    "hba": descriptors.hba,
    "rotatable_bonds": descriptors.rotatable_bonds,
    "rings": descriptors.rings,
    "fraction_sp3": descriptors.fraction_sp3,
    "heavy_atoms": descriptors.heavy_atoms,
    "qed": descriptors.qed,
    "sa": descriptors.sa_score,
}
_TEXTS: dict[str, Callable[[Mol], str]] = {
    "inchikey": descriptors.inchikey,
    "scaffold": scaffolds.murcko,
    "formula": descriptors.formula,
    "alerts": lambda mol: "; ".join(alerts.matches(mol)),
}


@dataclass
class Kept:
    """What other files need of the molecules of the candidates, kept while these are there.

    A molecule is read once and forgotten: with what RDKit computes of it, it takes 30 kB.

    Args:
        nearest_for: of how many of the best to keep the fingerprint, in `fingerprints`; None: of all.
        drawings: whether to keep a mol block with 2D coordinates of each, in `blocks`.

    A row that is no molecule, or that RDKit cannot draw, has None.
    """

    nearest_for: int | None = NEAREST_FOR
    drawings: bool = False
    fingerprints: list[Fingerprint | None] = field(default_factory=list)
    blocks: list[str | None] = field(default_factory=list)

    def add(self, mol: Mol | None) -> None:
        """Keep what is needed of the next candidate."""
        if self.nearest_for is None or len(self.fingerprints) < self.nearest_for:
            self.fingerprints.append(None if mol is None else fingerprint(mol, counts=False))
        if self.drawings:
            self.blocks.append(None if mol is None else _text(drawing.mol_block, mol) or None)


def candidates_columns(labels: Sequence[str]) -> list[str]:
    """The columns of candidates.csv, in order, for components of these labels."""
    components = [name for pair in component_columns(labels) for name in pair]
    rest = FIXED[len(IDENTITY) :]
    return [*IDENTITY, *components, *rest]


def best_first(ledger_rows: pd.DataFrame) -> pd.DataFrame:
    """The scored rows of a ledger, best score first, the earlier call first among equals.

    Failed molecules are left out. The columns stay; the index starts anew.
    """
    scored = ledger_rows[(ledger_rows["status"] == "scored") & np.isfinite(ledger_rows["score"])]
    ordered: pd.DataFrame = scored.sort_values(["score", "call"], ascending=[False, True], ignore_index=True)
    return ordered


def candidates_table(
    ledger_rows: pd.DataFrame,
    labels: Sequence[str],
    *,
    agent_nll: ArrayLike | None = None,
    prior_nll: ArrayLike | None = None,
    front: ArrayLike | None = None,
    kept: Kept | None = None,
) -> pd.DataFrame:
    """One row a scored molecule, best first, with the columns of docs/candidates.md, the nearest ones empty.

    Args:
        ledger_rows: (n,) as `Ledger.read` gives them, or `best_first` of them.
        labels: of the components, as in the ledger.
        agent_nll, prior_nll: (n,) nats, in the order of `ledger_rows`; NaN where unknown.
        front: (n,) bool, in the order of `ledger_rows`; None where there is no front.
        kept: takes from each molecule, best first, what other files need of it.

    A property that a molecule does not have, or that RDKit cannot compute, is an empty cell.
    """
    ledger_rows = ledger_rows.assign(
        agent_nll=_column(agent_nll, len(ledger_rows)), prior_nll=_column(prior_nll, len(ledger_rows))
    )
    if front is not None:
        ledger_rows = ledger_rows.assign(front=np.asarray(front, dtype=bool))
    table = best_first(ledger_rows).rename(columns={"step": "first_step"})
    table["rank"] = np.arange(1, len(table) + 1)
    if front is None:
        table["front"] = np.nan
    numbers = {name: np.full(len(table), np.nan) for name in _NUMBERS}
    texts = {name: [""] * len(table) for name in _TEXTS}
    for row, smiles in enumerate(table["smiles"]):
        mol = parse(smiles)
        if mol is not None:
            for name, number in _NUMBERS.items():
                numbers[name][row] = _number(number, mol)
            for name, text in _TEXTS.items():
                texts[name][row] = _text(text, mol)
        if kept is not None:
            kept.add(mol)
    for name, values in numbers.items():
        table[name] = values
    for name, words in texts.items():
        table[name] = pd.Series(words, dtype="str")
    table[NEAREST[0]] = pd.Series([""] * len(table), dtype="str")
    table[NEAREST[1]] = np.nan
    return table[candidates_columns(labels)]


def with_nearest(
    table: pd.DataFrame, nearest: Nearest, fingerprints: Sequence[Fingerprint | None]
) -> pd.DataFrame:
    """The candidates with the nearest training molecule, and its similarity, of the best.

    Args:
        table: as `candidates_table` gives it.
        nearest: the search in the training molecules, asked once.
        fingerprints: those that `Kept` has of the best.
    """
    asked = [i for i, bits in enumerate(fingerprints) if bits is not None]
    smiles, similarities = [""] * len(table), np.full(len(table), np.nan)
    if asked:
        found, values = nearest([bits for bits in fingerprints if bits is not None])
        similarities[asked] = np.asarray(values, dtype=np.float64)
        for i, name in zip(asked, found, strict=True):
            smiles[i] = name
    filled = table.copy()
    filled[NEAREST[0]] = pd.Series(smiles, dtype="str")
    filled[NEAREST[1]] = similarities
    return filled


def _column(values: ArrayLike | None, n: int) -> np.ndarray:
    column = np.full(n, np.nan) if values is None else np.asarray(values, dtype=np.float64)
    if column.shape != (n,):
        raise ValueError(f"one NLL a row needed: {n} rows, shape {column.shape}")
    return column


def _number(property_of: Callable[[Mol], float], mol: Mol) -> float:
    try:
        return float(property_of(mol))
    except Exception:  # RDKit raises of every kind; the molecule was scored and stays
        return math.nan


def _text(property_of: Callable[[Mol], str], mol: Mol) -> str:
    try:
        return property_of(mol)
    except Exception:  # as above
        return ""
