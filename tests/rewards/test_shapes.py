from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from rdkit import Chem
from rdkit.Chem import rdDepictor

from moldesign.chem.conformers import embed
from moldesign.chem.molecules import read
from moldesign.chem.shapes import Overlay
from moldesign.errors import DataError, UsageError
from moldesign.rewards.shapes import ENTRIES, ShapeParameters, ShapeSimilarity

PARACETAMOL = "CC(=O)Nc1ccc(O)cc1"
IBUPROFEN = "CC(C)Cc1ccc(cc1)C(C)C(=O)O"
NAPROXEN = "COc1ccc2cc(ccc2c1)C(C)C(=O)O"


def values(smiles: list[str], **parameters: Any) -> list[float]:
    reward = ShapeSimilarity(ShapeParameters.model_validate(parameters))
    return [float(value) for value in reward([read(one) for one in smiles])]


@pytest.mark.parametrize("method", ["shape_align", "open3dalign"])
def test_a_molecule_is_wholly_like_itself(method: str) -> None:
    # The first conformer of several is that which the reference has, however the molecule is written.
    given: dict[str, Any] = {"reference": IBUPROFEN, "method": method, "conformers": 3}
    itself, written_otherwise, like, unlike = values(
        [IBUPROFEN, "OC(=O)C(C)c1ccc(CC(C)C)cc1", NAPROXEN, "CCO"], **given
    )
    assert itself == pytest.approx(1, abs=0.02)
    assert written_otherwise == pytest.approx(1, abs=0.02)
    assert unlike < like < 1
    assert values([NAPROXEN], **given) == [like]
    assert values([NAPROXEN], **given, seed=5) != [like]


def test_the_value_is_the_best_over_conformers() -> None:
    overlay = Overlay(embed(read(IBUPROFEN), seed=7), colour_weight=0.2)
    mol = embed(read(NAPROXEN), n=4, seed=7)
    each = [overlay.similarity(Chem.Mol(mol, confId=one.GetId())) for one in mol.GetConformers()]
    (found,) = values([NAPROXEN], reference=IBUPROFEN, conformers=4, seed=7, colour_weight=0.2)
    assert found == pytest.approx(max(each))


def test_every_reference_of_a_file_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mols = [embed(read(smiles)) for smiles in (IBUPROFEN, PARACETAMOL)]
    for name, order in [("two.sdf", mols), ("turned.sdf", mols[::-1]), ("one.sdf", mols[:1])]:
        with Chem.SDWriter(name) as writer:
            for mol in order:
                writer.write(mol)
    queries = [IBUPROFEN, PARACETAMOL, NAPROXEN]
    both = values(queries, file="two.sdf", conformers=2)
    # A file holds four decimals of a coordinate.
    assert both[:2] == pytest.approx([1, 1], abs=0.02)
    assert values(queries, file="turned.sdf", conformers=2) == both
    assert values(queries, file="one.sdf", conformers=2)[1] < 0.9


def test_a_file_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "reference.mol"
    prints = []
    for smiles in (IBUPROFEN, PARACETAMOL):
        Chem.MolToMolFile(embed(read(smiles)), str(path))
        prints.append(ShapeSimilarity(ShapeParameters(file=str(path))).fingerprint)
    assert prints[0] != prints[1]
    assert all(prints)


def test_a_drawing_is_no_conformer(tmp_path: Path) -> None:
    mol = read(IBUPROFEN)
    rdDepictor.Compute2DCoords(mol)
    Chem.MolToMolFile(mol, str(tmp_path / "flat.sdf"))
    with pytest.raises(DataError, match=r"flat.sdf, molecule 1: coordinates of a drawing \(2D\)"):
        ShapeSimilarity(ShapeParameters(file=str(tmp_path / "flat.sdf")))


def test_what_has_no_conformer_fails_and_is_not_scored() -> None:
    reward = ShapeSimilarity(ShapeParameters(reference=PARACETAMOL, conformers=1))
    for smiles in ("[Na+].[Cl-]", "CC*", "[H][H]"):
        with pytest.raises(ValueError, match="fragments|dummy|heavy atoms"):
            reward([read(smiles)])
    with pytest.raises(UsageError, match=r"reference '\[Na\+\]\.\[Cl-\]': .*fragments"):
        ShapeSimilarity(ShapeParameters(reference="[Na+].[Cl-]"))
    with pytest.raises(UsageError, match="'CCC': has no pharmacophore feature: set colour_weight = 0"):
        ShapeSimilarity(ShapeParameters(reference="CCC"))
    assert values(["CCC"], reference="CCC", colour_weight=0, conformers=1) == pytest.approx([1], abs=0.02)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "give either a file or a reference"),
        ({"file": "a.sdf", "reference": "CCO"}, "give either a file or a reference"),
        ({"reference": "C1CC"}, "'C1CC' is no molecule"),
        ({"reference": "CCO", "method": "open3dalign", "colour_weight": 0.5}, "belongs to shape_align"),
        ({"reference": "CCO", "colour_weight": 1.5}, "less than or equal to 1"),
        ({"reference": "CCO", "conformers": 0}, "greater than or equal to 1"),
        ({"reference": "CCO", "seed": -1}, "greater than or equal to 0"),
    ],
)
def test_wrong_parameters(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ShapeParameters.model_validate(parameters)


def test_it_runs_where_it_can_be_stopped() -> None:
    entry = ENTRIES["shape_similarity"]
    assert entry.isolated
    assert entry.cached
    parameters = entry.parameters.model_validate(entry.example)
    found = entry.build(parameters)([read(PARACETAMOL), read("CCO")])
    assert found[0] == pytest.approx(1, abs=0.02)
    assert np.isfinite(found).all()
