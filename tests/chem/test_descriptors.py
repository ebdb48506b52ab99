import pytest

from moldesign.chem import descriptors
from moldesign.chem.molecules import read

ASPIRIN = read("CC(=O)Oc1ccccc1C(=O)O")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mw", 180.159),  # 9 x 12.011 + 8 x 1.008 + 4 x 15.999
        ("tpsa", 63.60),  # published for aspirin
        ("hbd", 1),
        ("hba", 3),
        ("rotatable_bonds", 2),
        ("rings", 1),
        ("aromatic_rings", 1),
        ("largest_ring", 6),
        ("fraction_sp3", 1 / 9),
        ("heavy_atoms", 13),
        ("formal_charge", 0),
        ("stereocentres", 0),
        ("logp", 1.3101),
        ("qed", 0.550),
        ("sa_score", 1.580),
    ],
)
def test_aspirin(name: str, value: float) -> None:
    number = getattr(descriptors, name)(ASPIRIN)
    assert type(number) is float
    assert number == pytest.approx(value, abs=1e-3)


def test_names_of_aspirin() -> None:
    assert descriptors.formula(ASPIRIN) == "C9H8O4"
    assert descriptors.inchikey(ASPIRIN) == "BSYNRYMUTXBXSQ-UHFFFAOYSA-N"


def test_a_dummy_atom_has_no_inchikey() -> None:
    assert descriptors.inchikey(read("*CC")) == ""


def test_counts_that_aspirin_does_not_show() -> None:
    assert descriptors.stereocentres(read("C[C@H](N)C(O)C")) == 2  # one specified, one not
    assert descriptors.formal_charge(read("C[N+](C)(C)CC(=O)[O-]")) == 0
    assert descriptors.formal_charge(read("C[N+](C)(C)C")) == 1
    assert descriptors.largest_ring(read("CCO")) == 0
    assert descriptors.fraction_sp3(read("O")) == 0
