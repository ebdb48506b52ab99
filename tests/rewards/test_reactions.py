from pathlib import Path

import pytest
from pydantic import ValidationError

from moldesign.chem.molecules import read
from moldesign.errors import RewardError
from moldesign.rewards.reactions import ReactionFilterParameters, reaction_filter
from moldesign.rewards.strict import explain

AMIDE = "[C:1](=[O:2])[NX3:3]>>[C:1](=[O:2])O.[N:3]"
ETHER = "[CX4:1]-!@[OX2:2][c:3]>>[C:1]Br.[O:2][c:3]"

AMIDE_OF_ANILINE, AMIDE_OF_METHYLAMINE, LACTAM = "O=C(Nc1ccccc1)c1ccncc1", "CNC(C)=O", "O=C1CCCN1"
ANISOLE = "COc1ccccc1"
MOLS = [read(smiles) for smiles in (AMIDE_OF_ANILINE, AMIDE_OF_METHYLAMINE, LACTAM, ANISOLE, "CCC")]


def test_any_of_the_reactions_will_do() -> None:
    assert reaction_filter(ReactionFilterParameters(reactions=[AMIDE]))(MOLS).tolist() == [1, 1, 0, 0, 0]
    assert reaction_filter(ReactionFilterParameters(reactions=[AMIDE, ETHER]))(MOLS).tolist() == [
        1,
        1,
        0,
        1,
        0,
    ]


def test_precursors_must_hold_what_is_asked_for() -> None:
    aniline = ReactionFilterParameters(reactions=[AMIDE], precursors_hold=["[NH2]c"])
    assert reaction_filter(aniline)(MOLS).tolist() == [1, 0, 0, 0, 0]
    # Both in one cut, whichever precursor holds them.
    both = ReactionFilterParameters(reactions=[AMIDE], precursors_hold=["[NH2]c", "n"])
    assert reaction_filter(both)([*MOLS, read("O=C(Nc1ccccc1)CC(=O)NCc1ccncc1")]).tolist() == [
        1,
        0,
        0,
        0,
        0,
        1,
    ]
    apart = ReactionFilterParameters(reactions=[AMIDE], precursors_hold=["[NH2]c", "[NH2][CH3]"])
    assert reaction_filter(apart)([read("O=C(Nc1ccccc1)CC(=O)NC")]).tolist() == [0]


def test_every_precursor_must_be_a_building_block(tmp_path: Path) -> None:
    blocks = tmp_path / "blocks.smi"
    # Written in another way than RDKit does, with names, and with stereo that does not count.
    blocks.write_text("OC(=O)C1=CC=NC=C1 acid\n\nN-c1ccccc1 aniline\nOC(=O)[C@H](F)C\n", encoding="utf-8")
    parameters = ReactionFilterParameters(reactions=[AMIDE], building_blocks=str(blocks))
    assert reaction_filter(parameters)(MOLS).tolist() == [1, 0, 0, 0, 0]
    mirrored = read("C[C@@H](F)C(=O)Nc1ccccc1")
    assert reaction_filter(parameters)([mirrored]).tolist() == [1]


def test_a_building_block_may_be_given_as_a_salt(tmp_path: Path) -> None:
    blocks = tmp_path / "blocks.smi"
    blocks.write_text("[Na+].[O-]C(=O)c1ccncc1\n[NH3+]c1ccccc1.[Cl-]\nNC[C@H](F)C.Cl\n", encoding="utf-8")
    parameters = ReactionFilterParameters(reactions=[AMIDE], building_blocks=str(blocks))
    assert reaction_filter(parameters)(MOLS).tolist() == [1, 0, 0, 0, 0]
    assert reaction_filter(parameters)([read("C[C@@H](F)CNC(=O)c1ccncc1")]).tolist() == [1]


def test_precursors_of_a_charged_molecule_are_building_blocks(tmp_path: Path) -> None:
    blocks = tmp_path / "blocks.smi"
    blocks.write_text("OC(=O)CCN\nCCNC\n", encoding="utf-8")
    parameters = ReactionFilterParameters(reactions=[AMIDE], building_blocks=str(blocks))
    assert reaction_filter(parameters)([read("CCN(C)C(=O)CC[NH3+].[Cl-]")]).tolist() == [1]


def test_a_building_block_that_is_no_molecule_is_named(tmp_path: Path) -> None:
    blocks = tmp_path / "blocks.csv"
    blocks.write_text("smiles,price\nCCO,1\nC1CC,2\n", encoding="utf-8")
    parameters = ReactionFilterParameters(reactions=[AMIDE], building_blocks=str(blocks))
    with pytest.raises(RewardError, match=r"blocks\.csv, line 3: not a SMILES .grammar.; clean the file"):
        reaction_filter(parameters)


def test_wrong_parameters(tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as caught:
        ReactionFilterParameters(reactions=[AMIDE, "[C:1].[N:2]>>[C:1][N:2]"])
    assert explain(caught.value).startswith(
        "reactions[1]: reaction SMARTS '[C:1].[N:2]>>[C:1][N:2]' starts from 2"
    )
    with pytest.raises(ValidationError, match="no such file"):
        ReactionFilterParameters(reactions=[AMIDE], building_blocks=str(tmp_path / "none.smi"))
    with pytest.raises(ValidationError, match="does not parse"):
        ReactionFilterParameters(reactions=[AMIDE], precursors_hold=["C(("])
    with pytest.raises(ValidationError):
        ReactionFilterParameters(reactions=[])
