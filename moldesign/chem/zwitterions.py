"""Zwitterions: molecules with charges of both signs."""

from __future__ import annotations

from functools import cache

from rdkit import Chem

from moldesign.chem.molecules import Mol
from moldesign.chem.substructures import has_match, pattern

#: Acids that have given their proton away at pH 7: carboxylic, sulfonic, phosphonic, and tetrazole.
_ACIDS = (
    "[CX3](=O)[OX2H1,OX1-]",
    "[SX4](=O)(=O)[OX2H1,OX1-]",
    "[PX4](=O)[OX2H1,OX1-]",
    "[$([nH]1nnnc1),$([nH]1nncn1),$([n-]1nnnc1),$([n-]1nncn1)]",
)
#: Bases that have taken one: amines on sp3 carbons alone, and amidines and guanidines that no acyl, cyano,
#: aryl group or heteroatom on a nitrogen weakens.
_BASES = (
    "[NX3+0;!$(N[!$([CX4])])]",
    "[NX4+;!$(N[!$([CX4])])]",
    "[CX3;!$(C~[!#6;!#7]);!$(C~N~[!#6]);!$(C~NC=[O,S]);!$(C~NC#N);!$(C~Na)](=[NX2,NX3+])[NX3]",
)


@cache
def _patterns(smarts: tuple[str, ...]) -> tuple[Mol, ...]:
    return tuple(pattern(one) for one in smarts)


def is_zwitterion(mol: Mol) -> bool:
    """Whether one fragment of the molecule as written has atoms of positive and of negative charge.

    Charges of opposite sign on neighbours cancel: nitro groups, N-oxides, azides, isocyanides and ylides
    are none. What cannot be written without charges, as a sydnone or a betaine, is one.
    """
    charged = {atom.GetIdx(): atom.GetFormalCharge() for atom in mol.GetAtoms() if atom.GetFormalCharge()}
    if min(charged.values(), default=0) >= 0 or max(charged.values()) <= 0:
        return False
    left = {
        index: charge
        for index, charge in charged.items()
        if not any(
            neighbour.GetFormalCharge() * charge < 0 for neighbour in mol.GetAtomWithIdx(index).GetNeighbors()
        )
    }
    return any(
        len({left[index] > 0 for index in fragment if index in left}) == 2
        for fragment in Chem.GetMolFrags(mol)
    )


def would_be_zwitterion(mol: Mol) -> bool:
    """Whether one fragment of the molecule, however it is written, has both a strong acid and a strong base.

    By groups, not by a computed pKa: carboxylic, sulfonic and phosphonic acids and tetrazoles; amines on
    sp3 carbons, amidines and guanidines. Anilines, pyridines, imidazoles and phenols are neither.
    """
    if not (_holds_any(mol, _ACIDS) and _holds_any(mol, _BASES)):
        return False
    fragments = Chem.GetMolFrags(mol, asMols=True)
    return any(_holds_any(fragment, _ACIDS) and _holds_any(fragment, _BASES) for fragment in fragments)


def _holds_any(mol: Mol, smarts: tuple[str, ...]) -> bool:
    return any(has_match(mol, query) for query in _patterns(smarts))
