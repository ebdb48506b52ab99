"""`moldesign rewards` as a user types it: lists, a plugin of one's own, and what is wrong with it."""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moldesign.rewards import catalogue
from moldesign.rewards.objective import Objective

PLUGIN = '''
"""Rewards of a package that is installed."""

from pydantic import Field

from moldesign.rewards.entry import Entry
from moldesign.rewards.reward import per_molecule
from moldesign.rewards.shaping import Linear
from moldesign.rewards.strict import Strict

print("printed while it is loaded")


def carbons(smiles):
    """Share of carbon in the text."""
    return [one.upper().count("C") / len(one) for one in smiles]


class Parameters(Strict):
    """Of atoms."""

    symbol: str = Field(description="symbol of the [element]")


atoms = Entry(
    "Atoms of an element",
    "count",
    lambda parameters: per_molecule(
        lambda mol: sum(atom.GetSymbol() == parameters.symbol for atom in mol.GetAtoms())
    ),
    Parameters,
    example={"symbol": "C"},
    shaping=Linear(zero=0, one=10),
    cost_us=2_000,
)
number = 3
'''
ENTRY_POINTS = """[moldesign.rewards]
carbons = chem_plugin:carbons
atoms = chem_plugin:atoms
wrong = chem_plugin:number
absent = no_such_module_at_all:reward
"""
METADATA = "Metadata-Version: 2.1\nName: chem-plugin\nVersion: 1.0\n"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path with a package as pip installs one, entry points and all."""
    site = tmp_path / "site"
    (site / "chem_plugin-1.0.dist-info").mkdir(parents=True)
    (site / "chem_plugin-1.0.dist-info" / "METADATA").write_text(METADATA)
    (site / "chem_plugin-1.0.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    (site / "chem_plugin.py").write_text(PLUGIN)
    monkeypatch.setenv("PYTHONPATH", str(site))
    return site


@pytest.fixture
def command(moldesign: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`moldesign` in the temporary folder, with a home of its own."""
    monkeypatch.setenv("MOLDESIGN_HOME", str(tmp_path / "home"))
    return lambda *arguments: moldesign(*arguments, cwd=tmp_path)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_plugins_are_listed_and_one_that_is_broken_hides_no_other(
    command: Callable[..., Any], installed: Path
) -> None:
    done = command("rewards", "--json")
    assert done.code == 0, done.err
    assert "printed while it is loaded" in done.err
    found = {row["name"]: row for row in json.loads(done.out)["rewards"]}
    assert list(found) == [*catalogue.BUILT_IN, "absent", "atoms", "carbons", "wrong"]
    assert "ModuleNotFoundError: No module named 'no_such_module_at_all'" in found["absent"]["error"]
    assert "neither an Entry nor a function" in found["wrong"]["error"]
    assert found["carbons"]["description"] == "Share of carbon in the text"
    atoms = found["atoms"]
    assert atoms["parameters"]["required"] == ["symbol"]
    assert atoms["parameters"]["properties"]["symbol"]["type"] == "string"
    assert (atoms["example"], atoms["unit"], atoms["cost_us"]) == ({"symbol": "C"}, "count", 2000)
    assert atoms["shaping"] == {"kind": "linear", "zero": 0, "one": 10}
    assert found["sa"]["direction"] == "smaller"

    shown = command("rewards")
    assert shown.code == 0, shown.err
    assert "printed" not in shown.out
    assert [name for name in found if name not in shown.out] == []
    groups = re.findall(r"^Rewards: (\S+)", shown.out, re.MULTILINE)
    assert groups == list(dict.fromkeys(entry.group for entry in catalogue.BUILT_IN.values())) + ["plugins"]
    assert "cannot be used: reward plugin wrong" in shown.out
    assert 'example: parameters = { smarts = "[F]" }' in shown.out  # its brackets are no markup


def test_a_plugin_that_is_installed_scores_by_its_name(
    command: Callable[..., Any], installed: Path, tmp_path: Path
) -> None:
    shown = command("rewards", "show", "atoms")
    assert shown.code == 0, shown.err
    assert "# atoms: Atoms of an element" in shown.out
    assert "# raw value: count; wanted in a range; 2 ms a molecule" in shown.out
    assert "#   symbol: symbol of the [element] (required)" in shown.out
    (tmp_path / "mine.toml").write_text(
        shown.out + '\n[[components]]\nreward = "carbons"\nrole = "penalty"\n'
    )
    (tmp_path / "two.smi").write_text("CCO\nc1ccccc1\n")
    scored = command("score", "two.smi", "--objective", "mine.toml", "-o", "scores.csv")
    assert scored.code == 0, scored.err
    table = rows((tmp_path / "scores.csv").read_text())
    assert [float(row["atoms"]) for row in table] == [2, 6]
    assert [float(row["carbons"]) for row in table] == pytest.approx([2 / 3, 6 / 8], abs=1e-6)
    assert [float(row["score"]) for row in table] == pytest.approx([0.2 * 2 / 3, 0.6 * 6 / 8], abs=1e-6)
    tried = command("rewards", "test", "atoms", "--smiles", "CCO", "--parameter", "symbol=O", "--json")
    assert tried.code == 0, tried.err
    facts = json.loads(tried.out)
    assert facts["parameters"] == {"symbol": "O"}
    assert [row["value"] for row in facts["molecules"]] == [1, 2, 0, 10, 1]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("show", "wrong"), 5, "reward plugin wrong (chem_plugin:number) is neither an Entry nor a function"),
        (("test", "absent"), 5, "reward plugin absent (no_such_module_at_all:reward) cannot be loaded"),
        (("test", "atom"), 2, "unknown reward 'atom'; did you mean 'atoms'?"),
        (("show", "druglik"), 2, "no reward or objective named 'druglik'; did you mean 'druglike'?"),
        (("test", "atoms", "--smiles", "C1CC"), 2, "--smiles 'C1CC': "),
        (("test", "atoms", "--parameter", "symbol"), 2, "--parameter symbol: give it as KEY=VALUE"),
        (("test", "atoms", "--parameter", "symbl=C"), 2, "unknown key 'symbl'; did you mean 'symbol'?"),
        (("test", "chem.py:f"), 2, "no such file: chem.py"),
    ],
)
def test_what_cannot_be_is_one_line(
    command: Callable[..., Any], installed: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = command("rewards", *arguments)
    assert done.code == code, done.err
    assert done.out == ""
    last = done.err.splitlines()[-1]
    assert last.startswith("moldesign: ")
    assert said in last


def test_a_reward_of_ones_own_from_the_first_file_to_a_score(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    made = command("rewards", "new", "polar")
    assert made.code == 0, made.err
    trust = ("--trust-plugin", "polar.py")
    again = command("rewards", "new", "polar")
    assert again.code == 2
    assert "polar.py: exists already" in again.err

    untrusted = command("rewards", "test", "polar.py:polar")
    assert untrusted.code == 2
    assert "if you trust it, add --trust-plugin polar.py" in untrusted.err
    tried = command("rewards", "test", "polar.py:polar", *trust)
    assert tried.code == 0, tried.err
    assert "celecoxib" in tried.out
    assert len(re.findall(r"\bok\b", tried.out)) == 9

    shown = command("rewards", "show", "polar.py:polar_entry", *trust)
    assert tomllib.loads(shown.out)["components"][0]["parameters"] == {"element": "N"}
    (tmp_path / "mine.toml").write_text(shown.out)
    (tmp_path / "one.smi").write_text("NCCN\n")
    scored = command("score", "one.smi", "--objective", "mine.toml", *trust)
    assert scored.code == 0, scored.err
    (row,) = rows(scored.out)
    assert (float(row["polar_entry"]), float(row["score"])) == (2, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("my-reward",), "'my-reward' cannot be the name of a function"),
        (("_hidden",), "cannot be the name"),
        (("class",), "cannot be the name"),
        (("qed",), "there is a reward 'qed' already"),
        (("mine", "-o", "mine.txt"), "a name that ends in .py"),
        (("mine", "-o", "nowhere/mine.py"), "make it first"),
    ],
)
def test_a_file_is_not_begun_under_a_wrong_name(
    command: Callable[..., Any], tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = command("rewards", "new", *arguments)
    assert done.code == 2
    assert said in done.err
    assert list(tmp_path.glob("**/*.py")) == []
    assert list(tmp_path.glob("*.txt")) == []


def test_a_broken_reward_ends_with_its_exit_code(command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def mean(smiles):\n    return [0.5]\n\ndef ok(smiles):\n    print(1)\n"
                                     "    return [0.5 for _ in smiles]\n")  # fmt: skip
    trust = ("--trust-plugin", "bad.py", "--smiles", "CCO", "--smiles", "CCN")
    done = command("rewards", "test", "bad.py:mean", *trust)
    assert done.code == 5
    assert "gave 1 values for 2 molecules" in done.out
    assert done.err == (
        "moldesign: reward 'bad.py:mean' is broken: one value a molecule: gave 1 values for 2 molecules\n"
    )
    warned = command("rewards", "test", "bad.py:ok", *trust, "--json")
    assert warned.code == 0
    assert json.loads(warned.out)["verdict"] == "warning"


def test_what_is_shown_can_be_added_to_an_objective(command: Callable[..., Any], tmp_path: Path) -> None:
    text = "".join(command("rewards", "show", name).out + "\n" for name in ("similarity", "logp", "alerts"))
    assert Objective.from_toml(text).labels == ("similarity", "logp", "alerts")
