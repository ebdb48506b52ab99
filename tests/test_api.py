"""The public Python interface: what `import moldesign as md` gives."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import moldesign as md
from moldesign.chem import molecules
from moldesign.errors import UsageError


def test_all_that_is_promised_is_there() -> None:
    for name in md.__all__:
        assert getattr(md, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'optimise'"):
        md.optimise  # noqa: B018


def test_sample_draws_exactly_n_and_the_seed_fixes_each_row(small_prior: Path) -> None:
    table = md.sample(small_prior, 50, seed=1)
    assert list(table.columns) == ["smiles", "valid", "canonical_smiles", "nll"]
    assert len(table) == 50
    assert (table["nll"] > 0).all()
    for row in table.itertuples():
        assert (molecules.canonical(str(row.smiles)) or "") == row.canonical_smiles
        assert row.valid == bool(row.canonical_smiles)
    assert md.sample(small_prior, 30, seed=1)["smiles"].tolist() == table["smiles"][:30].tolist()
    assert md.sample(small_prior, 50, seed=2)["smiles"].tolist() != table["smiles"].tolist()


def test_sample_goes_on_until_there_are_enough_of_what_is_asked_for(small_prior: Path) -> None:
    table = md.sample(small_prior, 200, unique=True, valid_only=True)
    assert len(table) == 200
    assert table["valid"].all()
    assert table["canonical_smiles"].is_unique


def test_score_is_one_row_a_smiles_whatever_it_is() -> None:
    def halves(smiles: list[str]) -> list[float | None]:
        return [None if "Br" in text else len(text) / 2 for text in smiles]

    table = md.score(halves, ["OCC", "CCO", "rubbish", "CBr", "CBr"])
    assert list(table.columns) == ["smiles", "status", "score", "halves", "halves_score", "reason"]
    assert table["smiles"].tolist() == ["OCC", "CCO", "rubbish", "CBr", "CBr"]
    assert table["status"].tolist() == ["scored", "scored", "invalid", "failed", "failed"]
    assert table["score"].tolist() == pytest.approx([1.5, 1.5, math.nan, math.nan, math.nan], nan_ok=True)
    assert table["reason"].str.len().gt(0).tolist() == [False, False, True, True, True]


def test_score_has_each_component_raw_and_shaped() -> None:
    table = md.score("druglike", ["c1ccccc1O"])
    assert {"qed", "qed_score", "sa", "sa_score", "alerts", "alerts_score"} <= set(table.columns)
    row = table.iloc[0]
    assert row["qed_score"] == pytest.approx((row["qed"] - 0.4) / (0.95 - 0.4))


def test_a_component_called_like_a_column_does_not_take_its_place() -> None:
    objective = md.Objective(
        combination="arithmetic_mean",
        components=[
            md.Component(reward="qed", label="score"),
            md.Component(reward="qed", label="status"),
            md.Component(reward="qed", label="line"),
        ],
    )
    table = md.score(objective, ["CCO"])
    assert table["status"].tolist() == ["scored"]
    assert {"score_raw", "status_raw", "line_raw"} <= set(table.columns)
    assert "line" not in table.columns


def test_one_smiles_in_place_of_a_list_is_not_read_letter_by_letter() -> None:
    with pytest.raises(UsageError, match=r"give a list of SMILES, as in \['CCO'\]"):
        md.score("qed", "CCO")


def test_optimize_gives_candidates_and_ledger(small_prior: Path) -> None:
    run = md.optimize("qed", prior=small_prior, budget=40, seed=0, batch_size=32)
    assert len(run.ledger) == 40
    assert run.candidates["score"].is_monotonic_decreasing
    again = md.score("qed", run.candidates["smiles"].tolist())
    assert again["score"].tolist() == pytest.approx(run.candidates["score"].tolist())
