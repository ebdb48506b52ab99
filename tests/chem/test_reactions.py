import pytest

from moldesign.chem.molecules import read, to_smiles
from moldesign.chem.reactions import MAX_CUTS, InvalidReaction, Reaction, cuts, retro_reaction

AMIDE = retro_reaction("[C:1](=[O:2])[NX3:3]>>[C:1](=[O:2])O.[N:3]")
SUZUKI = retro_reaction("[c:1]-!@[c:2]>>[c:1]B(O)O.[c:2]Br")


def precursors(smiles: str, reaction: Reaction = AMIDE) -> list[set[str]]:
    return [{to_smiles(mol) for mol in mols} for mols in cuts(read(smiles), reaction)]


def test_an_amide_comes_from_an_acid_and_an_amine() -> None:
    assert precursors("O=C(Nc1ccccc1)c1ccncc1") == [{"O=C(O)c1ccncc1", "Nc1ccccc1"}]
    assert precursors("CCOC(C)=O") == []


def test_each_place_is_a_cut() -> None:
    assert precursors("CC(=O)NCCNC(=O)CC") == [
        {"CC(=O)O", "CCC(=O)NCCN"},
        {"CCC(=O)O", "CC(=O)NCCN"},
    ]
    # Either ring may have carried the boron.
    found = precursors("c1ccc(-c2ccncc2)cc1", SUZUKI)
    assert {"OB(O)c1ccccc1", "Brc1ccncc1"} in found
    assert {"Brc1ccccc1", "OB(O)c1ccncc1"} in found


def test_a_bond_in_a_ring_does_not_part_the_molecule() -> None:
    assert precursors("O=C1CCCN1") == []


def test_a_salt_is_cut_in_its_largest_fragment() -> None:
    assert precursors("CC(=O)NC.Cl") == [{"CC(=O)O", "CN"}]


def test_atoms_that_the_reaction_does_not_name_are_not_lost() -> None:
    # The unmapped oxygen is replaced; what hangs on it in an ester would vanish.
    acid = retro_reaction("[C:1](=[O:2])O>>[C:1](=[O:2])Cl")
    assert precursors("CC(=O)O", acid) == [{"CC(=O)Cl"}]
    assert precursors("CC(=O)OCCC", acid) == []
    # A leaving atom may be numbered too.
    numbered = retro_reaction("[C:1](=[O:2])[O:3]>>[C:1](=[O:2])Cl")
    assert precursors("CC(=O)O", numbered) == [{"CC(=O)Cl"}]


def test_precursors_must_be_molecules() -> None:
    five_bonds = retro_reaction("[CX4:1][O:2]>>[C:1](C)(C)[O:2]")
    assert precursors("CC(C)(C)O", five_bonds) == []


def test_stereo_away_from_the_cut_stays() -> None:
    assert precursors("C[C@H](F)C(=O)NC") == [{"C[C@H](F)C(=O)O", "CN"}]


def test_the_number_of_cuts_is_bounded() -> None:
    carbon_carbon = retro_reaction("[C:1]-!@[C:2]>>[C:1].[C:2]")
    assert len(precursors("C" * 150, carbon_carbon)) == MAX_CUTS


@pytest.mark.parametrize(
    ("smarts", "message"),
    [
        ("C(=O)N", "does not parse: 'C"),
        ("", "does not parse"),
        ("[C:1]>>", "does not parse"),
        ("[C:1]([N:2]>>[C:1].[N:2]", "does not parse"),
        ("[С:1]>>[C:1]", "does not parse"),
        ("[C:1](=O)O.[N:2]>>[C:1](=O)[N:2]", "starts from 2 molecules; write it backwards"),
        ("CN>>C.N", "maps no atom"),
        ("[C:1][N:2]>>[C:1].[N:2].[O:3]", "has atom 3 on its right alone or twice"),
        ("[C:1][N:2]>>[C:1].[N:2][C:1]", "has atom 1 on its right alone or twice"),
    ],
)
def test_a_reaction_that_cannot_be_used(smarts: str, message: str) -> None:
    with pytest.raises(InvalidReaction, match=message):
        retro_reaction(smarts)
