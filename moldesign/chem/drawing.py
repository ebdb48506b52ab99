"""Molecules laid out flat."""

from __future__ import annotations

from rdkit import Chem
from rdkit.Chem import rdDepictor

from moldesign.chem.molecules import Mol


def mol_block(mol: Mol) -> str:
    """The V2000 or V3000 block of the molecule with 2D coordinates; the molecule itself stays as it is."""
    flat = Chem.Mol(mol)
    rdDepictor.Compute2DCoords(flat)
    return str(Chem.MolToMolBlock(flat))
