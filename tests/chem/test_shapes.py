from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDepictor, rdMolTransforms, rdShapeAlign

from moldesign.chem.conformers import embed
from moldesign.chem.molecules import Mol, read
from moldesign.chem.shapes import Method, Overlay, read_conformers
from moldesign.errors import DataError

PARACETAMOL = "CC(=O)Nc1ccc(O)cc1"
CELECOXIB = "Cc1ccc(cc1)c1cc(nn1c1ccc(cc1)S(N)(=O)=O)C(F)(F)F"
METHODS: list[Method] = ["shape_align", "open3dalign"]


def turned(mol: Mol) -> Mol:
    """The same conformer, turned about and moved away."""
    mol = Chem.Mol(mol)
    motion = np.eye(4)
    motion[:3] = [[0.0, -1.0, 0.0, 7.0], [0.6, 0.0, -0.8, -3.0], [0.8, 0.0, 0.6, 2.0]]
    assert np.linalg.det(motion) == pytest.approx(1)
    rdMolTransforms.TransformConformer(mol.GetConformer(), motion)
    return mol


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("smiles", [PARACETAMOL, CELECOXIB])
def test_the_same_conformer_elsewhere_is_wholly_alike(method: Method, smiles: str) -> None:
    mol = embed(read(smiles))
    assert Overlay(mol, method).similarity(turned(mol)) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_another_molecule_is_less_alike(method: Method) -> None:
    overlay = Overlay(embed(read(CELECOXIB)), method)
    chlorine = CELECOXIB.replace("C", "Cl", 1)
    like, unlike = (overlay.similarity(embed(read(smiles), n=5)) for smiles in (chlorine, "CCO"))
    assert 0 < unlike < 0.4
    assert like > unlike + 0.2


def test_hydrogens_do_not_count() -> None:
    mol = embed(read(PARACETAMOL))
    for method in METHODS:
        bare = Overlay(Chem.RemoveAllHs(mol), method)
        assert bare.similarity(mol) == Overlay(mol, method).similarity(mol)


def test_the_best_conformer_counts() -> None:
    overlay = Overlay(embed(read(CELECOXIB)))
    mol = embed(read("CC(C)Cc1ccc(cc1)C(C)C(=O)O"), n=6, seed=3)
    alone = []
    for conformer in mol.GetConformers():
        one = Chem.Mol(mol, confId=conformer.GetId())
        alone.append(overlay.similarity(one))
    assert len(alone) == 6
    assert overlay.similarity(mol) == pytest.approx(max(alone))
    assert min(alone) < max(alone)


def test_shape_and_colour_have_their_weights() -> None:
    reference, mol = embed(read(CELECOXIB)), embed(read(PARACETAMOL))
    for weight in (0.0, 0.3, 1.0):
        bare, probe = Chem.RemoveAllHs(reference), Chem.RemoveAllHs(mol)
        shape, colour = rdShapeAlign.AlignMol(bare, probe, useColors=weight > 0, opt_param=1 - weight)
        found = Overlay(reference, colour_weight=weight).similarity(mol)
        assert found == pytest.approx((1 - weight) * shape + weight * colour, abs=0.02)


def test_open3dalign_gives_the_overlap_of_volumes() -> None:
    methane, ethane = embed(read("C")), embed(read("CC"))
    assert Overlay(methane, "open3dalign").similarity(methane) == 1
    # One carbon upon one of two: spheres of 0.8 x 1.7 angstroms, of the two d apart without what they share.
    d = float(np.linalg.norm(np.diff(ethane.GetConformer().GetPositions()[:2], axis=0)))
    radius = 0.8 * 1.7
    sphere = 4 / 3 * np.pi * radius**3
    shared = np.pi * (4 * radius + d) * (2 * radius - d) ** 2 / 12
    found = Overlay(methane, "open3dalign").similarity(ethane)
    assert found == pytest.approx(sphere / (2 * sphere - shared), abs=0.02)  # counted on a grid


def test_a_reference_without_colour_needs_weight_0() -> None:
    methane = embed(read("C"))
    with pytest.raises(ValueError, match="no pharmacophore feature: set colour_weight = 0"):
        Overlay(methane)
    assert Overlay(methane, colour_weight=0).similarity(methane) == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("smiles", "said"),
    [("[H][H]", "no heavy atoms"), ("CC*", "dummy atoms"), ("[Na+].[Cl-]", "several fragments")],
)
def test_what_crashes_rdkit_is_refused(method: Method, smiles: str, said: str) -> None:
    mol = Chem.MolFromSmiles(smiles)
    mol.AddConformer(Chem.Conformer(mol.GetNumAtoms()))
    with pytest.raises(ValueError, match=said):
        Overlay(embed(read(PARACETAMOL)), method).similarity(mol)


def test_a_molecule_without_conformer_is_refused() -> None:
    with pytest.raises(ValueError, match="no conformer"):
        Overlay(read(PARACETAMOL))


def test_an_element_of_unknown_size_is_refused() -> None:
    mol = embed(read("C[Hg]C"))
    with pytest.raises(ValueError, match="No VdW radius"):
        Overlay(embed(read(PARACETAMOL))).similarity(mol)


def test_conformers_of_a_file_are_those_in_it(tmp_path: Path) -> None:
    mols = [embed(read(smiles)) for smiles in (PARACETAMOL, CELECOXIB)]
    with Chem.SDWriter(str(tmp_path / "two.sdf")) as writer:
        for mol in mols:
            writer.write(mol)
    Chem.MolToMolFile(mols[0], str(tmp_path / "one.mol"))
    for name, expected in [("two.sdf", mols), ("one.mol", mols[:1])]:
        found = read_conformers(tmp_path / name)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(
                one.GetConformer().GetPositions(), other.GetConformer().GetPositions(), atol=1e-4
            )


def test_files_that_hold_no_conformer(tmp_path: Path) -> None:
    flat = read(PARACETAMOL)
    rdDepictor.Compute2DCoords(flat)
    block = Chem.MolToMolBlock(flat)
    assert "RDKit          2D" in block
    solid = Chem.MolToMolBlock(embed(read("CCO")))
    files = {
        "flat.sdf": (block, "molecule 1: coordinates of a drawing"),
        # A drawing that calls itself three-dimensional is one all the same.
        "lying.sdf": (block.replace("RDKit          2D", "RDKit          3D"), "coordinates of a drawing"),
        "second.sdf": (f"{solid}$$$$\n{block}$$$$\n", "molecule 2: coordinates of a drawing"),
        "broken.sdf": ("\n\n\nnonsense\n", "molecule 1: no molecule"),
        "empty.sdf": ("", "cannot be read|no molecule"),
        "text.smi": ("CCO\n", "a conformer is read from .sdf or .mol"),
    }
    for name, (text, said) in files.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=f"{name}.*({said})"):
            read_conformers(tmp_path / name)
    with pytest.raises(DataError, match="absent.sdf: no such file"):
        read_conformers(tmp_path / "absent.sdf")
