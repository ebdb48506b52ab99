"""Charges that stand alone."""

from __future__ import annotations

from moldesign.chem.molecules import Mol


def standing_charges(mol: Mol) -> dict[int, int]:
    """Formal charge of each charged atom, by its index, that no neighbour of opposite charge cancels.

    Nitro groups, N-oxides, azides, isocyanides and ylides have none.
    """
    charges = {atom.GetIdx(): atom.GetFormalCharge() for atom in mol.GetAtoms() if atom.GetFormalCharge()}
    return {
        index: charge
        for index, charge in charges.items()
        if not any(
            neighbour.GetFormalCharge() * charge < 0 for neighbour in mol.GetAtomWithIdx(index).GetNeighbors()
        )
    }
