"""Numbers and names that a chemist reads off a molecule."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from rdkit import Chem, rdBase
from rdkit.Chem import Descriptors, GraphDescriptors, rdMolDescriptors
from rdkit.Contrib.NP_Score import npscorer
from rdkit.Contrib.SA_Score import sascorer

from moldesign.chem.molecules import Mol, quiet_rdkit
from moldesign.chem.qed import qed as qed
from moldesign.chem.substructures import pattern
from moldesign.errors import nearest

#: A ring of so many atoms is a macrocycle (Driggers et al., Nature Reviews Drug Discovery 7, 608, 2008).
MACROCYCLE = 12

#: Any larger topological distance is RDKit's mark for atoms of different fragments.
_CONNECTED = 1e6


def sa_score(mol: Mol) -> float:
    """Synthetic accessibility, 1 (easy) to 10 (hard) (Ertl and Schuffenhauer, J. Cheminf. 1, 8, 2009).

    The score of RDKit's Contrib directory, which every benchmark uses.
    """
    return float(sascorer.calculateScore(mol))


def np_likeness(mol: Mol) -> float:
    """Likeness to natural products, about -5 (synthetic) to 5 (natural) (Ertl et al., 2008).

    Ertl, Roggo and Schuffenhauer, J. Chem. Inf. Model. 48, 68 (2008); the score of RDKit's Contrib
    directory, with the model that comes with it.
    """
    return float(npscorer.scoreMol(mol, _np_model()))


@cache
def _np_model() -> Any:
    # Read here: RDKit's own function writes to stderr that it does so.
    with gzip.open(Path(npscorer.__file__).with_name("publicnp.model.gz")) as handle:
        return pickle.load(handle)


def logp(mol: Mol) -> float:
    """Logarithm of the octanol-water partition coefficient (Wildman and Crippen, 1999)."""
    return float(rdMolDescriptors.CalcCrippenDescriptors(mol)[0])


def penalised_logp(mol: Mol) -> float:
    """Penalised log P: log P less the synthetic accessibility and the atoms beyond six of the largest ring.

    A benchmark, not a property; as it is, where some papers normalise its three terms over ZINC.
    Gomez-Bombarelli et al., ACS Cent. Sci. 4, 268 (2018); Jin, Barzilay and Jaakkola, ICML 2018.
    """
    return logp(mol) - sa_score(mol) - max(0.0, largest_ring(mol) - 6.0)


def mw(mol: Mol) -> float:
    """Average molecular weight, g/mol, hydrogens included."""
    return float(rdMolDescriptors._CalcMolWt(mol))


def exact_mass(mol: Mol) -> float:
    """Monoisotopic mass, dalton, hydrogens included: what a mass spectrum shows."""
    return float(rdMolDescriptors.CalcExactMolWt(mol))


def molar_refractivity(mol: Mol) -> float:
    """Molar refractivity, cubic centimetres a mole (Wildman and Crippen, 1999)."""
    return float(rdMolDescriptors.CalcCrippenDescriptors(mol)[1])


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


@cache
def _rotatable() -> Mol:
    """RDKit's strict definition as a query for the two atoms, since RDKit gives only their number."""
    end = "!$(*#*)&!D1&!$(C(F)(F)F)&!$(C(Cl)(Cl)Cl)&!$(C(Br)(Br)Br)&!$(C([CH3])([CH3])[CH3])"
    no_amide = (
        "!$([CD3](=[N,O,S])-!@[#7,O,S!D1])&!$([#7,O,S!D1]-!@[CD3]=[N,O,S])"
        "&!$([CD3](=[N+])-!@[#7!D1])&!$([#7!D1]-!@[CD3]=[N+])"
    )
    return pattern(f"[{end}&{no_amide}]-,:;!@[{end}]")


def max_consecutive_rotatable_bonds(mol: Mol) -> float:
    """Number of bonds in the longest chain of consecutive rotatable bonds (RDKit's strict definition).

    A ring, an amide or any other bond that does not rotate ends a chain; of a branched one the longest path
    counts.
    """
    bound: dict[int, list[int]] = {}
    for first, second in mol.GetSubstructMatches(_rotatable()):
        bound.setdefault(first, []).append(second)
        bound.setdefault(second, []).append(first)

    def farthest(start: int) -> tuple[int, int]:
        """The atom at the end of the longest chain from an atom, and the bonds to it: there are no cycles."""
        end, longest = start, 0
        stack = [(start, start, 0)]
        while stack:
            atom, before, length = stack.pop()
            if length > longest:
                end, longest = atom, length
            stack += [(other, atom, length + 1) for other in bound[atom] if other != before]
        return end, longest

    # From the end that is farthest from anywhere, the longest path of a tree starts.
    return float(max((farthest(farthest(atom)[0])[1] for atom in bound), default=0))


def rings(mol: Mol) -> float:
    """Number of rings in the smallest set of smallest rings."""
    return float(rdMolDescriptors.CalcNumRings(mol))


def aromatic_rings(mol: Mol) -> float:
    """Number of aromatic rings."""
    return float(rdMolDescriptors.CalcNumAromaticRings(mol))


def aliphatic_rings(mol: Mol) -> float:
    """Number of rings with a bond that is not aromatic."""
    return float(rdMolDescriptors.CalcNumAliphaticRings(mol))


def largest_ring(mol: Mol) -> float:
    """Number of atoms in the largest ring of the smallest set; 0 without a ring."""
    return float(max((len(ring) for ring in mol.GetRingInfo().AtomRings()), default=0))


def macrocycles(mol: Mol) -> float:
    """Number of rings of at least 12 atoms in the smallest set of smallest rings."""
    return float(sum(len(ring) >= MACROCYCLE for ring in mol.GetRingInfo().AtomRings()))


def spiro_atoms(mol: Mol) -> float:
    """Number of spiro atoms: two rings share that atom alone."""
    return float(rdMolDescriptors.CalcNumSpiroAtoms(mol))


def bridgehead_atoms(mol: Mol) -> float:
    """Number of bridgehead atoms: rings share a chain of bonds that ends there."""
    return float(rdMolDescriptors.CalcNumBridgeheadAtoms(mol))


def fraction_sp3(mol: Mol) -> float:
    """Share of the carbon atoms that are sp3, 0 to 1; 0 without carbon."""
    return float(rdMolDescriptors.CalcFractionCSP3(mol))


def sp_atoms(mol: Mol) -> float:
    """Number of sp atoms of any element (RDKit's hybridisation)."""
    return _hybridised(mol, Chem.HybridizationType.SP)


def sp2_atoms(mol: Mol) -> float:
    """Number of sp2 atoms of any element (RDKit's hybridisation: an amide nitrogen is one)."""
    return _hybridised(mol, Chem.HybridizationType.SP2)


def sp3_atoms(mol: Mol) -> float:
    """Number of sp3 atoms of any element (RDKit's hybridisation: a hydroxyl oxygen is one)."""
    return _hybridised(mol, Chem.HybridizationType.SP3)


def _hybridised(mol: Mol, kind: Chem.HybridizationType) -> float:
    return float(sum(atom.GetHybridization() == kind for atom in mol.GetAtoms()))


def heavy_atoms(mol: Mol) -> float:
    """Number of atoms other than hydrogen."""
    return float(mol.GetNumHeavyAtoms())


def hetero_atoms(mol: Mol) -> float:
    """Number of atoms other than carbon and hydrogen."""
    return float(rdMolDescriptors.CalcNumHeteroatoms(mol))


def formal_charge(mol: Mol) -> float:
    """Net formal charge, elementary charges."""
    return float(Chem.GetFormalCharge(mol))


def stereocentres(mol: Mol) -> float:
    """Number of tetrahedral stereocentres, specified or not."""
    return float(rdMolDescriptors.CalcNumAtomStereoCenters(mol))


def graph_length(mol: Mol) -> float:
    """Largest number of bonds on the shortest path between two atoms of a fragment."""
    distances = Chem.GetDistanceMatrix(mol)
    return float(distances[distances < _CONNECTED].max())


def bertz(mol: Mol) -> float:
    """Complexity of the molecular graph, larger for more complex ones (Bertz, JACS 103, 3599, 1981)."""
    return float(GraphDescriptors.BertzCT(mol))


#: Every two-dimensional descriptor of RDKit, by its name there.
RDKIT_DESCRIPTORS: dict[str, Callable[[Mol], float]] = dict(Descriptors.descList)


def rdkit_descriptor(name: str) -> Callable[[Mol], float]:
    """The descriptor that RDKit calls so; its value is NaN or inf where a molecule has none.

    Raises:
        ValueError: no such descriptor; the message holds the nearest.
    """
    if name not in RDKIT_DESCRIPTORS:
        near = nearest(name, RDKIT_DESCRIPTORS)
        hint = near or f"; RDKit {rdBase.rdkitVersion} has {len(RDKIT_DESCRIPTORS)}, as MolWt and TPSA"
        raise ValueError(f"RDKit has no descriptor '{name}'{hint}")
    descriptor = RDKIT_DESCRIPTORS[name]
    return lambda mol: float(descriptor(mol))


def formula(mol: Mol) -> str:
    """Molecular formula in Hill order, as in `C9H8O4`."""
    return str(rdMolDescriptors.CalcMolFormula(mol))


def inchikey(mol: Mol) -> str:
    """Standard InChIKey; `''` where InChI knows no name, as for a dummy atom."""
    quiet_rdkit()
    return str(Chem.MolToInchiKey(mol))
