"""What a user begins from works as it is."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import Field

from moldesign.chem.molecules import read
from moldesign.rewards import catalogue, trust
from moldesign.rewards.component import Component
from moldesign.rewards.entry import Entry
from moldesign.rewards.objective import Objective
from moldesign.rewards.reward import per_molecule
from moldesign.rewards.shaping import Linear, Plateau, Shaping, Step
from moldesign.rewards.strict import Strict
from moldesign.rewards.template import component_toml, description, duration, inline, python_file, shaping_for

#: Their examples name a file or an endpoint of the user's.
NEED_MORE = {"models", "external", "docking"}


@pytest.mark.parametrize("name", catalogue.BUILT_IN)
def test_what_is_shown_of_a_reward_is_an_objective(name: str) -> None:
    entry = catalogue.BUILT_IN[name]
    text = component_toml(name, entry)
    component = tomllib.loads(text)["components"][0]
    assert component["reward"] == name
    assert component.get("parameters", {}) == dict(entry.example)
    if not {"file", "receptor", "model"} & entry.example.keys() and entry.group not in NEED_MORE:
        (made,) = Objective.from_toml(text).components
        assert isinstance(made, Component)
        assert made.label == name


def test_a_name_that_is_no_label_gets_one() -> None:
    text = component_toml(
        "my-plugin.v2", Entry("", "", lambda _: per_molecule(lambda _: 0.5), unit_interval=True)
    )
    assert tomllib.loads(text)["components"][0]["label"] == "reward_my_plugin_v2"


class Required(Strict):
    depth: int = Field(description="how deep")
    names: list[str] = Field(["a"], description="which")
    limit: float | None = Field(None, description="how far")


def test_parameters_that_no_example_gives_are_named() -> None:
    entry = Entry("Depth", "m", lambda _: per_molecule(lambda _: 3.0), Required)
    text = component_toml("depth", entry)
    assert "# it needs parameters: depth" in text
    assert "# any numbers: take limits of your own" in text
    assert description("depth", entry) == [
        "depth: Depth",
        "raw value: m; wanted in a range; 10 ms a molecule",
        "  depth: how deep (required)",
        '  names: which (default ["a"])',
        "  limit: how far (may be left out)",
    ]


def test_a_reward_that_raises_is_shown_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(_: Any) -> Any:
        raise RuntimeError("no licence")

    entry = Entry("", "", build)
    monkeypatch.setitem(catalogue.BUILT_IN, "x", entry)
    assert "# any numbers" in component_toml("x", entry)


def test_values_of_drugs_that_are_not_finite_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def reward(mols: Sequence[Any], /) -> np.ndarray[Any, Any]:
        return np.array([np.nan, 1.0, np.inf, 2.0, 3.0, 4.0])

    entry = Entry("", "", lambda _: reward, direction="larger")
    monkeypatch.setitem(catalogue.BUILT_IN, "x", entry)
    shaping = tomllib.loads(component_toml("x", entry))["components"][0]["shaping"]
    assert shaping == {"kind": "linear", "zero": 1.0, "one": 4.0}


def test_a_plugin_is_not_run_to_be_shown() -> None:
    ran = []

    def build(_: Any) -> Any:
        ran.append("built")  # it may as well hang, or end the process
        return per_molecule(lambda _: 3.0)

    # Also not one that is called like a reward that comes with the program.
    for name in ("mine.py:depth", "logp"):
        assert "# any numbers: take limits of your own" in component_toml(name, Entry("Depth", "m", build))
    assert ran == []


@pytest.mark.parametrize(
    ("direction", "values", "expected"),
    [
        ("larger", [0, 1, 2, 3, 4], Linear(zero=1, one=4)),
        ("smaller", [0, 1, 2, 3, 4], Linear(zero=4, one=1)),
        ("between", [0, 1, 2, 3, 4], Plateau(low=1, high=3, buffer=1)),
        ("between", [151.16, 206.3, 407.3, 493.6], Plateau(low=150, high=490, buffer=170)),
        ("larger", [2, 2, 2], Linear(zero=2, one=3)),
        ("smaller", [0, 0, 0], Linear(zero=1, one=0)),
        ("between", [0, 0, 0, 0, 7], Step(low=0, high=0)),
        ("larger", [1, 4, 4, 4, 4], Linear(zero=1, one=4)),
        ("smaller", [1, 4, 4, 4, 4], Linear(zero=4, one=1)),
    ],
)
def test_a_shaping_from_values(direction: Any, values: list[float], expected: Shaping) -> None:
    assert shaping_for(direction, values) == expected


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1, "b": [1.5, 1e-30, float("inf")], "c d": {"e": True}},
        {"text": 'quotes " and \\ and \n and \x7f and é and 💊'},
        {"nested": [{"x": []}, {}]},
    ],
)
def test_inline_is_toml(value: dict[str, Any]) -> None:
    text = inline(value)
    assert "\n" not in text
    assert tomllib.loads(f"v = {text}")["v"] == value
    assert inline({"a": None, "b": 1}) == "{ b = 1 }"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(3e-6, "3 us"), (0.00123, "1.23 ms"), (4.5, "4.5 s"), (120.0, "120 s"), (float("nan"), "")],
)
def test_durations(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_the_file_to_begin_from_holds_two_rewards_that_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "_trusted", {})
    path = tmp_path / "hetero.py"
    path.write_text(python_file("hetero", str(path)))
    trust.trust([path])
    mols = [read("CCO"), read("NCCN")]
    function = Objective.model_validate({"components": [{"reward": f"{path}:hetero"}]})
    assert function.evaluate(mols).score.tolist() == pytest.approx([1 / 3, 1 / 2])
    entry = Component.model_validate({"reward": f"{path}:hetero_entry"})
    assert entry.raw(mols)[0].tolist() == [0.0, 2.0]
    oxygen = Component.model_validate({"reward": f"{path}:hetero_entry", "parameters": {"element": "O"}})
    assert oxygen.raw(mols)[0].tolist() == [1.0, 0.0]
    with pytest.raises(ValueError, match=r"parameters\.element: .*pattern"):
        Component.model_validate({"reward": f"{path}:hetero_entry", "parameters": {"element": "oxygen"}})
    assert Objective.from_toml(component_toml(f"{path}:hetero", catalogue.find(f"{path}:hetero"))).labels == (
        "hetero",
    )
