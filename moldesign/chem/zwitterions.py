"""Zwitterions: molecules with charges of both signs."""

from __future__ import annotations

from rdkit import Chem

from moldesign.chem.charges import standing_charges
from moldesign.chem.molecules import Mol, uncharged
from moldesign.chem.rules import PH_OF_BLOOD, acidic_pka, basic_pka


def is_zwitterion(mol: Mol) -> bool:
    """Whether one fragment of the molecule as written has atoms of positive and of negative charge.

    Charges of opposite sign on neighbours cancel: nitro groups, N-oxides, azides, isocyanides and ylides
    are none. What cannot be written without charges, as a sydnone or a betaine, is one.
    """
    charges = standing_charges(mol)
    if min(charges.values(), default=0) >= 0 or max(charges.values()) <= 0:
        return False
    return any(
        len({charges[index] > 0 for index in fragment if index in charges}) == 2
        for fragment in Chem.GetMolFrags(mol)
    )


def would_be_zwitterion(mol: Mol) -> bool:
    """Whether one fragment of the molecule, however it is written, has charges of both signs at pH 7.4.

    By the estimated pKa of its groups (`moldesign.chem.rules`): an acid below 7, or an anion that no proton
    neutralises; and a base above 7.4, or such a cation.
    """
    return any(_is_ionised(fragment) for fragment in Chem.GetMolFrags(mol, asMols=True))


def _is_ionised(fragment: Mol) -> bool:
    fragment = uncharged(fragment)
    charges = standing_charges(fragment).values()
    if min(charges, default=0) >= 0 and acidic_pka(fragment) is None:
        return False
    base = basic_pka(fragment)
    return max(charges, default=0) > 0 or (base is not None and base > PH_OF_BLOOD)
