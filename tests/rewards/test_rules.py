import numpy as np
import pytest

from moldesign.chem.molecules import read
from moldesign.rewards.entry import NoParameters
from moldesign.rewards.reward import SomeFailed
from moldesign.rewards.rules import ENTRIES

# Aspirin keeps every rule. Icosanedioic acid: MW 342, log P 6.2, 19 rotatable bonds, MR 98, 62 atoms.
MOLS = [read("CC(=O)Oc1ccccc1C(=O)O"), read("OC(=O)" + "C" * 18 + "C(=O)O")]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("lipinski_violations", [0, 1]),  # log P
        ("veber_violations", [0, 1]),  # rotatable bonds
        ("ghose_violations", [0, 1]),  # log P
        ("egan_violations", [0, 1]),  # log P
    ],
)
def test_violations(name: str, values: list[float]) -> None:
    entry = ENTRIES[name]
    assert entry.build(NoParameters())(MOLS).tolist() == values
    assert entry.direction == "smaller"


def test_cns_mpo_is_shaped_to_its_sixth() -> None:
    entry = ENTRIES["cns_mpo"]
    values = entry.build(NoParameters())([read("Cn1cnc2c1c(=O)n(C)c(=O)n2C")])
    assert values.tolist() == [6]
    assert entry.shaping is not None
    np.testing.assert_allclose(entry.shaping(np.array([0.0, 3.0, 6.0])), [0, 0.5, 1])


def test_who_reads_the_list_learns_that_cns_mpo_rests_on_estimates() -> None:
    assert "log D and pKa are rough estimates" in ENTRIES["cns_mpo"].description


def test_cns_mpo_of_a_permanent_cation_is_a_failure() -> None:
    with pytest.raises(SomeFailed, match="permanently charged"):
        ENTRIES["cns_mpo"].build(NoParameters())([read("C[N+](C)(C)C")])
