import pytest
from pydantic import ValidationError

from moldesign.chem.molecules import read
from moldesign.rewards.substructures import (
    SubstructureCountParameters,
    SubstructuresParameters,
    substructure_count,
    substructures,
)


def test_required_and_forbidden() -> None:
    reward = substructures(SubstructuresParameters(required=["c1ccccc1", "[OH]"], forbidden=["[F,Cl,Br,I]"]))
    mols = [read(smiles) for smiles in ("Oc1ccccc1", "c1ccccc1", "CCO", "Oc1ccccc1F")]
    assert reward(mols).tolist() == [1, 0, 0, 0]


def test_count() -> None:
    reward = substructure_count(SubstructureCountParameters(smarts="[F,Cl]"))
    assert reward([read("FC(F)(Cl)C"), read("CC")]).tolist() == [3, 0]


def test_a_smarts_that_does_not_parse_is_named() -> None:
    with pytest.raises(ValidationError, match="SMARTS that does not parse: 'C\\(\\('"):
        SubstructuresParameters(required=["c1ccccc1", "C(("])
    with pytest.raises(ValidationError, match="SMARTS that does not parse: ''"):
        SubstructureCountParameters(smarts="")
    with pytest.raises(ValidationError, match="give required or forbidden SMARTS"):
        SubstructuresParameters()
