"""Structural alerts: substructures that interfere with assays or react with proteins."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams

from moldesign.chem.molecules import Mol

#: PAINS: Baell and Holloway, J. Med. Chem. 53, 2719 (2010). BRENK: Brenk et al., ChemMedChem 3, 435 (2008).
Collection = Literal["PAINS", "BRENK"]
COLLECTIONS: tuple[Collection, ...] = ("PAINS", "BRENK")


@cache
def _catalogue(collection: Collection) -> FilterCatalog:
    parameters = FilterCatalogParams()
    parameters.AddCatalog(getattr(FilterCatalogParams.FilterCatalogs, collection))
    return FilterCatalog(parameters)


def matches(mol: Mol, collections: Sequence[Collection] = COLLECTIONS) -> list[str]:
    """The alerts that the molecule raises, as in `BRENK aldehyde`; sorted, each once."""
    return sorted(
        {
            f"{collection} {entry.GetDescription()}"
            for collection in collections
            for entry in _catalogue(collection).GetMatches(mol)
        }
    )


def has_alert(mol: Mol, collections: Sequence[Collection] = COLLECTIONS) -> bool:
    """Whether the molecule raises any alert; stops at the first."""
    # BRENK has 105 patterns and PAINS 480: asked first, the short one saves most of the time.
    ordered = sorted(collections, key=lambda collection: collection != "BRENK")
    return any(bool(_catalogue(collection).HasMatch(mol)) for collection in ordered)
