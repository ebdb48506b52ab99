from pathlib import Path

import pytest
from pydantic import ValidationError

from moldesign.chem.molecules import read
from moldesign.rewards.alerts import ENTRIES, AlertsParameters, structural_alerts
from moldesign.rewards.strict import explain

#: An aldehyde, which is one alert of BRENK, and toluene.
MOLS = [read(smiles) for smiles in ("O=Cc1ccccc1", "c1ccccc1C")]


def test_alerts_are_counted_by_collection() -> None:
    assert structural_alerts(AlertsParameters())(MOLS).tolist() == [1, 0]
    assert structural_alerts(AlertsParameters(collections=["PAINS"]))(MOLS).tolist() == [0, 0]
    several = structural_alerts(AlertsParameters(collections=["BRENK", "CHEMBL_Dundee", "BRENK"]))
    assert several(MOLS).tolist() == [2, 0]
    novartis = structural_alerts(AlertsParameters(collections=["NIBR"]))
    assert novartis([read("CC(=O)Cl"), *MOLS]).tolist() == [1, 0, 0]  # of the aldehyde an annotation


def test_the_users_alerts_are_added_or_stand_alone(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("c1ccccc1,benzene\n[CX4H3],methyl\n[#6],carbons,6\n", encoding="utf-8")
    both = structural_alerts(AlertsParameters(file=str(path)))
    assert both(MOLS).tolist() == [1 + 2, 3]
    alone = structural_alerts(AlertsParameters(collections=[], file=str(path)))
    assert alone(MOLS).tolist() == [2, 3]


def test_a_molecule_without_alerts_is_worth_one_unless_the_objective_says_otherwise() -> None:
    entry = ENTRIES["alerts"]
    assert entry.shaping is not None
    assert entry.shaping(entry.build(AlertsParameters())(MOLS)).tolist() == [0, 1]


def test_wrong_parameters(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("C=O,one\nC((,two\n", encoding="utf-8")
    with pytest.raises(ValidationError) as caught:
        AlertsParameters(file=str(path))
    assert explain(caught.value) == f"file: {path}, line 2: SMARTS that does not parse: 'C(('"
    with pytest.raises(ValidationError, match="give collections, a file or both"):
        AlertsParameters(collections=[])
    with pytest.raises(ValidationError, match="'PAINS', 'PAINS_A'"):
        AlertsParameters.model_validate({"collections": ["PAIN"]})
    with pytest.raises(ValidationError, match="cannot be read"):
        AlertsParameters(file=str(tmp_path / "none.csv"))
