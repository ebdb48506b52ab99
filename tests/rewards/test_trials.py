"""Faults of a reward that would spoil a run are found before it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moldesign.errors import RewardError, UsageError
from moldesign.rewards import catalogue, trust
from moldesign.rewards.reward import from_smiles_function
from moldesign.rewards.trials import Check, Trial, examine, read_value, try_reward, value

MOLECULES = {"CCO": "ethanol", "CC(=O)Nc1ccc(O)cc1": "paracetamol", "CCN": ""}

Function = Callable[[list[str]], Any]


class Counter:
    """Remembers how many molecules it has seen."""

    def __init__(self) -> None:
        self.n = 0

    def __call__(self, smiles: list[str]) -> list[float]:
        self.n += len(smiles)
        return [self.n / 1000] * len(smiles)


def checks_of(function: Function, again: Function | None = None) -> dict[str, Check]:
    """The checks that are not ok, by name."""
    reward, other = from_smiles_function(function), from_smiles_function(again or function)
    _, checks = examine(MOLECULES, lambda smiles: value(reward, smiles), lambda smiles: value(other, smiles))
    return {check.what: check for check in checks if check.verdict != "ok"}


def lengths(smiles: list[str]) -> list[float]:
    return [float(len(one)) for one in smiles]


def test_a_good_reward_passes() -> None:
    assert checks_of(lengths) == {}


@pytest.mark.parametrize(
    ("function", "check", "said"),
    [
        (lambda s: [0.5] * 4, "one value a molecule", "gave 4 values for 1 molecules"),
        (lambda s: [sum(map(len, s))], "one value a molecule", "gave 1 values for 3 molecules"),
        (lambda s: 0.5, "one value a molecule", "gave float"),
        (lambda s: ["0.5"] * len(s), "numbers", "gave text where a number belongs"),
        (lambda s: [[1, 2]] * len(s), "numbers", "not 'list'"),
        (lambda s: [None] * len(s), "a value for each molecule", "none for 3 of 3, as CCO: no value"),
        (lambda s: [float("inf")] * len(s), "a value for each molecule", "an infinite value"),
        (lambda s: 1 / 0, "a value for each molecule", "ZeroDivisionError: division by zero"),
        (lambda s: exit(3), "a value for each molecule", "SystemExit: 3"),
        (Counter(), "the same values again", "in another process and order"),
        (lambda s: [len(one) / len(max(s, key=len)) for one in s],
         "the same value alone and in a batch", "1, in a batch 0.1"),
    ],
)  # fmt: skip
def test_what_is_broken(function: Function, check: str, said: str) -> None:
    found = checks_of(function)[check]
    assert found.verdict == "broken"
    assert said in found.detail


def test_a_batch_that_raises_is_broken_though_each_molecule_alone_is_not() -> None:
    def one_only(smiles: list[str]) -> list[float]:
        (_,) = smiles
        return [0.5]

    found = checks_of(one_only)["the same value alone and in a batch"]
    assert found.verdict == "broken"
    assert found.detail.startswith("a batch of 3: ValueError: too many values")


def test_a_molecule_alone_is_compared_with_a_batch_too() -> None:
    def mean(smiles: list[str]) -> list[float]:
        return [0.5 if len(smiles) == 1 else 0.25] * len(smiles)

    reward = from_smiles_function(mean)
    _, checks = examine({"CCO": ""}, lambda one: value(reward, one), lambda one: value(reward, one))
    assert [check.detail for check in checks if check.verdict == "broken"] == ["0.5, in a batch 0.25"]


def test_noise_of_summing_is_no_other_value() -> None:
    assert checks_of(lengths, lambda s: [len(one) * (1 + 1e-9) for one in s]) == {}
    found = checks_of(lengths, lambda s: [len(one) * 1.001 for one in s])
    assert found["the same values again"].verdict == "broken"


def test_some_failures_are_no_fault() -> None:
    def fussy(smiles: list[str]) -> list[float | None]:
        if any("." in one for one in smiles):
            raise ValueError("a salt")
        return [None if one in ("C", "CCN") else 0.5 for one in smiles]

    found = checks_of(fussy)
    assert {check.verdict for check in found.values()} == {"warning"}
    assert "none for 1 of 3, as CCN: no value" in found["a value for each molecule"].detail
    assert "none for a salt, a single atom:" in found["a value for odd molecules"].detail


@pytest.mark.parametrize(
    ("reward", "parameter", "text", "expected"),
    [
        ("similarity", "references", '["CCO"]', ["CCO"]),
        ("similarity", "counts", "false", False),
        ("similarity", "aggregation", "mean", "mean"),
        ("substructure_count", "smarts", "[1]", "[1]"),  # a text, though TOML has it as a list
        ("similarity", "no_such", "3.5", 3.5),
    ],
)
def test_text_becomes_the_value_of_a_parameter(
    reward: str, parameter: str, text: str, expected: object
) -> None:
    field = catalogue.find(reward).parameters.model_fields.get(parameter)
    assert read_value(text, field) == expected


FILE = """
import ctypes
import os
import time

from moldesign.rewards.entry import Entry


def crash(smiles):
    ctypes.string_at(0)


def leave(smiles):
    os._exit(3)


def hang(smiles):
    if "CCN" in smiles:
        time.sleep(1000)
    return [0.5 for _ in smiles]


def loud(smiles):
    ctypes.CDLL(None).puts(b"a library in C")
    input_is_empty = os.read(0, 10) == b""
    return [7.0 if input_is_empty else None for _ in smiles]


def hashed(smiles):
    return [hash(one) % 1000 / 1000 for one in smiles]


def build(parameters):
    time.sleep(1000)


slow = Entry("Never built", "", build)
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(trust, "_trusted", {})
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    trust.trust([path])
    return str(path)


def broken(trial: Trial) -> dict[str, str]:
    return {check.what: check.detail for check in trial.checks if check.verdict == "broken"}


@pytest.mark.parametrize(("name", "how"), [("crash", "SIGSEGV"), ("leave", "exit code 3")])
def test_a_crash_is_reported(file: str, name: str, how: str) -> None:
    trial = try_reward(f"{file}:{name}", MOLECULES)
    assert broken(trial)["neither crashes nor hangs"] == f"CCO: ended its process ({how})"
    assert [row.problem.partition(":")[0] for row in trial.rows[:3]] == [
        f"ended its process ({how})",
        f"ended its process ({how})",
        "not tried",
    ]


def test_what_hangs_is_ended_and_the_others_are_valued(file: str) -> None:
    trial = try_reward(f"{file}:hang", MOLECULES, limit_s=0.5)
    assert broken(trial) == {"neither crashes nor hangs": "CCN: took longer than 0.5 s"}
    assert [row.value for row in trial.rows[:2]] == [0.5, 0.5]
    assert [row.problem for row in trial.rows[2:]] == ["took longer than 0.5 s", "", "", "", ""]


def test_files_that_lie_where_it_starts_are_not_imported(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "random", "moldesign"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'a').write({name!r})")
    monkeypatch.chdir(tmp_path)
    assert try_reward(f"{file}:hashed", {"CCO": ""}).rows[0].problem == ""
    assert not (tmp_path / "marker").exists()


def test_a_reward_that_is_never_built(file: str) -> None:
    with pytest.raises(RewardError, match="slow' cannot be loaded: took longer than 3 s"):
        try_reward(f"{file}:slow", MOLECULES, start_s=3)


def test_what_is_printed_stays_away_from_the_answers(file: str) -> None:
    trial = try_reward(f"{file}:loud", MOLECULES)
    assert {check.what: check.detail for check in trial.checks if check.verdict != "ok"} == {
        "between 0 and 1, or shaped": "7: with other components it needs a shaping",
        "prints nothing": "to standard output, where tables go: 'a library in C'; use standard error",
    }


def test_a_value_that_differs_between_processes(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    assert set(broken(try_reward(f"{file}:hashed", MOLECULES))) == {"the same values again"}


def test_a_file_that_nobody_trusts_does_not_run(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_trusted", {})
    with pytest.raises(UsageError, match="add --trust-plugin"):
        try_reward(f"{file}:crash", MOLECULES)


def test_parameters_are_checked_before_anything_is_valued() -> None:
    with pytest.raises(UsageError, match=r"reward 'similarity': aggregation: should be 'max', 'mean'"):
        try_reward("similarity", MOLECULES, {"references": '["CCO"]', "aggregation": "median"})
