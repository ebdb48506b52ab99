"""The candidates of a run: every scored molecule described as a chemist reads it, best first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from moldesign.chem import alerts, descriptors, scaffolds
from moldesign.chem.molecules import Mol, parse
from moldesign.records.columns import FIXED, IDENTITY, NEAREST, component_columns
from moldesign.records.tables import write_csv

__all__ = [
    "NEAREST_FOR",
    "Nearest",
    "best_first",
    "candidates_columns",
    "candidates_table",
    "with_nearest",
    "write_csv",
]

#: Molecules, in; the SMILES of the nearest training molecule of each and its Tanimoto similarity, out.
Nearest = Callable[[Sequence[Mol]], tuple[Sequence[str], ArrayLike]]

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
) -> pd.DataFrame:
    """One row a scored molecule, best first, with the columns of docs/candidates.md, the nearest ones empty.

    Args:
        ledger_rows: (n,) as `Ledger.read` gives them, or `best_first` of them.
        labels: of the components, as in the ledger.
        agent_nll, prior_nll: (n,) nats, in the order of `ledger_rows`; NaN where unknown.
        front: (n,) bool, in the order of `ledger_rows`; None where there is no front.

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
    mols = [parse(smiles) for smiles in table["smiles"]]
    for name, number in _NUMBERS.items():
        table[name] = np.array([_number(number, mol) for mol in mols], dtype=np.float64)
    for name, text in _TEXTS.items():
        table[name] = pd.Series([_text(text, mol) for mol in mols], dtype="str")
    table[NEAREST[0]] = pd.Series([""] * len(table), dtype="str")
    table[NEAREST[1]] = np.nan
    return table[candidates_columns(labels)]


def with_nearest(
    table: pd.DataFrame, nearest: Nearest, nearest_for: int | None = NEAREST_FOR
) -> pd.DataFrame:
    """The candidates with the nearest training molecule, and its similarity, of the best.

    Args:
        table: as `candidates_table` gives it.
        nearest: the search in the training molecules, asked once.
        nearest_for: how many of the best to ask for; None for all.
    """
    mols = [parse(smiles) for smiles in table["smiles"][:nearest_for]]
    asked = [i for i, mol in enumerate(mols) if mol is not None]
    smiles, similarities = [""] * len(table), np.full(len(table), np.nan)
    if asked:
        found, values = nearest([mol for mol in mols if mol is not None])
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


def _number(property_of: Callable[[Mol], float], mol: Mol | None) -> float:
    if mol is None:
        return math.nan
    try:
        return float(property_of(mol))
    except Exception:  # RDKit raises of every kind; the molecule was scored and stays
        return math.nan


def _text(property_of: Callable[[Mol], str], mol: Mol | None) -> str:
    if mol is None:
        return ""
    try:
        return property_of(mol)
    except Exception:  # as above
        return ""
