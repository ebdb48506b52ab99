from pathlib import Path

import pytest

from moldesign.chem.alerts import (
    COLLECTIONS,
    Collection,
    InvalidAlertFile,
    has_alert,
    matches,
    raised,
    read_alerts,
)
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


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_every_collection_is_raised_by_something(collection: Collection) -> None:
    # A quinone, an enone, an azo dye, an acyl chloride, a long chain, a hydrazone of catechol, an enamine
    # dione and a leuco dye: each is known to more than one collection.
    bad = ["O=C1C=CC(=O)C=C1", "C=CC(=O)C=C", "c1ccc(N=Nc2ccc(N(C)C)cc2)cc1", "CC(=O)Cl", "C" * 40,
           "Oc1ccc(C=NNc2ccccc2)cc1O", "CN(C)c1ccc(C=C2C(=O)c3ccccc3C2=O)cc1",
           "CN(C)c1ccc(cc1)C(c1ccc(cc1)N(C)C)c1ccccc1"]  # fmt: skip
    found = {alert for smiles in bad for alert in matches(read(smiles), [collection])}
    assert found
    assert all(alert.startswith(f"{collection} ") or collection == "CHEMBL" for alert in found)
    assert matches(read("c1ccccc1"), [collection]) == []


def test_the_sets_of_chembl_are_told_apart_and_none_counts_twice() -> None:
    acyl_chloride = read("CC(=O)Cl")
    whole = matches(acyl_chloride, ["CHEMBL"])
    assert {"CHEMBL_Glaxo R2 Acid halides", "CHEMBL_Dundee acid halide"} <= set(whole)
    assert matches(acyl_chloride, ["CHEMBL", "CHEMBL_Glaxo"]) == whole
    rhodanine = read("O=C1NC(=S)SC1=Cc1ccccc1")
    assert matches(rhodanine, ["PAINS_A", "PAINS"]) == matches(rhodanine, ["PAINS"])
    assert matches(rhodanine, ["PAINS_A"]) == ["PAINS_A ene_rhod_A(235)"]


@pytest.mark.parametrize(
    ("smiles", "alerts"),
    [
        # Counts: a flag from two nitro groups on, exclusion from three on; two thiols.
        ("Cc1ccc([N+](=O)[O-])cc1", []),
        ("Cc1ccc([N+](=O)[O-])cc1[N+](=O)[O-]", ["NIBR nitro_count_2"]),
        ("CCS", []),
        ("SCCCCCS", ["NIBR thiol_count_2"]),
        # An alkyl azide is annotated only, an acyl azide excluded.
        ("CN=[N+]=[N-]", []),
        ("O=C(N=[N+]=[N-])c1ccccc1", ["NIBR azide_acylated", "NIBR diazo_acyl"]),
    ],
)
def test_nibr_flags_and_excludes_by_count_and_its_annotations_are_no_alerts(
    smiles: str, alerts: list[str]
) -> None:
    assert matches(read(smiles), ["NIBR"]) == alerts
    assert has_alert(read(smiles), ["NIBR"]) is bool(alerts)


def test_a_file_of_comma_separated_values(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text('"[F,Cl]",halogen,1\n[N+](=O)[O-],nitro\n\nC=O\n', encoding="utf-8")
    alerts = read_alerts(path)
    assert [(alert.name, alert.allowed) for alert in alerts] == [("halogen", 1), ("nitro", 0), ("C=O", 0)]
    # One halogen is allowed.
    assert raised(read("FC"), alerts) == []
    assert raised(read("FCCl"), alerts) == ["halogen"]
    assert raised(read("O=Cc1ccc([N+](=O)[O-])cc1"), alerts) == ["C=O", "nitro"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        # The names that the tables of rd_filters have, and columns that say nothing here.
        ("a.csv", "rule_id,description,SMARTS,max\n7,three fluorines,F,2\n"),
        ("a.tsv", "smarts\tname\tmax_count\nF\tthree fluorines\t2\n"),
        ("a.txt", "# halogens\nF\tthree fluorines\t2\n"),
        ("a.csv", "\ufeffF,three fluorines,2\n"),
    ],
)
def test_columns_by_name_or_in_order(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    alerts = read_alerts(path)
    assert raised(read("FC(F)F"), alerts) == ["three fluorines"]
    assert raised(read("FCF"), alerts) == []


def test_a_name_may_hold_blanks_and_two_rules_of_one_name_are_one_alert(tmp_path: Path) -> None:
    path = tmp_path / "own.smarts"
    path.write_text("[CH]=O an aldehyde\n[CH](=O)[#6] an aldehyde\n[SH]\n", encoding="utf-8")
    assert raised(read("CC=O"), read_alerts(path)) == ["an aldehyde"]
    assert raised(read("OCC=O.CS"), read_alerts(path)) == ["[SH]", "an aldehyde"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "C=O,one\nC((,two\n", r"a\.csv, line 2: SMARTS that does not parse: 'C\(\('"),
        ("a.csv", "[F,Cl],halogen\n", r"line 1: SMARTS .* double quotes"),
        ("a.csv", "[F,Cl],halogen,1\n", r"line 1: 4 columns .* double quotes"),
        ("a.csv", '"[F,halogen\n', "line 1: stray quote"),
        ("a.csv", "smarts,max\nF,-1\n", "line 2: allowed number of matches '-1'"),
        ("a.csv", "smarts,max\n,2\n", "line 2: SMARTS that does not parse: ''"),
        ("a.txt", "# nothing\n\n", "no alert in it"),
        ("a.csv", "smarts,name\n", "no alert in it"),
    ],
)
def test_errors_name_the_file_and_the_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidAlertFile, match=message):
        read_alerts(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidAlertFile, match=r"none\.csv: cannot be read \(No such file"):
        read_alerts(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes(b"C=O,ald\xe9hyde\n")
    with pytest.raises(InvalidAlertFile, match="not UTF-8"):
        read_alerts(tmp_path / "latin.csv")
