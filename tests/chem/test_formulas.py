import pytest

from moldesign.chem.descriptors import formula
from moldesign.chem.formulas import element, element_counts, parse_formula
from moldesign.chem.molecules import read


def test_counts_of_a_formula() -> None:
    assert parse_formula("C9H10N2O2PF2Cl") == {"C": 9, "H": 10, "N": 2, "O": 2, "P": 1, "F": 2, "Cl": 1}
    assert parse_formula("C2H6F0") == {"C": 2, "H": 6, "F": 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no molecular formula"),
        ("c6h6", "is no molecular formula"),
        ("C6H6+", "is no molecular formula"),
        ("C6 H6", "is no molecular formula"),
        ("CCO(CH3)", "is no molecular formula"),
        ("C6H6\n", "is no molecular formula"),
        ("C99999", "is no molecular formula"),
        ("C6Hx", "'Hx' is no element"),
        ("CH3CH2OH", "C stands twice"),
        ("C0", "has no atoms"),
    ],
)
def test_what_is_no_formula(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_formula(text)


def test_elements() -> None:
    assert element("Cl") == "Cl"
    with pytest.raises(ValueError, match="'CL' is no element; did you mean 'Cl'"):
        element("CL")


@pytest.mark.parametrize(
    ("smiles", "counts"),
    [
        ("CCO", {"C": 2, "H": 6, "O": 1}),
        ("[2H]OC", {"C": 1, "H": 4, "O": 1}),  # deuterium is hydrogen
        ("[13CH4]", {"C": 1, "H": 4}),
        ("C[NH3+].[Cl-]", {"C": 1, "H": 6, "N": 1, "Cl": 1}),
        ("O=[N+]([O-])c1ccccc1", {"C": 6, "H": 5, "N": 1, "O": 2}),
    ],
)
def test_atoms_of_a_molecule(smiles: str, counts: dict[str, int]) -> None:
    found = element_counts(read(smiles))
    assert {symbol: n for symbol, n in found.items() if n} == counts
    assert found["Br"] == 0


def test_a_molecule_has_the_counts_of_its_formula() -> None:
    mol = read("CC(=O)Oc1ccccc1C(=O)O")
    assert dict(element_counts(mol)) == parse_formula(formula(mol))
