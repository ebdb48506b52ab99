"""Scaffolds: what is left of a molecule without its side chains."""

from __future__ import annotations

from typing import Any

from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold

from moldesign.chem.molecules import MAX_ATOMS, Mol, to_smiles


def _framework(mol: Mol) -> Mol | None:
    """Rings and the chains between them; None for an acyclic molecule."""
    # Without this way out an acyclic chain of 2,000 atoms takes RDKit 21 seconds.
    if mol.GetRingInfo().NumRings() == 0:
        return None
    if mol.GetNumAtoms() > MAX_ATOMS:
        raise ValueError(f"a scaffold of more than {MAX_ATOMS} atoms is not computed")
    framework: Mol = MurckoScaffold.GetScaffoldForMol(mol)
    return framework


def murcko(mol: Mol) -> str:
    """Canonical SMILES of the Murcko scaffold without stereo; `''` for an acyclic molecule.

    Atoms doubly bound to the framework stay (RDKit's convention).
    Bemis and Murcko, J. Med. Chem. 39, 2887 (1996).

    Raises:
        ValueError: more than MAX_ATOMS atoms.
    """
    framework = _framework(mol)
    return "" if framework is None else to_smiles(framework, stereo=False)


def generic(mol: Mol) -> str:
    """Canonical SMILES of the graph of the scaffold: every atom carbon, every bond single; `''` if acyclic.

    Raises:
        ValueError: more than MAX_ATOMS atoms.
    """
    framework = _framework(mol)
    if framework is None:
        return ""
    graph = Chem.RWMol(framework)
    # First the atoms doubly bound to the framework: as carbons they would pass for side chains.
    while True:
        ends = [atom.GetIdx() for atom in graph.GetAtoms() if atom.GetDegree() == 1]
        if not ends:
            break
        graph.BeginBatchEdit()
        for index in ends:
            graph.RemoveAtom(index)
        graph.CommitBatchEdit()
    # A new molecule rather than edited atoms: nothing of charge, valence, aromaticity or stereo survives.
    skeleton = Chem.RWMol()
    for _ in range(graph.GetNumAtoms()):
        skeleton.AddAtom(Chem.Atom(6))
    for bond in graph.GetBonds():
        skeleton.AddBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), Chem.BondType.SINGLE)
    for atom in skeleton.GetAtoms():
        # A hexavalent sulfur becomes a carbon that no valence rule can fill with hydrogens.
        atom.SetNoImplicit(atom.GetDegree() > 4)
    skeleton.UpdatePropertyCache(strict=False)
    return to_smiles(skeleton.GetMol(), stereo=False)


def core_query(core: Mol) -> Mol:
    """The query for molecules that hold this one as a substructure, whatever its open valences carry.

    A dummy atom, as at an attachment point, stands for any atom other than hydrogen.
    """
    # The stubs give its switches another type than bool.
    parameters: Any = Chem.AdjustQueryParameters.NoAdjustments()
    parameters.makeDummiesQueries = True
    query: Mol = Chem.AdjustQueryProperties(core, parameters)
    return query
