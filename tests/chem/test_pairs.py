import pytest

from moldesign.chem.molecules import read, to_smiles
from moldesign.chem.pairs import MatchedPairs, single_cuts


def are_pair(reference: str, smiles: str, *, change: int = 10, constant: int = 6) -> bool:
    pairs = MatchedPairs([read(reference)], max_change_atoms=change, min_constant_atoms=constant)
    return pairs(read(smiles))


FLUOROACETANILIDE = "CC(=O)Nc1ccc(F)cc1"


@pytest.mark.parametrize(
    "smiles",
    [
        "CC(=O)Nc1ccc(Cl)cc1",  # fluorine for chlorine
        "CC(=O)Nc1ccccc1",  # fluorine for hydrogen
        "CC(=O)Nc1ccc(F)c(C)c1",  # hydrogen for methyl
        "CC(=O)N(C)c1ccc(F)cc1",  # the same on nitrogen
        "CCC(=O)Nc1ccc(F)cc1",  # methyl for ethyl
        "CS(=O)(=O)Nc1ccc(F)cc1",  # acetyl for mesyl
        "CC(=O)Oc1ccc(F)cc1",  # acetamide for acetate
        "CC(=O)Nc1ccc(CCCCCCCCCC)cc1",  # ten atoms
        "CC(=O)Nc1ccc(Cl)cc1.[Na+].[Cl-]",
    ],
)
def test_pairs_both_ways(smiles: str) -> None:
    assert are_pair(FLUOROACETANILIDE, smiles)
    assert are_pair(smiles, FLUOROACETANILIDE)


@pytest.mark.parametrize(
    "smiles",
    [
        FLUOROACETANILIDE,  # itself
        "CC(=O)Nc1cccc(F)c1",  # another place
        "CC(=O)Nc1ccc(F)nc1",  # an atom of the ring
        "CCC(=O)Nc1ccc(Cl)cc1",  # two places
        "CC(=O)Nc1ccc(CCCCCCCCCCC)cc1",  # eleven atoms
        "CC(=O)NC1CCC(F)CC1",
        "CCO",
    ],
)
def test_no_pairs_both_ways(smiles: str) -> None:
    assert not are_pair(FLUOROACETANILIDE, smiles)
    assert not are_pair(smiles, FLUOROACETANILIDE)


def test_the_limits_are_limits() -> None:
    # Toluene and ethylbenzene: methyl for ethyl on phenyl, or hydrogen for methyl on benzyl.
    assert are_pair("Cc1ccccc1", "CCc1ccccc1", change=1, constant=7)
    assert not are_pair("Cc1ccccc1", "CCc1ccccc1", change=1, constant=8)
    assert are_pair("Cc1ccccc1", "CCc1ccccc1", change=2, constant=6)
    # Butyl for methyl: three atoms more, by hydrogen for propyl.
    assert are_pair("Cc1ccccc1", "CCCCc1ccccc1", change=3, constant=6)
    assert not are_pair("Cc1ccccc1", "CCCCc1ccccc1", change=2, constant=6)


def test_stereo_of_the_constant_part_counts_and_of_the_substituent_does_not() -> None:
    amine = "C[C@H](N)c1ccc(F)cc1"
    assert are_pair(amine, "C[C@H](N)c1ccc(Cl)cc1")
    assert not are_pair(amine, "C[C@@H](N)c1ccc(Cl)cc1")
    assert not are_pair(amine, "C[C@@H](N)c1ccc(F)cc1")
    assert not are_pair(amine, "CC(N)c1ccc(F)cc1")
    assert are_pair(amine, "C[C@H](N)c1ccccc1")
    # The stereocentre is gone with its substituent.
    assert are_pair(amine, "NCc1ccc(F)cc1")


def test_a_molecule_of_two_equal_ends_is_no_pair_with_itself() -> None:
    ether = "c1ccccc1COc1ccccc1"
    assert not are_pair(ether, ether)


def test_any_reference_will_do() -> None:
    references = [read(smiles) for smiles in ("CCCCCCCC", "Clc1ccccc1C", "Cc1ccccc1Br")]
    pairs = MatchedPairs(references, max_change_atoms=10, min_constant_atoms=6)
    assert pairs(read("Cc1ccccc1I"))
    # One of the references, and a pair of another.
    assert pairs(read("Cc1ccccc1Br"))
    assert not pairs(read("c1ccncc1"))


def test_cuts_by_hand() -> None:
    # Amides are not cut between carbonyl and nitrogen, rings not at all; each bond gives two cuts.
    cuts = {(to_smiles(cut.constant), to_smiles(cut.variable)) for cut in single_cuts(read("CC(=O)NC"))}
    a, b = ("C[*:1]", "CNC(=O)[*:1]"), ("C[*:1]", "CC(=O)N[*:1]")
    assert cuts == {a, b, a[::-1], b[::-1]}
    assert list(single_cuts(read("C1CC1"))) == []


def test_many_bonds_to_cut() -> None:
    # RDKit's own limit is 20 bonds, beyond which it cuts none.
    assert are_pair("C" * 60 + "F", "C" * 60 + "Cl")
