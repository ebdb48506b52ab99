import pytest
from pydantic import ValidationError

from moldesign.chem.molecules import read
from moldesign.rewards.pairs import MatchedPairParameters, matched_pair
from moldesign.rewards.strict import explain


def test_a_pair_of_any_reference() -> None:
    mols = [read(smiles) for smiles in ("Cc1ccccc1Cl", "Cc1ccccc1", "Cc1ccncc1I", "c1ccncc1", "Cc1cccc(F)c1")]
    reward = matched_pair(MatchedPairParameters(references=["Cc1ccccc1F", "Cc1ccncc1Br"]))
    assert reward(mols).tolist() == [1, 1, 1, 0, 0]


def test_parameters_limit_the_change() -> None:
    mols = [read("CCCCc1ccccc1")]
    wide, narrow = (MatchedPairParameters(references=["Cc1ccccc1"], max_change_atoms=n) for n in (3, 2))
    assert matched_pair(wide)(mols).tolist() == [1]
    assert matched_pair(narrow)(mols).tolist() == [0]
    large = MatchedPairParameters(references=["Cc1ccccc1"], min_constant_atoms=8)
    assert matched_pair(large)(mols).tolist() == [0]


def test_references_must_be_molecules() -> None:
    with pytest.raises(ValidationError) as caught:
        MatchedPairParameters(references=["CCO", ""])
    assert explain(caught.value) == "references[1]: '' is no molecule: empty SMILES"
    with pytest.raises(ValidationError):
        MatchedPairParameters(references=[])
