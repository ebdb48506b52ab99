"""Reports of steps, and the rules that end a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from moldesign.rewards.loading import load_objective
from moldesign.rewards.oracle import Oracle
from moldesign.rl.settings import OptimizeSettings
from moldesign.rl.steps import StepReport, Watch

ALKANES = ["C" * n for n in range(1, 101)]

#: Fields that only some estimators fill.
FACTS = (
    "entropy",
    "advantage_mean",
    "advantage_std",
    "effective_sample_size",
    "explained_variance",
    "clip_fraction",
    "epochs",
    "step_kl",
    "gradient_variance",
    "log_z",
)


def fluorine_is_best(smiles: list[str]) -> list[float | None]:
    """1 with fluorine, 0.5 without; bromine fails."""
    return [None if "Br" in text else 1.0 if "F" in text else 0.5 for text in smiles]


class Course:
    """A watch and its oracle."""

    def __init__(self, should_stop: Callable[[], bool] = lambda: False, **settings: Any) -> None:
        chosen = OptimizeSettings.of(**settings)
        self.oracle = Oracle(load_objective(fluorine_is_best), budget=chosen.budget)
        self.watch = Watch(chosen, self.oracle, should_stop)

    def step(self, *smiles: str) -> StepReport:
        return self.watch.take_in(self.oracle(smiles), agent_nll=20.0, scaffolds=3)

    def over(self) -> str:
        return self.watch.stop_reason()


def test_a_report_by_hand() -> None:
    course = Course(budget=5)
    course.step("CF")
    report = course.step("CCO", "OCC", "C(", "CBr", "CF", "CCN", "CCC", "CCCC")
    # Paid: CCO, CBr (which fails), CCN, CCC; free: OCC, CF; no molecule: C(; past the budget: CCCC.
    expected = {
        "step": 2,
        "calls": 5,
        "mean_score": (0.5 + 0.5 + 1.0 + 0.5 + 0.5) / 5,
        "best_score": 1.0,
        "top10_mean": (1.0 + 3 * 0.5) / 4,
        "valid": 7 / 8,
        "unique": 6 / 8,
        "new": 4 / 8,
        "failed": 1,
        "loss": math.nan,
        "gradient_norm": math.nan,
        "agent_nll": 20.0,
        "prior_kl": math.nan,
        "replayed": 0,
        "scaffolds": 3,
        "rolled_back": False,
    }
    expected |= dict.fromkeys(FACTS, math.nan)
    assert asdict(report) == pytest.approx(expected, nan_ok=True)


def test_facts_of_a_step_are_fields_of_its_report() -> None:
    course = Course()
    facts = {name: float(number) for number, name in enumerate(FACTS)}
    report = course.watch.take_in(course.oracle(["C"]), agent_nll=20.0, scaffolds=3, facts=facts)
    assert {name: getattr(report, name) for name in FACTS} == facts


def test_a_step_without_a_molecule_has_no_scores() -> None:
    report = Course().step("C(", "")
    assert math.isnan(report.mean_score)
    assert math.isnan(report.best_score)
    assert math.isnan(report.top10_mean)
    assert report.valid == report.new == 0.0


def test_budget() -> None:
    course = Course(budget=3)
    course.step("C", "CC")
    assert not course.over()
    course.step("CCC", "CCCC")
    assert course.over() == "budget spent"


def test_steps() -> None:
    course = Course(max_steps=2)
    course.step("C")
    assert not course.over()
    course.step("CC")
    assert course.over() == "steps done"


def test_hours() -> None:
    assert Course(max_hours=1e-12).over() == "time over"
    assert not Course(max_hours=1.0).over()


def test_target_is_reached_by_ten_molecules() -> None:
    course = Course(target=1.0)
    course.step(*(f"F{alkane}" for alkane in ALKANES[:9]))
    assert not course.over()
    course.step("CCO")
    assert not course.over(), "the ten best include one of 0.5"
    course.step("FCCO")
    assert course.over() == "target reached"


def test_plateau_of_the_hundred_best() -> None:
    course = Course(patience=2)
    course.step(*ALKANES[:99])
    for _ in range(4):
        course.step("C")
    assert not course.over(), "not before there are a hundred"
    course.step(ALKANES[99])
    course.step("CCO")
    course.step("CCF")  # a gain
    course.step("CCN")
    assert not course.over()
    course.step("CCOC")
    assert course.over() == "plateau"


def test_nothing_new() -> None:
    course = Course(budget=100)
    course.step("CCO")
    for _ in range(49):
        course.step("OCC", "C(")
    assert not course.over()
    course.step("CBr")  # a failure is new
    for _ in range(50):
        assert not course.over()
        course.step("CBr")
    assert course.over() == "nothing new in 50 steps"


def test_whoever_watches_may_stop_it() -> None:
    assert Course(should_stop=lambda: True).over() == "interrupted"


def test_batches_in_flight_are_steps_to_come() -> None:
    course = Course(max_steps=3)
    course.step("C")
    assert not course.watch.stop_reason(in_flight=1)
    assert course.watch.stop_reason(in_flight=2) == "steps done"


def test_a_reason_stays_whatever_the_batch_in_flight_brings() -> None:
    course = Course(patience=1)
    course.step(*ALKANES)
    course.step("C")
    assert course.over() == "plateau"
    course.step("CF")  # a gain
    assert course.over() == "plateau"
