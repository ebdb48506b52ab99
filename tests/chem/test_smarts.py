"""A SMARTS that was meant as a SMILES is told from one that means what it says."""

import pytest

from moldesign.chem.molecules import read
from moldesign.chem.smarts import misreading
from moldesign.chem.substructures import InvalidSmarts, has_match, pattern


@pytest.mark.parametrize(
    ("smarts", "instead"),
    [
        ("C1=CC=CC=C1", "c1ccccc1"),
        ("O=C1C=CNC=C1", "O=c1cc[nH]cc1"),
        ("C1=CC=C(C=C1)c1ccccc1", "c1ccc(-c2ccccc2)cc1"),  # one ring of each kind
        ("CN(=O)=O", "C[N+](=O)[O-]"),
        ("[H]C=O", "[C&!H0]=O"),
        ("[H]N([H])c1ccccc1", "[N&!H0&!H1]c1ccccc1"),
        ("[H]C1=CC=CC=C1", None),  # hydrogens and a Kekule ring: no one cure
    ],
)
def test_a_pattern_that_misses_its_own_molecule_is_a_misreading(smarts: str, instead: str | None) -> None:
    found = misreading(smarts)
    assert found is not None
    assert found.instead == instead
    assert not has_match(read(smarts), pattern(smarts))
    if instead is not None:
        assert has_match(read(smarts), pattern(instead))


def test_the_reason_names_what_is_wrong() -> None:
    for smarts, word in [("C1=CC=CC=C1", "aromatic"), ("[H]C=O", "hydrogen"), ("CN(=O)=O", "another form")]:
        found = misreading(smarts)
        assert found is not None
        assert word in found.why


@pytest.mark.parametrize(
    "smarts",
    [
        "c1ccccc1",
        "[CX3](=O)[NX3]",  # no SMILES
        "[#6]",
        "cc",
        "C1=CCC=CC1",  # not aromatic
        "C[C@H](O)F",
        "[Na+].[Cl-]",
        "CC(=O)[O-]",
        "[NH2]c1ccccc1",
        "[nH]1cccc1",
        "C*",
        "CN(C=O)Cc1ccc(c2ccccc2)cc1",
        "C" * 300,  # longer than a molecule that is looked into
    ],
)
def test_a_pattern_that_is_no_smiles_or_matches_itself_is_not(smarts: str) -> None:
    assert misreading(smarts) is None


def test_what_is_no_smarts_is_an_error() -> None:
    with pytest.raises(InvalidSmarts):
        misreading("C1CC")
