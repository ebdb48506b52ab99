from __future__ import annotations

import pytest
from rdkit.Chem.Pharm2D import Generate, Gobbi_Pharm2D

from moldesign.chem.molecules import read
from moldesign.chem.pharmacophores import gobbi
from moldesign.language.corpus import load


def assert_same(smiles: str) -> None:
    mol = read(smiles)
    theirs = Generate.Gen2DFingerprint(mol, Gobbi_Pharm2D.factory)
    assert list(gobbi(mol).GetOnBits()) == list(theirs.GetOnBits()), smiles


def test_the_bits_are_those_of_rdkit() -> None:
    for smiles in [*load("zinc250k")[::5000], *load("chembl_sample")[::5000]]:
        assert_same(smiles)


@pytest.mark.parametrize(
    "smiles",
    [
        "C",
        "OCCO",
        "[Na+].[Cl-]",
        "CC.OC(=O)CCN.c1ccccc1O",  # no path between some of its features
        "OCCCCCCCCCCCCCCCCCCCCN",  # far apart
        "NCC(=O)NC(CO)C(=O)NC(CC(=O)O)C(=O)N1CCCC1C(=O)NC(Cc1c[nH]c2ccccc12)C(=O)O",
    ],
)
def test_the_bits_of_odd_molecules_are_those_of_rdkit(smiles: str) -> None:
    assert_same(smiles)
