"""Molecular formulas: how many atoms of each element."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

from rdkit import Chem

from moldesign.chem.molecules import Mol
from moldesign.errors import nearest

_FORMULA = re.compile(r"(?:[A-Z][a-z]?\d{0,4})+")
_ELEMENT = re.compile(r"([A-Z][a-z]?)(\d*)")


@cache
def _symbols() -> frozenset[str]:
    table = Chem.GetPeriodicTable()
    return frozenset(str(table.GetElementSymbol(number)) for number in range(1, 119))


def element(symbol: str) -> str:
    """The symbol itself, if it is that of an element.

    Raises:
        ValueError: it is not; the message holds the nearest.
    """
    if symbol not in _symbols():
        raise ValueError(f"'{symbol}' is no element{nearest(symbol.capitalize(), sorted(_symbols()))}")
    return symbol


def parse_formula(text: str) -> dict[str, int]:
    """Number of atoms of each element that a formula like `C9H10N2O2PF2Cl` names, in its order.

    A count left out is 1; `F0` asks for none.

    Raises:
        ValueError: no formula; an element that there is not, or that stands twice.
    """
    if not _FORMULA.fullmatch(text):
        raise ValueError(f"'{text}' is no molecular formula such as C9H8O4")
    counts: dict[str, int] = {}
    for symbol, count in _ELEMENT.findall(text):
        if element(symbol) in counts:
            raise ValueError(f"{symbol} stands twice in the formula {text}: give each element once")
        counts[symbol] = int(count) if count else 1
    if not any(counts.values()):
        raise ValueError(f"the formula {text} has no atoms")
    return counts


def element_counts(mol: Mol) -> Counter[str]:
    """Number of atoms of each element, 0 for others; implicit hydrogens count, isotopes as the element."""
    counts = Counter(str(atom.GetSymbol()) for atom in mol.GetAtoms())
    counts["H"] += sum(atom.GetTotalNumHs() for atom in mol.GetAtoms())
    return counts
