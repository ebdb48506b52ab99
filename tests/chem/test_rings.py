import pytest

from moldesign.chem.molecules import read
from moldesign.chem.rings import ring_systems


@pytest.mark.parametrize(
    ("smiles", "systems"),
    [
        ("CC(C)O", []),
        ("Cc1ccccc1", ["c1ccccc1"]),
        # Rings on a bond between them are two; fused, spiro and bridged ones are one.
        ("c1ccc(-c2ccccc2)cc1", ["c1ccccc1", "c1ccccc1"]),
        ("Cc1cccc2ccccc12", ["c1ccc2ccccc2c1"]),
        ("OC1CC12CCNCC2", ["C1CC2(CCN1)CC2"]),
        ("C1CC2CCC1C2", ["C1CC2CCC1C2"]),
        # Three rings in a row, the middle one met last.
        ("c1ccc2c(c1)Cc1ccccc1-2", ["c1ccc2c(c1)Cc1ccccc1-2"]),
        # What is doubly bound belongs to it, and is one atom even where it is in a ring itself.
        ("CCN1C(=O)CCC1=O", ["O=C1CCC(=O)N1"]),
        ("O=S1(=O)CCCC1", ["O=S1(=O)CCCC1"]),
        ("C1CCC1=C1CC1", ["C=C1CC1", "C=C1CCC1"]),
        ("C(C)=C1CCCC1", ["C=C1CCCC1"]),
        # A hydrogen stands for what was bound singly.
        ("Cn1cccc1", ["c1cc[nH]c1"]),
        ("CP1(=O)OCCO1", ["O=[PH]1OCCO1"]),
        # As many of them as the atom had bonds, not as many as it usually has.
        ("CS1(C)CCCC1", ["C1CC[SH2]C1"]),
        # Stereo, isotopes and protons do not make another ring system; a methyl that stays charged does.
        ("C[C@H]1CC[C@@H](F)C1", ["C1CCCC1"]),
        ("[2H]C1C[13CH2]1", ["C1CC1"]),
        ("C[NH+]1CCCCC1", ["C1CCNCC1"]),
        ("C[N+]1(C)CCCCC1", ["C1CC[NH2+]CC1"]),
        ("[O-]C(=O)C[n+]1ccccc1", ["c1cc[nH+]cc1"]),
        ("c1c[nH+]ccc1C(=O)[O-]", ["c1ccncc1"]),
        # Charges beside rings.
        ("O=[N+]([O-])c1ccc(C2CC[NH2+]CC2)cc1", ["C1CCNCC1", "c1ccccc1"]),
        ("C[N+](C)(C)C1CCCCC1", ["C1CCCCC1"]),
        ("[NH3+]C1CCC(=[N+]2CCCC2)CC1", ["C=[N+]1CCCC1", "[NH2+]=C1CCCCC1"]),
        # Two ways to write a double bond to oxygen.
        ("[O-][n+]1ccccc1C", ["[O-][n+]1ccccc1"]),
        ("[O-][S+]1CCCC1", ["[O-][S+]1CCCC1"]),
        ("*C1CCC1", ["C1CCC1"]),
    ],
)
def test_ring_systems_by_hand(smiles: str, systems: list[str]) -> None:
    assert ring_systems(read(smiles)) == systems


def test_a_ring_system_is_its_own() -> None:
    for smiles in ("c1ccc2[nH]ccc2c1", "O=C1NC(=O)c2ccccc21", "C1CC2CCC1CC2", "O=c1cc[nH]c2ccccc12"):
        assert ring_systems(read(smiles)) == [smiles]
