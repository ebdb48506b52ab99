"""Numbers and names that a chemist reads off a molecule."""

from __future__ import annotations

from rdkit import Chem
from rdkit.Chem import QED, rdMolDescriptors
from rdkit.Contrib.SA_Score import sascorer

from moldesign.chem.molecules import Mol, quiet_rdkit


def qed(mol: Mol) -> float:
    """Quantitative estimate of drug-likeness, 0 to 1 (Bickerton et al., Nature Chemistry 4, 90, 2012)."""
    return float(QED.qed(mol))


def sa_score(mol: Mol) -> float:
    """Synthetic accessibility, 1 (easy) to 10 (hard) (Ertl and Schuffenhauer, J. Cheminf. 1, 8, 2009).

    The score of RDKit's Contrib directory, which every benchmark uses.
    """
    return float(sascorer.calculateScore(mol))


def logp(mol: Mol) -> float:
    """Logarithm of the octanol-water partition coefficient (Wildman and Crippen, 1999)."""
    return float(rdMolDescriptors.CalcCrippenDescriptors(mol)[0])


def mw(mol: Mol) -> float:
    """Average molecular weight, g/mol, hydrogens included."""
    return float(rdMolDescriptors._CalcMolWt(mol))


def tpsa(mol: Mol) -> float:
    """Topological polar surface area, square angstroms, of nitrogen and oxygen (Ertl et al., 2000)."""
    return float(rdMolDescriptors.CalcTPSA(mol))


def hbd(mol: Mol) -> float:
    """Number of hydrogen-bond donors (RDKit's definition)."""
    return float(rdMolDescriptors.CalcNumHBD(mol))


def hba(mol: Mol) -> float:
    """Number of hydrogen-bond acceptors (RDKit's definition)."""
    return float(rdMolDescriptors.CalcNumHBA(mol))


def rotatable_bonds(mol: Mol) -> float:
    """Number of rotatable bonds, amides and the like left out (RDKit's strict definition)."""
    return float(rdMolDescriptors.CalcNumRotatableBonds(mol))


def rings(mol: Mol) -> float:
    """Number of rings in the smallest set of smallest rings."""
    return float(rdMolDescriptors.CalcNumRings(mol))


def aromatic_rings(mol: Mol) -> float:
    """Number of aromatic rings."""
    return float(rdMolDescriptors.CalcNumAromaticRings(mol))


def largest_ring(mol: Mol) -> float:
    """Number of atoms in the largest ring of the smallest set; 0 without a ring."""
    return float(max((len(ring) for ring in mol.GetRingInfo().AtomRings()), default=0))


def fraction_sp3(mol: Mol) -> float:
    """Share of the carbon atoms that are sp3, 0 to 1; 0 without carbon."""
    return float(rdMolDescriptors.CalcFractionCSP3(mol))


def heavy_atoms(mol: Mol) -> float:
    """Number of atoms other than hydrogen."""
    return float(mol.GetNumHeavyAtoms())


def formal_charge(mol: Mol) -> float:
    """Net formal charge, elementary charges."""
    return float(Chem.GetFormalCharge(mol))


def stereocentres(mol: Mol) -> float:
    """Number of tetrahedral stereocentres, specified or not."""
    return float(rdMolDescriptors.CalcNumAtomStereoCenters(mol))


def formula(mol: Mol) -> str:
    """Molecular formula in Hill order, as in `C9H8O4`."""
    return str(rdMolDescriptors.CalcMolFormula(mol))


def inchikey(mol: Mol) -> str:
    """Standard InChIKey; `''` where InChI knows no name, as for a dummy atom."""
    quiet_rdkit()
    return str(Chem.MolToInchiKey(mol))
