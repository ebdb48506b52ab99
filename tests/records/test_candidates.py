import math
import re
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from moldesign.chem.fingerprints import Fingerprint, fingerprint
from moldesign.chem.molecules import Mol, read
from moldesign.records import candidates
from moldesign.records.candidates import (
    Kept,
    best_first,
    candidates_columns,
    candidates_table,
    with_nearest,
    write_csv,
)
from moldesign.records.ledger import Ledger, LedgerRow

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
SCORES = [
    ("CCO", 0.2), (ASPIRIN, 0.9), ("CCN", math.nan), ("c1ccccc1", 0.5), ("C1CC1", 0.5), ("*CC", 0.0),
]  # fmt: skip
NAN = math.nan


@pytest.fixture
def ledger_rows(tmp_path: Path) -> pd.DataFrame:
    rows = [
        LedgerRow(
            smiles=smiles,
            status="failed" if math.isnan(score) else "scored",
            score=score,
            raw=(score, 2 * score),
            shaped=(score, 1.0),
            reason="no" if math.isnan(score) else None,
            call=call,
            step=call // 2,
            time=0.0,
        )
        for call, (smiles, score) in enumerate(SCORES, start=1)
    ]
    with Ledger(tmp_path / "ledger.sqlite", ["qed", "activity"]) as ledger:
        for row in rows:
            ledger.add([row], step=row.step)
        return ledger.read()


class Neighbours:
    """A search that knows the molecules of the ledger by their bits."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, fingerprints: Sequence[Fingerprint]) -> tuple[list[str], np.ndarray]:
        known = {fingerprint(read(smiles), counts=False).ToBase64(): smiles for smiles, _ in SCORES}
        smiles = [known[bits.ToBase64()] for bits in fingerprints]
        self.asked += smiles
        return [f"nearest of {text}" for text in smiles], np.linspace(0.5, 0.9, len(smiles))


def test_best_first_then_the_earlier_call_and_failures_are_left_out(ledger_rows: pd.DataFrame) -> None:
    table = candidates_table(ledger_rows, ["qed", "activity"])
    assert table["smiles"].tolist() == [ASPIRIN, "c1ccccc1", "C1CC1", "CCO", "*CC"]
    assert table["rank"].tolist() == [1, 2, 3, 4, 5]
    assert table["call"].tolist() == [2, 4, 5, 1, 6]
    assert table["first_step"].tolist() == [1, 2, 2, 0, 3]
    assert table["score"].tolist() == [0.9, 0.5, 0.5, 0.2, 0.0]


def test_the_best_molecule_is_described(ledger_rows: pd.DataFrame) -> None:
    aspirin = candidates_table(ledger_rows, ["qed", "activity"]).iloc[0]
    assert aspirin["inchikey"] == "BSYNRYMUTXBXSQ-UHFFFAOYSA-N"
    assert aspirin["formula"] == "C9H8O4"
    assert aspirin["scaffold"] == "c1ccccc1"
    assert aspirin["mw"] == pytest.approx(180.16, abs=0.01)
    assert aspirin["tpsa"] == pytest.approx(63.6, abs=0.01)
    assert (aspirin["hbd"], aspirin["hba"], aspirin["rings"], aspirin["heavy_atoms"]) == (1, 3, 1, 13)
    assert aspirin["fraction_sp3"] == pytest.approx(1 / 9)
    assert aspirin["qed"] == pytest.approx(0.55, abs=0.01)  # the property, whatever the component is called
    assert aspirin["qed_raw"] == 0.9
    assert aspirin["activity"] == 1.8
    assert 1 <= aspirin["sa"] < 2
    assert "phenol_ester" in aspirin["alerts"]


def test_what_a_molecule_does_not_have_is_empty(ledger_rows: pd.DataFrame) -> None:
    dummy = candidates_table(ledger_rows, ["qed", "activity"]).iloc[-1]
    assert dummy["smiles"] == "*CC"
    assert dummy["inchikey"] == ""
    assert dummy["scaffold"] == ""
    assert math.isnan(dummy["agent_nll"])


def test_nlls_follow_their_molecules(ledger_rows: pd.DataFrame) -> None:
    table = candidates_table(ledger_rows, ["qed", "activity"], agent_nll=[1, 2, NAN, 4, 5, 6])
    assert table["agent_nll"].tolist() == [2, 4, 5, 1, 6]
    best = best_first(ledger_rows)
    table = candidates_table(best, ["qed", "activity"], prior_nll=[10, 20, 30, 40, 50])
    assert table["prior_nll"].tolist() == [10, 20, 30, 40, 50]
    with pytest.raises(ValueError, match="one NLL a row"):
        candidates_table(best, ["qed", "activity"], prior_nll=[10])


def test_the_nearest_training_molecule_is_asked_for_the_best_only(ledger_rows: pd.DataFrame) -> None:
    search, kept, everyone = Neighbours(), Kept(2), Kept(None)
    plain = candidates_table(ledger_rows, ["qed", "activity"], kept=kept)
    assert (plain["nearest_training_smiles"] == "").all()
    table = with_nearest(plain, search, kept.fingerprints)
    assert search.asked == [ASPIRIN, "c1ccccc1"]
    assert table["nearest_training_smiles"].tolist() == [
        f"nearest of {ASPIRIN}",
        "nearest of c1ccccc1",
        *[""] * 3,
    ]
    assert table["nearest_training_similarity"].tolist()[:2] == [0.5, 0.9]
    assert table["nearest_training_similarity"].isna().tolist() == [False, False, True, True, True]
    assert list(table.columns) == list(plain.columns)
    candidates_table(ledger_rows, ["qed", "activity"], kept=everyone)
    everything = with_nearest(plain, search, everyone.fingerprints)
    assert (everything["nearest_training_smiles"] != "").all()


def test_what_cannot_be_read_or_drawn_keeps_its_place(ledger_rows: pd.DataFrame) -> None:
    ledger_rows.loc[ledger_rows["smiles"] == "c1ccccc1", "smiles"] = "nothing"
    kept = Kept(None, drawings=True)
    table = candidates_table(ledger_rows, ["qed", "activity"], kept=kept)
    assert [bits is None for bits in kept.fingerprints] == [False, True, False, False, False]
    assert [block is None for block in kept.blocks] == [False, True, False, False, False]
    assert math.isnan(table["mw"].iloc[1])
    assert table["scaffold"].iloc[1] == ""
    nearest = with_nearest(table, Neighbours(), kept.fingerprints)["nearest_training_smiles"].tolist()
    assert nearest == [f"nearest of {s}" if s != "nothing" else "" for s in table["smiles"]]


def test_each_molecule_is_read_once_and_none_is_held(
    ledger_rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Held until the table is done, molecules with all that RDKit computes of them would take 30 kB each.
    read_: list[str] = []
    alive: list[weakref.ref[Mol]] = []
    most = 0

    class Weak(Mol):
        """A molecule that can be referred to weakly, as RDKit's own cannot."""

    def parse(smiles: str) -> Mol:
        nonlocal most
        read_.append(smiles)
        mol = Weak(read(smiles))
        alive.append(weakref.ref(mol))
        most = max(most, sum(one() is not None for one in alive))
        return mol

    monkeypatch.setattr(candidates, "parse", parse)
    kept = Kept(None, drawings=True)
    table = candidates_table(ledger_rows, ["qed", "activity"], kept=kept)
    assert read_ == table["smiles"].tolist()
    assert most <= 2  # the one before goes when the next is there
    assert len(kept.fingerprints) == len(kept.blocks) == len(table)


def test_no_molecule_at_all_is_a_table_with_its_columns(ledger_rows: pd.DataFrame, tmp_path: Path) -> None:
    table = with_nearest(candidates_table(ledger_rows.iloc[:0], ["qed", "activity"]), Neighbours(), [])
    assert list(table.columns) == candidates_columns(["qed", "activity"])
    write_csv(table, tmp_path / "candidates.csv")
    assert (tmp_path / "candidates.csv").read_text().count("\n") == 1


def test_the_file_is_the_same_each_time_and_reads_back(ledger_rows: pd.DataFrame, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        write_csv(candidates_table(ledger_rows, ["qed", "activity"]), tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    back = pd.read_csv(tmp_path / "a.csv", keep_default_na=False)
    assert back["smiles"].tolist()[0] == ASPIRIN
    assert back["hbd"].tolist()[0] == 1


def test_the_data_dictionary_has_a_line_for_each_column_in_order() -> None:
    text = (Path(__file__).parents[2] / "docs" / "candidates.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE)
    assert documented == candidates_columns(["<label>"])
