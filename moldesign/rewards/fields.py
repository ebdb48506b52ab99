"""Parameters of several rewards: text that means a molecule or a query."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from moldesign.chem.molecules import InvalidMolecule, read
from moldesign.chem.substructures import pattern


def _molecule(smiles: str) -> str:
    try:
        read(smiles)
    except InvalidMolecule as error:
        raise ValueError(f"{smiles!a} is no molecule: {error}") from None
    return smiles


def _query(smarts: str) -> str:
    pattern(smarts)
    return smarts


#: A SMILES that is a molecule.
Smiles = Annotated[str, AfterValidator(_molecule)]
#: A SMARTS that parses.
Smarts = Annotated[str, AfterValidator(_query)]
