from moldesign.chem.alerts import has_alert, matches
from moldesign.chem.molecules import read


def test_an_aldehyde_is_a_brenk_alert_and_no_pains() -> None:
    benzaldehyde = read("O=Cc1ccccc1")
    assert matches(benzaldehyde) == ["BRENK aldehyde"]
    assert matches(benzaldehyde, ["PAINS"]) == []
    assert has_alert(benzaldehyde)
    assert not has_alert(benzaldehyde, ["PAINS"])


def test_a_rhodanine_is_a_pains_alert() -> None:
    rhodanine = read("O=C1NC(=S)SC1=Cc1ccccc1")
    assert any(name.startswith("PAINS ene_rhod") for name in matches(rhodanine))
    assert has_alert(rhodanine, ["PAINS"])


def test_celecoxib_raises_none() -> None:
    celecoxib = read("Cc1ccc(cc1)c1cc(nn1c1ccc(cc1)S(N)(=O)=O)C(F)(F)F")
    assert matches(celecoxib) == []
    assert not has_alert(celecoxib)
