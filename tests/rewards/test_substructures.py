from moldesign.chem.molecules import read
from moldesign.rewards.substructures import (
    AlertsParameters,
    SubstructureCountParameters,
    SubstructuresParameters,
    structural_alerts,
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


def test_alerts_are_counted_by_collection() -> None:
    mols = [read("O=Cc1ccccc1"), read("c1ccccc1C")]
    assert structural_alerts(AlertsParameters())(mols).tolist() == [1, 0]
    assert structural_alerts(AlertsParameters(collections=["PAINS"]))(mols).tolist() == [0, 0]
