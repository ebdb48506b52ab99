"""A molecule in a few numbers that compare: its size, polarity, rings and composition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from rdkit.Chem import rdMolDescriptors

from moldesign.chem import descriptors
from moldesign.chem.molecules import Mol

#: What a medicinal chemist reads off a molecule first, with its mean and standard deviation over ZINC250k.
_PROPERTIES: tuple[tuple[Callable[[Mol], float], float, float], ...] = (
    (descriptors.heavy_atoms, 23.0, 4.5),
    (descriptors.mw, 330.0, 62.0),
    (descriptors.logp, 2.5, 1.4),
    (descriptors.tpsa, 65.0, 23.0),
    (rdMolDescriptors.CalcNumLipinskiHBD, 1.5, 1.1),
    (rdMolDescriptors.CalcNumLipinskiHBA, 5.0, 1.7),
    (descriptors.rings, 2.75, 1.0),
    (descriptors.aromatic_rings, 1.9, 1.0),
    (descriptors.fraction_sp3, 0.4, 0.22),
    (lambda mol: float(rdMolDescriptors.CalcNumAtoms(mol) - mol.GetNumHeavyAtoms()), 20.6, 5.7),
)
#: Atomic number -> mean and deviation of how many there are. The rarest count as if they were less rare: one
#: bromine is not worth forty carbons.
_ELEMENTS = {
    6: (17.0, 3.8),
    7: (2.8, 1.4),
    8: (2.3, 1.3),
    9: (0.3, 0.8),
    15: (0.0, 0.3),
    16: (0.4, 0.6),
    17: (0.2, 0.45),
    35: (0.05, 0.3),
}
#: Numbers that `properties` gives of a molecule.
PROPERTIES = len(_PROPERTIES) + len(_ELEMENTS)


def properties(mol: Mol) -> list[float]:
    """Size, polarity, rings and composition, in standard deviations from the means of ZINC250k."""
    counts = np.bincount([atom.GetAtomicNum() for atom in mol.GetAtoms()], minlength=max(_ELEMENTS) + 1)
    found = [(value(mol) - mean) / sd for value, mean, sd in _PROPERTIES]
    return found + [(float(counts[number]) - mean) / sd for number, (mean, sd) in _ELEMENTS.items()]
