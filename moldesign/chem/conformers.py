"""Three-dimensional structures of molecules, and the numbers that describe their shape."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdMolDescriptors

from moldesign.chem.molecules import Mol, quiet_rdkit, to_smiles

#: Seconds that one molecule may take to embed; a drug-like one takes some hundredths.
TIMEOUT_S = 10

#: Molecules kept, so that several shape descriptors of an objective embed each molecule once.
_KEPT = 512


class NoConformer(ValueError):
    """A molecule for which there is no three-dimensional structure, with the reason."""


def embed(mol: Mol, *, n: int = 1, seed: int = 0, timeout_s: int = TIMEOUT_S) -> Mol:
    """The molecule with explicit hydrogens and up to n conformers; fewer where RDKit finds fewer.

    ETKDGv3 without further minimisation (Wang et al., J. Chem. Inf. Model. 60, 2044, 2020), once more from
    random coordinates where that finds none. Atoms stand in the order of the canonical SMILES, whatever
    their order in `mol`: the same molecule and seed give the same coordinates however it was written. A
    stereocentre without specified configuration gets one of the two.

    Args:
        n: conformers wanted.
        seed: 0 or larger.
        timeout_s: seconds after which RDKit gives up, for all n together. Of molecules of hundreds of
            atoms it may notice late: who cannot wait limits the process.

    Raises:
        NoConformer: several fragments, a dummy atom, no conformer found, not in time.
    """
    found = _embedded(to_smiles(mol), n, seed, timeout_s)
    if isinstance(found, str):
        raise NoConformer(f"no conformer: {found}")
    return Chem.Mol(found)


@lru_cache(maxsize=_KEPT)
def _embedded(smiles: str, n: int, seed: int, timeout_s: int) -> Mol | str:
    """The molecule with conformers, or the reason why there are none: failures are dear too and are kept."""
    quiet_rdkit()
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        return "its SMILES cannot be read back"
    if any(atom.GetAtomicNum() == 0 for atom in mol.GetAtoms()):
        return "a dummy atom has no size"
    if len(Chem.GetMolFrags(mol)) > 1:
        return "several fragments have no common shape"
    mol = Chem.AddHs(mol)
    deadline = time.monotonic() + timeout_s
    for random_coordinates in (False, True):
        remaining = int(np.ceil(deadline - time.monotonic()))
        if remaining <= 0:
            return f"not within {timeout_s} s"
        parameters: Any = rdDistGeom.ETKDGv3()
        # RDKit takes a negative seed for none, and 0 makes all conformers of a molecule the same.
        parameters.randomSeed = 1 + seed % 0x7FFFFFFE
        parameters.timeout = remaining
        parameters.trackFailures = True
        parameters.useRandomCoords = random_coordinates
        try:
            rdDistGeom.EmbedMultipleConfs(mol, n, parameters)
        except (RuntimeError, ValueError) as error:
            return " ".join(str(error).split())
        # Which conformers were done in time is chance: all or none.
        if parameters.GetFailureCounts()[rdDistGeom.EmbedFailureCauses.EXCEEDED_TIMEOUT]:
            return f"not within {timeout_s} s"
        if mol.GetNumConformers():
            return mol
    return "geometry that cannot be satisfied"


def npr1(mol: Mol, conformer: int = -1) -> float:
    """Smallest over largest principal moment of inertia: 0 for a rod, 1/2 for a disc, 1 for a sphere.

    Hydrogens included. Sauer and Schwarz, J. Chem. Inf. Comput. Sci. 43, 987 (2003).

    Raises:
        NoConformer: a single atom, which has no moment of inertia.
    """
    return _over_largest(mol, conformer, rdMolDescriptors.CalcPMI1)


def npr2(mol: Mol, conformer: int = -1) -> float:
    """Middle over largest principal moment of inertia: 1 for a rod, 1/2 for a disc, 1 for a sphere.

    Hydrogens included. Sauer and Schwarz, J. Chem. Inf. Comput. Sci. 43, 987 (2003).

    Raises:
        NoConformer: a single atom, which has no moment of inertia.
    """
    return _over_largest(mol, conformer, rdMolDescriptors.CalcPMI2)


def _over_largest(mol: Mol, conformer: int, moment: Callable[..., float]) -> float:
    largest = rdMolDescriptors.CalcPMI3(mol, conformer)
    if largest == 0:
        raise NoConformer("a single atom has no shape")
    return float(moment(mol, conformer) / largest)


def pmi1(mol: Mol, conformer: int = -1) -> float:
    """Smallest principal moment of inertia, dalton square angstroms, hydrogens included."""
    return float(rdMolDescriptors.CalcPMI1(mol, conformer))


def pmi2(mol: Mol, conformer: int = -1) -> float:
    """Middle principal moment of inertia, dalton square angstroms, hydrogens included."""
    return float(rdMolDescriptors.CalcPMI2(mol, conformer))


def pmi3(mol: Mol, conformer: int = -1) -> float:
    """Largest principal moment of inertia, dalton square angstroms, hydrogens included."""
    return float(rdMolDescriptors.CalcPMI3(mol, conformer))


def plane_of_best_fit(mol: Mol, conformer: int = -1) -> float:
    """Mean distance of the heavy atoms from the plane that fits them best, angstroms; 0 for a flat molecule.

    Firth, Brown and Blagg, J. Chem. Inf. Model. 52, 2516 (2012).
    """
    return float(rdMolDescriptors.CalcPBF(Chem.RemoveAllHs(mol), conformer))


def asphericity(mol: Mol, conformer: int = -1) -> float:
    """Spread of the mass along the axes of its gyration tensor: 0 for a sphere, 1/4 for a disc, 1 for a rod.

    Baumgaertner, J. Chem. Phys. 98, 7496 (1993).
    """
    return float(rdMolDescriptors.CalcAsphericity(mol, conformer))


def eccentricity(mol: Mol, conformer: int = -1) -> float:
    """Elongation from the principal moments, sqrt(1 - npr1^2): 0 for a sphere, 1 for a rod."""
    return float(rdMolDescriptors.CalcEccentricity(mol, conformer))


def spherocity(mol: Mol, conformer: int = -1) -> float:
    """Three times the share of the smallest axis of the atoms' spread: 0 for a flat molecule, 1 for a sphere.

    Robinson, Barlow and Richards, J. Chem. Inf. Comput. Sci. 37, 939 (1997).
    """
    return float(rdMolDescriptors.CalcSpherocityIndex(mol, conformer))


def radius_of_gyration(mol: Mol, conformer: int = -1) -> float:
    """Root mean square distance of the mass from its centre, angstroms, hydrogens included."""
    return float(rdMolDescriptors.CalcRadiusOfGyration(mol, conformer))


def mol_volume(mol: Mol, conformer: int = -1) -> float:
    """Volume within the van der Waals spheres, cubic angstroms, hydrogens included.

    By the double cubic lattice method (Eisenhaber et al., J. Comput. Chem. 16, 273, 1995).
    """
    lattice: Any = rdMolDescriptors.DoubleCubicLatticeVolume(mol, confId=conformer)
    return float(lattice.GetVDWVolume())
