"""SMARTS that mean something else than the SMILES they were copied from."""

from __future__ import annotations

from dataclasses import dataclass

from rdkit import Chem

from moldesign.chem.molecules import parse, to_smiles
from moldesign.chem.substructures import has_match, pattern

#: A larger pattern is not looked into: to find that it matches nowhere could take long.
_MAX_ATOMS = 100


@dataclass(frozen=True)
class Misreading:
    """A SMARTS that does not match the molecule that it is the SMILES of."""

    #: A clause that begins with the part at fault: "its rings are ...".
    why: str
    #: A SMARTS that does match that molecule; None where none is sure to mean the same.
    instead: str | None


def misreading(smarts: str) -> Misreading | None:
    """Why a SMARTS cannot mean what it would mean as a SMILES; None where it is no SMILES, or matches.

    As a SMARTS, `C1=CC=CC=C1` is a ring of aliphatic atoms, `[H]O` holds a hydrogen atom of its own and
    `CN(=O)=O` a nitrogen with five bonds. RDKit's molecules have none of these, so such a pattern does
    not match even the molecule that is written so.

    Raises:
        InvalidSmarts: it does not parse as a SMARTS.
    """
    query = pattern(smarts)
    mol = parse(smarts)
    if mol is None or query.GetNumAtoms() > _MAX_ATOMS or has_match(mol, query):
        return None
    if any(atom.GetAtomicNum() == 1 for atom in query.GetAtoms()):
        why = "hydrogen atoms written out match nothing in molecules, whose hydrogens are part of their atoms"
        merged = str(Chem.MolToSmarts(Chem.MergeQueryHs(query)))
        return Misreading(why, merged if has_match(mol, pattern(merged)) else None)
    instead = to_smiles(mol)
    # Without hydrogens to merge, both have the atoms in the order of the text.
    atoms = zip(query.GetAtoms(), mol.GetAtoms(), strict=True)
    if any(ours.GetIsAromatic() and not asked.GetIsAromatic() for asked, ours in atoms):
        why = "aromatic rings written with alternating double bonds match aliphatic atoms only"
    else:
        why = "molecules are stored in another form"
    return Misreading(why, instead if has_match(mol, pattern(instead)) else None)
