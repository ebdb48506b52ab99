"""`moldesign score --explain` and `--plot` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

FEW = "CCO\nc1ccccc1O\nrubbish\nCC(=O)Nc1ccc(O)cc1\n"

WRONG = """
[[components]]
reward = "sa"
shaping = { kind = "linear", zero = 1, one = 5 }

[[components]]
reward = "mw"
role = "penalty"
shaping = { kind = "linear", zero = 600, one = 500 }

[[components]]
label = "ring"
reward = "substructures"
role = "filter"
parameters = { required = ["C1=CC=CC=C1"] }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "few.smi").write_text(FEW)
    chains = ["C" * n + head for n in range(1, 9) for head in ("O", "N", "C(=O)O", "c1ccccc1")]
    (tmp_path / "many.smi").write_text("\n".join(chains) + "\n")
    (tmp_path / "wrong.toml").write_text(WRONG)
    return tmp_path


def test_few_molecules_are_shown_one_by_one_with_warnings_and_nothing_else_is_written(
    forks: Any, folder: Path
) -> None:
    before = sorted(folder.iterdir())
    done = forks("score", "few.smi", "--objective", "wrong.toml", "--explain", cwd=folder)
    assert done.code == 0, done.err
    rows = [line.split() for line in done.out.splitlines()]
    assert ["1", "CCO", "0"] in rows
    assert ["4", "CC(=O)Nc1ccc(O)cc1", "0"] in rows
    assert not any("rubbish" in row for row in rows)
    # Raw value and desirability of each component; (1.980 - 1) / 4 = 0.245.
    assert ["1", "1.98", "->", "0.245", "46.07", "->", "1", "0", "->", "0"] in rows
    warnings = [line for line in done.out.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 2
    assert "'sa'" in warnings[0]
    assert "swap zero and one" in warnings[0]
    assert "'ring' has the SMARTS C1=CC=CC=C1" in warnings[1]
    assert warnings[1].endswith("write c1ccccc1")
    assert "smiles,status" not in done.out
    assert "4 molecules: 3 scored, 0 failed, 1 invalid" in done.err
    assert sorted(folder.iterdir()) == before


def test_many_molecules_are_summed_up_and_the_csv_goes_where_it_is_wanted(forks: Any, folder: Path) -> None:
    done = forks("score", "many.smi", "--objective", "qed", "--explain", "-o", "scores.csv", cwd=folder)
    assert done.code == 0, done.err
    table = pd.read_csv(folder / "scores.csv")
    assert len(table) == 32
    rows = [line.split() for line in done.out.splitlines()]
    raw = table["qed"]
    expected = ["qed", "(0", "to", "1)", "weight", "1"]
    expected += [f"{value:.4g}" for value in (raw.min(), raw.median(), raw.max())]
    assert [*expected, f"{raw.mean():.3f}", "0%", "0%"] in rows
    best = table.sort_values("score", ascending=False, kind="stable")
    shown = [row[1] for row in rows if len(row) == 5 and row[3] == "qed"]
    assert shown == [*best["smiles"].head(10), *best["smiles"].tail(10)]
    assert done.out.splitlines()[-1] == "no warnings"


def test_json_says_the_same_in_one_line(forks: Any, folder: Path) -> None:
    done = forks("score", "few.smi", "--objective", "wrong.toml", "--explain", "--json", cwd=folder)
    assert done.code == 0, done.err
    (line,) = done.out.splitlines()
    facts = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert {key: facts[key] for key in ("rows", "scored", "failed", "invalid", "output")} == {
        "rows": 4, "scored": 3, "failed": 0, "invalid": 1, "output": None,
    }  # fmt: skip
    assert [component["label"] for component in facts["components"]] == ["sa", "mw", "ring"]
    assert facts["components"][1]["raw_min"] == pytest.approx(46.069)
    assert facts["components"][2]["at_zero"] == 1
    assert [molecule["line"] for molecule in facts["molecules"]] == [1, 2, 4]
    assert facts["molecules"][0]["components"]["mw"] == {"raw": pytest.approx(46.069), "shaped": 1}
    assert [(warning["kind"], warning["component"]) for warning in facts["warnings"]] == [
        ("direction", "sa"),
        ("smarts", "ring"),
    ]


def test_a_component_that_fails_is_told_and_its_molecules_are_not_scored(forks: Any, folder: Path) -> None:
    (folder / "mine.py").write_text(
        "def mine(smiles):\n"
        "    if any('O' in one for one in smiles):\n"
        "        raise ValueError('no oxygen here')\n"
        "    return [0.5] * len(smiles)\n"
    )
    (folder / "mine.toml").write_text('[[components]]\nreward = "mine.py:mine"\n')
    (folder / "some.smi").write_text("CC\nCCO\nCCN\n")
    arguments = ("score", "some.smi", "--objective", "mine.toml", "--explain")
    refused = forks(*arguments, cwd=folder)
    assert refused.code == 2
    assert "--trust-plugin mine.py" in refused.err
    done = forks(*arguments, "--trust-plugin", "mine.py", cwd=folder)
    assert done.code == 0, done.err
    assert "'mine' fails for 1 of 3 molecules, as CCO: ValueError: no oxygen here" in done.out
    assert ["2", "CCO", "failed"] in [line.split() for line in done.out.splitlines()]


def test_plot_draws_beside_the_csv(forks: Any, folder: Path) -> None:
    name = "curves.svg"
    done = forks("score", "few.smi", "--objective", "wrong.toml", "--plot", name, cwd=folder)
    assert done.code == 0, done.err
    assert len(done.out.splitlines()) == 5, "the CSV, as ever"
    content = (folder / name).read_bytes()
    assert content.startswith(b"<?xml")
    again = forks("score", "few.smi", "--objective", "wrong.toml", "--plot", name, cwd=folder)
    assert again.code == 2, "a file that is there is not replaced"
    forced = forks(
        "score", "few.smi", "--objective", "wrong.toml", "--plot", name, "--force", "--explain", cwd=folder
    )
    assert forced.code == 0
    assert (folder / name).read_bytes() == content


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("few.smi", "--objective", "wrong.toml", "--plot", "a.gif"), 2, "a.gif: unknown kind of figure"),
        (("few.smi", "--objective", "wrong.toml", "--plot", "nowhere/a.png"), 2, "does not exist"),
        (("few.smi", "--objective", "missing.toml", "--explain"), 2, "objective file not found"),
        (("invalid.smi", "--objective", "qed", "--explain"), 3, "no valid molecule"),
        (("missing.smi", "--objective", "qed", "--explain"), 3, "does not exist"),
    ],
)
def test_what_cannot_be_explained_is_one_line_and_a_code(
    forks: Any, folder: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    (folder / "invalid.smi").write_text("rubbish\nC1CC\n")
    done = forks("score", *arguments, cwd=folder)
    assert done.code == code
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert done.out == ""
