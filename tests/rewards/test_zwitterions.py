from moldesign.chem.molecules import read
from moldesign.rewards.zwitterions import ENTRIES, ZwitterionParameters, zwitterion

MOLS = [
    read(smiles) for smiles in ("[NH3+]CC(=O)[O-]", "NCC(=O)O", "[O-]c1on[n+](C)c1", "O=[N+]([O-])c1ccccc1")
]


def test_as_written_or_as_it_would_be() -> None:
    assert zwitterion(ZwitterionParameters())(MOLS).tolist() == [1, 0, 1, 0]
    assert zwitterion(ZwitterionParameters(ionisable=True))(MOLS).tolist() == [1, 1, 1, 0]


def test_any_other_molecule_is_worth_one_unless_the_objective_says_otherwise() -> None:
    entry = ENTRIES["zwitterion"]
    assert entry.shaping is not None
    assert entry.shaping(entry.build(ZwitterionParameters())(MOLS)).tolist() == [0, 1, 0, 1]
