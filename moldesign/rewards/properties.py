"""Computed properties as rewards."""

from __future__ import annotations

from collections.abc import Callable

from moldesign.chem import descriptors
from moldesign.chem.molecules import Mol
from moldesign.rewards.entry import Entry
from moldesign.rewards.reward import per_molecule

#: name -> (value of one molecule, its unit).
PROPERTIES: dict[str, tuple[Callable[[Mol], float], str]] = {
    "qed": (descriptors.qed, "0 to 1"),
    "sa": (descriptors.sa_score, "1 (easy) to 10"),
    "logp": (descriptors.logp, "log10"),
    "mw": (descriptors.mw, "g/mol"),
    "tpsa": (descriptors.tpsa, "square angstrom"),
    "hbd": (descriptors.hbd, "count"),
    "hba": (descriptors.hba, "count"),
    "rotatable_bonds": (descriptors.rotatable_bonds, "count"),
    "rings": (descriptors.rings, "count"),
    "aromatic_rings": (descriptors.aromatic_rings, "count"),
    "largest_ring": (descriptors.largest_ring, "atoms"),
    "fraction_sp3": (descriptors.fraction_sp3, "0 to 1"),
    "heavy_atoms": (descriptors.heavy_atoms, "count"),
    "formal_charge": (descriptors.formal_charge, "elementary charges"),
    "stereocentres": (descriptors.stereocentres, "count"),
}

#: Properties that need no shaping: they lie between 0 and 1 by themselves.
UNIT_INTERVAL = frozenset({"qed", "fraction_sp3"})


def _entry(name: str) -> Entry:
    value, unit = PROPERTIES[name]
    description = (value.__doc__ or "").strip().splitlines()[0].rstrip(".")
    return Entry(
        description,
        unit,
        lambda _: per_molecule(value),
        group="properties",
        unit_interval=name in UNIT_INTERVAL,
    )


ENTRIES: dict[str, Entry] = {name: _entry(name) for name in PROPERTIES}
