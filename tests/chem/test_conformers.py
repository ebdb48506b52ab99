"""Shapes against their definitions, written out with numpy over the coordinates and masses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from rdkit import Chem

from moldesign.chem import conformers
from moldesign.chem.conformers import NoConformer, embed
from moldesign.chem.molecules import Mol, read

BUCKMINSTERFULLERENE = (
    "c12c3c4c5c1c1c6c7c2c2c8c3c3c9c4c4c%10c5c5c1c1c6c6c%11c7c2c2c7c8c3c3c8c9c4c4c9c%10c5c5c1c1c6c6c%11"
    "c2c2c7c3c3c8c4c4c9c5c1c1c6c2c3c41"
)


def positions(mol: Mol) -> list[NDArray[np.float64]]:
    return [conformer.GetPositions() for conformer in mol.GetConformers()]


def test_hydrogens_are_there_and_bonds_have_their_lengths() -> None:
    mol = embed(read("c1ccccc1"))
    assert mol.GetNumAtoms() == 12
    assert mol.GetNumConformers() == 1
    (xyz,) = positions(mol)
    for bond in mol.GetBonds():
        length = np.linalg.norm(xyz[bond.GetBeginAtomIdx()] - xyz[bond.GetEndAtomIdx()])
        assert length == pytest.approx(1.39 if bond.GetIsAromatic() else 1.09, abs=0.05)


def test_coordinates_depend_on_the_molecule_and_the_seed_not_on_how_it_was_written() -> None:
    first = positions(embed(read("OC(=O)c1ccccc1OC(C)=O"), n=3, seed=5))
    conformers._embedded.cache_clear()
    again = positions(embed(read("CC(=O)Oc1ccccc1C(O)=O"), n=3, seed=5))
    np.testing.assert_array_equal(first, again)
    other = positions(embed(read("CC(=O)Oc1ccccc1C(O)=O"), n=3, seed=6))
    assert not np.allclose(first[0], other[0])


@pytest.mark.parametrize("seed", [0, 1])
def test_conformers_of_one_molecule_differ(seed: int) -> None:
    xyz = positions(embed(read("CCCCCCO"), n=4, seed=seed))
    assert len(xyz) == 4
    assert all(not np.allclose(xyz[0], other) for other in xyz[1:])


def test_what_is_given_and_what_is_kept_stay_as_they_are() -> None:
    mol = read("CCO")
    first = embed(mol)
    assert mol.GetNumConformers() == 0
    assert mol.GetNumAtoms() == 3
    first.RemoveAllConformers()
    assert embed(mol).GetNumConformers() == 1


def test_stereo_is_kept() -> None:
    mol = embed(read("C[C@H](N)C(=O)O"))
    Chem.AssignStereochemistryFrom3D(mol)
    assert Chem.FindMolChiralCenters(mol, useLegacyImplementation=False) == [(1, "S")]


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("CC(=O)[O-].[Na+]", "several fragments"),
        ("*CC", "dummy atom"),
        ("[C@@]12(C)C[C@@]1(O)C2", "geometry that cannot be satisfied"),
    ],
)
def test_molecules_without_a_conformer(smiles: str, reason: str) -> None:
    for _ in range(2):  # once computed, once kept
        with pytest.raises(NoConformer, match=f"no conformer: .*{reason}"):
            embed(read(smiles))


def test_embedding_ends_at_its_limit() -> None:
    with pytest.raises(NoConformer, match="not within 1 s"):
        embed(read(BUCKMINSTERFULLERENE), timeout_s=1)


@pytest.fixture(scope="module")
def dipeptide() -> Mol:
    return embed(read("C[C@H](N)C(=O)NCCc1ccccc1"), n=3)


@pytest.mark.parametrize("conformer", [0, 1, 2])
def test_shape_by_its_definitions(dipeptide: Mol, conformer: int) -> None:
    xyz = dipeptide.GetConformer(conformer).GetPositions()
    mass = np.array([atom.GetMass() for atom in dipeptide.GetAtoms()])
    heavy = np.array([atom.GetAtomicNum() > 1 for atom in dipeptide.GetAtoms()])
    centred = xyz - np.average(xyz, axis=0, weights=mass)
    square = (centred**2).sum(axis=1)
    inertia = np.eye(3) * (mass @ square) - (centred * mass[:, None]).T @ centred
    i1, i2, i3 = np.linalg.eigvalsh(inertia)
    gyration = np.linalg.eigvalsh((centred * mass[:, None]).T @ centred / mass.sum())
    plain = xyz - xyz.mean(axis=0)
    spread = np.linalg.eigvalsh(plain.T @ plain)
    skeleton = xyz[heavy] - xyz[heavy].mean(axis=0)
    normal = np.linalg.svd(skeleton)[2][2]
    differences = [gyration[0] - gyration[1], gyration[1] - gyration[2], gyration[2] - gyration[0]]
    expected = {
        "pmi1": i1,
        "pmi2": i2,
        "pmi3": i3,
        "npr1": i1 / i3,
        "npr2": i2 / i3,
        "eccentricity": math.sqrt(1 - (i1 / i3) ** 2),
        "radius_of_gyration": math.sqrt(mass @ square / mass.sum()),
        "asphericity": np.square(differences).sum() / (2 * gyration.sum() ** 2),
        "spherocity": 3 * spread[0] / spread.sum(),
        "plane_of_best_fit": np.abs(skeleton @ normal).mean(),
    }
    for name, value in expected.items():
        number = getattr(conformers, name)(dipeptide, conformer)
        assert type(number) is float
        assert number == pytest.approx(value, rel=1e-6), name


@pytest.mark.parametrize(
    ("smiles", "name", "value"),
    [
        ("C#C", "npr1", 0),  # a rod
        ("C#C", "npr2", 1),
        ("C#C", "asphericity", 1),
        ("C#C", "eccentricity", 1),
        ("c1ccccc1", "npr1", 0.5),  # a disc
        ("c1ccccc1", "npr2", 0.5),
        ("c1ccccc1", "asphericity", 0.25),
        ("c1ccccc1", "spherocity", 0),
        ("c1ccccc1", "plane_of_best_fit", 0),
        ("C12C3C4C1C5C2C3C45", "npr1", 1),  # cubane: a sphere
        ("C12C3C4C1C5C2C3C45", "npr2", 1),
        ("C12C3C4C1C5C2C3C45", "asphericity", 0),
        ("C12C3C4C1C5C2C3C45", "spherocity", 1),
        ("CCO", "plane_of_best_fit", 0),  # three atoms always lie in a plane
        ("c1ccccc1", "pmi3", 177.2),  # 6 x 12.011 x 1.395^2 + 6 x 1.008 x 2.48^2
    ],
)
def test_rod_disc_and_sphere(smiles: str, name: str, value: float) -> None:
    number = getattr(conformers, name)(embed(read(smiles)))
    assert number == pytest.approx(value, abs=0.03, rel=0.03)


def test_volumes() -> None:
    # One sphere; RDKit gives sodium a van der Waals radius of 2.4 angstroms.
    assert conformers.mol_volume(embed(read("[Na+]"))) == pytest.approx(4 / 3 * math.pi * 2.4**3, rel=1e-3)
    # Benzene: published van der Waals volumes lie between 79 and 85.
    assert 79 < conformers.mol_volume(embed(read("c1ccccc1"))) < 85


def test_a_single_atom_has_no_ratio_of_moments() -> None:
    for ratio in (conformers.npr1, conformers.npr2):
        with pytest.raises(NoConformer, match="single atom"):
            ratio(embed(read("[Na+]")))
