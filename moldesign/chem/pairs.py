"""Matched molecular pairs: molecules that differ in one substituent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rdkit import Chem
from rdkit.Chem import rdMMPA

from moldesign.chem.molecules import MAX_ATOMS, Mol, canonical, largest_fragment, to_smiles


@dataclass(frozen=True)
class Cut:
    """A molecule as a constant part and the substituent on it, each with its attachment point."""

    constant: Mol
    variable: Mol


def single_cuts(mol: Mol) -> Iterator[Cut]:
    """Each way to take one substituent off, either side of the bond once as the constant part.

    Cut are single bonds outside rings, one end of which is an uncharged carbon without a multiple bond
    to a heteroatom, so that amides, esters and sulfonamides stay whole (Hussain and Rea, J. Chem. Inf.
    Model. 50, 339, 2010; RDKit's rule).
    """
    for _, chains in rdMMPA.FragmentMol(mol, maxCuts=1, maxCutBonds=MAX_ATOMS):
        one, other = Chem.GetMolFrags(chains, asMols=True)
        yield Cut(one, other)
        yield Cut(other, one)


class MatchedPairs:
    """Whether a molecule and a reference are a matched pair by one cut.

    They are if both are the same constant part, in stereo too, with substituents that differ in more than
    stereo; hydrogen is a substituent. Of a salt, the largest fragment.

    Args:
        references: the molecules to be paired with.
        max_change_atoms: heavy atoms that either substituent may have.
        min_constant_atoms: heavy atoms that the constant part must have.
    """

    def __init__(self, references: Sequence[Mol], *, max_change_atoms: int, min_constant_atoms: int) -> None:
        self._max_change = max_change_atoms
        self._min_constant = min_constant_atoms
        self._sizes = set[int]()
        self._whole = set[str]()
        #: What a reference is with a hydrogen for a substituent.
        self._hydrogenated = set[str]()
        #: Constant part -> the references with it, without stereo, and their substituents, without stereo.
        self._substituents: dict[str, set[tuple[str, str]]] = {}
        for reference in references:
            mol = largest_fragment(reference)
            self._whole.add(to_smiles(mol))
            self._sizes.add(mol.GetNumHeavyAtoms())
            for cut in self._cuts(mol):
                constant = to_smiles(cut.constant)
                self._substituents.setdefault(constant, set()).add(
                    (to_smiles(mol, stereo=False), to_smiles(cut.variable, stereo=False))
                )
                self._hydrogenated.add(_hydrogenated(cut.constant))

    def __call__(self, mol: Mol) -> bool:
        mol = largest_fragment(mol)
        size = mol.GetNumHeavyAtoms()
        if all(abs(size - other) > self._max_change for other in self._sizes):
            return False
        if to_smiles(mol) in self._hydrogenated:
            return True
        flat = to_smiles(mol, stereo=False)
        for cut in self._cuts(mol):
            others = self._substituents.get(to_smiles(cut.constant), ())
            if others:
                variable = to_smiles(cut.variable, stereo=False)
                # Of a molecule with two equal ends each is the constant part of a cut of its own.
                if any(other != flat and substituent != variable for other, substituent in others):
                    return True
            if cut.constant.GetNumHeavyAtoms() in self._sizes and _hydrogenated(cut.constant) in self._whole:
                return True
        return False

    def _cuts(self, mol: Mol) -> Iterator[Cut]:
        for cut in single_cuts(mol):
            changed, constant = cut.variable.GetNumHeavyAtoms(), cut.constant.GetNumHeavyAtoms()
            if changed <= self._max_change and constant >= self._min_constant:
                yield cut


def _hydrogenated(constant: Mol) -> str:
    """Canonical SMILES of a constant part with a hydrogen at its attachment point; `''` if it is none."""
    filled = Chem.RWMol(constant)
    for atom in filled.GetAtoms():
        if atom.GetAtomicNum() == 0 and atom.GetAtomMapNum() == 1:
            atom.SetAtomicNum(1)
            atom.SetAtomMapNum(0)
    # Read anew: a stereocentre that has lost a substituent may be none any more.
    return canonical(to_smiles(filled.GetMol())) or ""
