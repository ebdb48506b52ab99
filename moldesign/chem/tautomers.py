"""Tautomers: whether a molecule is written as a form that it would not keep."""

from __future__ import annotations

from functools import cache

from rdkit.Chem.MolStandardize import rdMolStandardize

from moldesign.chem.molecules import Mol, quiet_rdkit
from moldesign.chem.substructures import count_matches, pattern

#: Where the enumeration of one molecule's tautomers ends: in 3% of drug-like molecules before all are found.
MAX_TAUTOMERS = 100
MAX_TRANSFORMS = 100


@cache
def _enumerator() -> rdMolStandardize.TautomerEnumerator:
    quiet_rdkit()
    enumerator = rdMolStandardize.TautomerEnumerator()
    enumerator.SetMaxTautomers(MAX_TAUTOMERS)
    enumerator.SetMaxTransforms(MAX_TRANSFORMS)
    return enumerator


@cache
def _carbonyl() -> Mol:
    return pattern("[#6]=O")


@cache
def _bare_imine() -> Mol:
    return pattern("[#6]=[NX2H1]")


def shortfall(mol: Mol) -> float:
    """Points of RDKit's tautomer score by which the best tautomer beats the molecule as written, 0 or more.

    A carbonyl is 2 points, an aromatic ring 100, one of carbons 250. Not counted among the better ones is
    a tautomer that has given up a carbonyl for an aromatic heterocycle (the score would have succinimide
    be 2,5-dihydroxypyrrole) or gained a C=NH (it would have a 2-amino-4H-pyran be an imidate). A carbonyl
    given up for an aromatic ring of carbons is a phenol's, and counted. The score is a rule of thumb, not
    an energy: a point (an imine for an enamine) says little.

    Looks at no more than MAX_TAUTOMERS tautomers, so that the shortfall of a molecule with many is
    a lower bound. Score: `TautomerEnumerator` of RDKit, after Sitzmann, Ihlenfeldt and Nicklaus,
    J. Comput.-Aided Mol. Des. 24, 521 (2010).
    """
    enumerator = _enumerator()
    best = written = enumerator.ScoreTautomer(mol)
    for tautomer in enumerator.Enumerate(mol):
        score = enumerator.ScoreTautomer(tautomer)
        if score > best and _likelier(tautomer, mol):
            best = score
    return float(best - written)


def _likelier(tautomer: Mol, mol: Mol) -> bool:
    """Whether a tautomer of higher score has paid nothing for it that the score does not see."""
    if count_matches(tautomer, _bare_imine()) > count_matches(mol, _bare_imine()):
        return False
    return count_matches(tautomer, _carbonyl()) >= count_matches(mol, _carbonyl()) or _aromatic_carbocycles(
        tautomer
    ) > _aromatic_carbocycles(mol)


def _aromatic_carbocycles(mol: Mol) -> int:
    return sum(
        all(
            mol.GetAtomWithIdx(index).GetIsAromatic() and mol.GetAtomWithIdx(index).GetAtomicNum() == 6
            for index in ring
        )
        for ring in mol.GetRingInfo().AtomRings()
    )
