import pytest

from moldesign.chem import substructures
from moldesign.chem.molecules import read
from moldesign.chem.substructures import InvalidSmarts, count_matches, has_match, pattern


def test_match_and_count() -> None:
    carboxyl = pattern("C(=O)[OH]")
    assert has_match(read("OC(=O)CC(=O)O"), carboxyl)
    assert count_matches(read("OC(=O)CC(=O)O"), carboxyl) == 2
    assert not has_match(read("CC(=O)OC"), carboxyl)
    # A ring of six matches the pattern twelve ways and is one set of atoms.
    assert count_matches(read("c1ccccc1"), pattern("c1ccccc1")) == 1


def test_counting_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(substructures, "MAX_MATCHES", 10)
    assert count_matches(read("C" * 200), pattern("CCCCC.CCCCC")) == 10
    assert count_matches(read("C" * 9), pattern("C")) == 9


def test_a_part_that_is_not_there_does_not_cost_every_combination_of_the_others() -> None:
    # RDKit alone would take years.
    chain = read("C" * 200)
    query = pattern("CC.CC.CC.CC.CC.[N;R,r0]")
    assert not has_match(chain, query)
    assert count_matches(chain, query) == 0
    assert has_match(read("N" + "C" * 20), query)


def test_parts_are_queries_and_share_no_atom() -> None:
    two_halogens = pattern("[F,Cl].[F,Br]")
    assert has_match(read("ClCBr"), two_halogens)
    assert not has_match(read("ClCI"), two_halogens)
    assert not has_match(read("FCI"), two_halogens)
    assert count_matches(read("FC(F)Cl"), two_halogens) == 3


@pytest.mark.parametrize("smarts", ["C((", "", "[#6;", "С"])
def test_a_smarts_that_does_not_parse(smarts: str) -> None:
    with pytest.raises(InvalidSmarts, match="does not parse"):
        pattern(smarts)
