"""`moldesign sample` and `moldesign score` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from moldesign.chem import molecules


def test_sample_writes_exactly_n_rows_whatever_they_are(
    forks: Any, small_prior: Path, tmp_path: Path
) -> None:
    done = forks(
        "sample", "-n", 120, "-o", "drawn.csv", "--prior", small_prior, "--seed", 5, "--json", cwd=tmp_path
    )
    assert done.code == 0, done.err
    table = pd.read_csv(tmp_path / "drawn.csv", keep_default_na=False)
    assert len(table) == 120
    assert (
        table["smiles"].map(lambda text: molecules.canonical(text) is not None).tolist()
        == table["valid"].tolist()
    )
    assert not table["valid"].all()
    distinct = table.loc[table["valid"], "canonical_smiles"].nunique()
    facts = json.loads(done.out.splitlines()[-1])
    assert facts == {
        "rows": 120,
        "valid": int(table["valid"].sum()),
        "distinct": distinct,
        "output": "drawn.csv",
    }
    again = forks("sample", "-n", 120, "-o", "drawn.csv", "--prior", small_prior, cwd=tmp_path)
    assert again.code == 2, "a file that is there is not replaced"
    assert len(pd.read_csv(tmp_path / "drawn.csv")) == 120


def test_unique_and_valid_only_still_give_n(forks: Any, small_prior: Path, tmp_path: Path) -> None:
    done = forks(
        "sample",
        "-n",
        120,
        "--prior",
        small_prior,
        "--unique",
        "--valid-only",
        "--temperature",
        0.8,
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    header, *rows = done.out.splitlines()
    assert header.split(",")[0] == '"smiles"'
    canonical = [molecules.canonical(row.split(",")[0].strip('"')) for row in rows]
    assert None not in canonical
    assert len(rows) == len(set(canonical)) == 120
    assert "120 rows: 120 valid, 120 distinct" in done.err
    assert list(tmp_path.iterdir()) == []


def test_score_tells_what_the_reader_could_not_take(forks: Any, tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(b"smiles,name\nCCO,a\nCC\xe9O,b\nCCN,c,d\nN/A,e\nCCC,f\n")
    done = forks("score", "latin.csv", "--objective", "qed", "-o", "scores.csv", cwd=tmp_path)
    assert done.code == 0, done.err
    table = pd.read_csv(tmp_path / "scores.csv", keep_default_na=False)
    assert table["line"].tolist() == [2, 3, 4, 5, 6]
    assert table["status"].tolist() == ["scored", "invalid", "invalid", "invalid", "scored"]
    assert table["smiles"].tolist()[1] == "CC\\udce9O"
    assert "not UTF-8" in table["reason"][1]
    assert "ragged row" in table["reason"][2]
    assert table["reason"][3] == "missing value"


def test_score_keeps_the_order_and_every_row(moldesign: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("name,smiles\na,c1ccccc1O\nb,rubbish\nc,Oc1ccccc1\n")
    (tmp_path / "goal.toml").write_text(
        '[[components]]\nreward = "mw"\nshaping = { kind = "linear", zero = 0.0, one = 188.226 }\n'
    )
    done = moldesign(
        "score", "mine.csv", "--objective", "goal.toml", "-o", "scores.csv", "--json", cwd=tmp_path
    )
    assert done.code == 0, done.err
    table = pd.read_csv(tmp_path / "scores.csv", keep_default_na=False)
    assert list(table.columns) == ["line", "smiles", "status", "score", "mw", "mw_score", "reason"]
    assert table["line"].tolist() == [2, 3, 4]
    assert table["smiles"].tolist() == ["c1ccccc1O", "rubbish", "Oc1ccccc1"]
    assert table["status"].tolist() == ["scored", "invalid", "scored"]
    assert [float(value) for value in table["score"][[0, 2]]] == pytest.approx([0.5, 0.5], abs=1e-4)
    assert table["score"][1] == ""
    facts = json.loads(done.out.splitlines()[-1])
    assert facts == {"rows": 3, "scored": 2, "failed": 0, "invalid": 1, "output": "scores.csv"}
    with (tmp_path / "log.txt").open("a") as log:
        log.write("before\n")
        log.flush()
        process = moldesign.start("score", "mine.csv", "--objective", "goal.toml", cwd=tmp_path, stdout=log)
        process.communicate()
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert lines == ["before", *(tmp_path / "scores.csv").read_text().splitlines()], "added, not replaced"
