import pytest

from moldesign.chem.molecules import read
from moldesign.chem.tautomers import shortfall


@pytest.mark.parametrize(
    ("smiles", "points"),
    [
        # A carbonyl is worth two points, and an enol lacks a methyl and a C=X besides.
        ("Oc1ccccn1", 2),
        ("O=c1cccc[nH]1", 0),
        ("CC(O)=NC", 2),
        ("CC(=O)NC", 0),
        ("Oc1ccnc(O)n1", 4),
        ("O=c1cc[nH]c(=O)[nH]1", 0),
        ("CC(=O)C", 0),
        # Phenol, not its ketone: 250 for the ring, less 3 for what the ketone has.
        ("Oc1ccccc1", 0),
        ("O=C1C=CCC=C1", 247),
        # Indole, not its 3H form: 100 for the ring, less 1 for its C=N.
        ("c1ccc2[nH]ccc2c1", 0),
        ("C1C=Nc2ccccc21", 99),
        # No heterocycle at the price of a carbonyl: succinimide, oxindole.
        ("O=C1CCC(=O)N1", 0),
        ("O=C1Cc2ccccc2N1", 0),
        # No imidate of an enamine.
        ("N#CC1=C(N)OC(C)=CC1c1ccccc1", 0),
        ("c1ccccc1", 0),
    ],
)
def test_points_by_hand(smiles: str, points: float) -> None:
    assert shortfall(read(smiles)) == points


@pytest.mark.parametrize("enol", ["C=C(O)C", "C=C(O)c1ccccc1", "OC1=CCCCC1", "CN=C(O)Nc1ccccc1"])
def test_enols_and_imidic_acids_are_worse_than_what_they_become(enol: str) -> None:
    assert shortfall(read(enol)) >= 2


@pytest.mark.parametrize(
    "smiles",
    [
        "CC(=O)Oc1ccccc1C(=O)O",
        "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
        "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
        "CN1CCC[C@H]1c1cccnc1",
        "Cc1ccc(cc1)c1cc(nn1c1ccc(cc1)S(N)(=O)=O)C(F)(F)F",
        "Nc1nc2[nH]cnc2c(=O)[nH]1",
    ],
)
def test_drugs_as_they_are_drawn_are_their_best_tautomer(smiles: str) -> None:
    assert shortfall(read(smiles)) == 0


def test_the_enumeration_is_bounded() -> None:
    # A peptide of fifty amides has more tautomers than anybody can count.
    assert shortfall(read("NCC(=O)" * 50 + "O")) == 0
