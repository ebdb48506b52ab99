import math

import pytest
from pydantic import ValidationError

from moldesign.chem.molecules import read
from moldesign.language.occurrences import shipped_occurrences
from moldesign.rewards.entry import NoParameters
from moldesign.rewards.rings import ENTRIES, RareRingSystemsParameters, rare_ring_systems, ring_rarity

#: Nobody has made it: a benzene fused to a ring of nine, all of nitrogen but for the fusion.
ABSURD = "c1ccc2c(c1)NNNNNNN2"


def test_rare_ring_systems_are_counted() -> None:
    mols = [
        read(smiles) for smiles in ("CCO", "Cc1ccccc1", ABSURD, f"C({ABSURD})c1ccccc1", f"C{ABSURD}.{ABSURD}")
    ]
    for min_count in (1, 10):
        reward = rare_ring_systems(RareRingSystemsParameters(min_count=min_count))
        assert reward(mols).tolist() == [0, 0, 1, 1, 2]


def test_the_limit_is_the_number_of_molecules() -> None:
    known = shipped_occurrences("ring_systems")
    seldom = next(system for system, molecules in known.counts.items() if molecules == 3)
    for min_count, expected in ((1, 0), (3, 0), (4, 1)):
        reward = rare_ring_systems(RareRingSystemsParameters(min_count=min_count))
        assert reward([read(seldom)]).tolist() == [expected]


def test_rarity_is_that_of_the_rarest() -> None:
    known = shipped_occurrences("ring_systems")
    seldom = next(system for system, molecules in known.counts.items() if molecules == 9)
    mols = [read(smiles) for smiles in (ABSURD, seldom, f"{seldom}.c1ccccc1", "c1ccccc1", "CCO")]
    expected = [0, 1, 1, math.log10(1 + known["c1ccccc1"]), math.log10(1 + 523_035)]
    assert ring_rarity(NoParameters())(mols).tolist() == pytest.approx(expected)


def test_a_molecule_of_known_rings_is_worth_one_unless_the_objective_says_otherwise() -> None:
    entry = ENTRIES["ring_systems"]
    assert entry.shaping is not None
    raw = entry.build(RareRingSystemsParameters())([read("CN1CCC[C@H]1c1cccnc1"), read(ABSURD)])
    assert entry.shaping(raw).tolist() == [1, 0]


def test_wrong_parameters() -> None:
    with pytest.raises(ValidationError):
        RareRingSystemsParameters(min_count=0)
