from moldesign.chem.molecules import read
from moldesign.rewards.entry import NoParameters
from moldesign.rewards.tautomers import ENTRIES


def test_an_imidic_acid_is_unwanted_and_an_amide_is_not() -> None:
    entry = ENTRIES["unwanted_tautomer"]
    # The imine of 2-aminopyridine is one point short, within what the score can tell.
    mols = [read(smiles) for smiles in ("CC(O)=NC", "CC(=O)NC", "N=C1C=CC=CN1", "Oc1ccccn1")]
    raw = entry.build(NoParameters())(mols)
    assert raw.tolist() == [2, 0, 1, 2]
    assert entry.shaping is not None
    assert entry.shaping(raw).tolist() == [0, 1, 1, 0]
