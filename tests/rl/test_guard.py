"""The guard: a policy that has collapsed is brought back, one that is well is left alone."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from moldesign.language.tokenizer import SPECIALS, Tokenizer
from moldesign.policy.checkpoint import Provenance, load_policy, save_policy
from moldesign.policy.policy import Policy
from moldesign.policy.settings import Architecture
from moldesign.rl.guard import Guard
from moldesign.rl.methods import Method
from moldesign.rl.optimize import optimize
from moldesign.rl.rollout import rewarded
from moldesign.rl.run import Run
from moldesign.rl.settings import OptimizeSettings
from moldesign.rl.steps import StepReport

WELL = {"valid": 0.9, "unique": 0.8, "entropy": 1.0, "mean_score": 0.3, "best_score": 0.9}


def nitrogens(smiles: Sequence[str]) -> list[float]:
    """The share of N among the letters."""
    return [text.upper().count("N") / max(1, sum(map(str.isalpha, text))) for text in smiles]


def ran(prior: Path, estimator: str, **settings: Any) -> tuple[Run, list[StepReport]]:
    reports: list[StepReport] = []
    chosen = {
        "max_steps": 40,
        "batch_size": 32,
        "max_length": 16,
        "kl_coefficient": 0.0,
        "export": {"nearest_for": 0},
        **settings,
    }
    run = optimize(nitrogens, prior=prior, estimator=estimator, progress=reports.append, **chosen)
    return run, reports


# -- real runs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ["dap", "reinforce"])
@pytest.mark.parametrize("replay_size", [0, 16])
def test_a_collapsed_policy_is_brought_back_and_recovers(
    small_prior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], estimator: str, replay_size: int
) -> None:
    _, reports = ran(
        small_prior, estimator, learning_rate=3.0, sigma=20.0, replay_size=replay_size, out=tmp_path / "run"
    )
    valid, unique = ([getattr(report, name) for report in reports] for name in ("valid", "unique"))
    returned = [report.step for report in reports if report.rolled_back]
    assert 1 <= len(returned) <= 5
    # It was the first step that ruined it.
    assert valid[0] > 0.4
    assert np.mean(unique[1 : returned[0]]) < 0.2
    assert min(valid[returned[0]], unique[returned[0]] + 0.1) > 0.35, "the next batch is the prior's"
    assert np.mean(valid[-5:]) > 0.8 * valid[0]
    # The report, stderr and the log say so.
    said = [line for line in capsys.readouterr().err.splitlines() if "back to the agent after step" in line]
    assert [int(line.split(":")[0].removeprefix("step ")) for line in said] == returned
    assert said[0].endswith("back to the agent after step 0, learning rate 1.5 from now on")
    events = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [event["what"] for event in events if event["event"] == "guard"] == said
    steps = pd.read_csv(tmp_path / "run" / "steps.csv")
    assert steps["step"][steps["rolled_back"].astype(bool)].tolist() == returned


@pytest.mark.parametrize("estimator", ["reinforce", "dap"])
def test_where_repeats_earn_nothing_a_run_near_its_best_goes_on(small_prior: Path, estimator: str) -> None:
    _, reports = ran(small_prior, estimator, learning_rate=0.03, sigma=20.0, max_steps=60, bucket_size=5)
    assert np.mean([report.mean_score for report in reports[-10:]]) > 0.6
    assert not any(report.rolled_back for report in reports)


def test_who_repeats_the_best_as_it_was_asked_has_not_collapsed(small_prior: Path) -> None:
    _, reports = ran(small_prior, "a2c", learning_rate=0.05, diversity=False, max_steps=45)
    last = reports[-5:]
    assert np.mean([report.unique for report in last]) < 0.1
    assert np.mean([report.mean_score for report in last]) > 0.99
    assert not any(report.rolled_back for report in reports)


@pytest.fixture(scope="module")
def few_molecules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prior that writes C and N."""
    shape = Architecture(layers=1, hidden_size=8, embedding_size=4)
    path = tmp_path_factory.mktemp("few") / "few.safetensors"
    save_policy(Policy.fresh(shape, Tokenizer([*SPECIALS, "C", "N"])), path, Provenance(name="few"))
    return path


def test_a_language_that_is_used_up_ends_the_run(few_molecules: Path) -> None:
    run, reports = ran(
        few_molecules, "reinforce", learning_rate=0.03, max_length=4, max_steps=150, bucket_size=5
    )
    assert run.stopped_by == "nothing new in 50 steps"
    assert sum(report.rolled_back for report in reports) <= 5


@pytest.mark.parametrize("diversity", [False, True])
def test_exact_may_become_certain(few_molecules: Path, diversity: bool) -> None:
    _, reports = ran(
        few_molecules, "exact", learning_rate=0.1, max_length=4, max_steps=45, diversity=diversity,
        diversity_min_score=0.99,
    )  # fmt: skip
    assert not any(report.rolled_back for report in reports)
    if not diversity:
        assert reports[-1].entropy < 0.05 * reports[0].entropy


# -- what is kept, and what is gone back to ----------------------------------------------------------------


class Watched:
    """A guard, the method it guards, which really steps, and what was said."""

    def __init__(self, prior: Path, estimator: str = "tb", **settings: Any) -> None:
        policy, _ = load_policy(prior)
        chosen = {"batch_size": 32, "max_length": 8, "learning_rate": 0.01, **settings}
        self.settings = OptimizeSettings.of(estimator=estimator, **chosen)
        self.method = Method(self.settings, policy.clone(), policy)
        self.said: list[str] = []
        self.guard = Guard(self.method, self.said.append)
        self.step = 0
        self.states: dict[int, list[Tensor]] = {0: self.state()}

    def state(self) -> list[Tensor]:
        weights = [part.detach().clone() for part in self.method.agent.network.parameters()]
        moments = [
            value.clone() for of in self.method.update.optimizer.state.values() for value in of.values()
        ]
        return [*weights, self.method.log_z.detach().clone(), *moments]

    @property
    def rate(self) -> float:
        return float(self.method.update.optimizer.param_groups[0]["lr"])

    def goes(self, steps: int = 1, **seen: float) -> list[bool]:
        """Whether the guard went back after each of so many real steps, of which it was told this."""
        return [self._go(**seen) for _ in range(steps)]

    def _go(self, **seen: float) -> bool:
        drawn = self.method.draw(first_index=self.step * self.settings.batch_size, again=[])
        rewards = np.array(nitrogens(self.method.agent.decode(drawn)))
        self.method.learn(rewarded(self.method.read(drawn, []), range(len(rewards)), rewards, []))
        self.step += 1
        self.states[self.step] = self.state()
        return self.guard.look(report(self.step, **seen))


def report(step: int, **seen: float) -> StepReport:
    rest = dict.fromkeys(("calls", "top10_mean", "new", "failed", "loss", "gradient_norm"), 0)
    rest |= dict.fromkeys(("agent_nll", "prior_kl", "replayed", "scaffolds"), 0)
    return StepReport(step=step, **{**rest, **WELL, **seen})  # type: ignore[arg-type]


def same(first: Sequence[Tensor], second: Sequence[Tensor]) -> bool:
    return len(first) == len(second) and all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_it_goes_back_to_a_state_whose_molecules_were_good(small_prior: Path) -> None:
    watched = Watched(small_prior)
    assert not any(watched.goes(20))
    # The state after step 20 was taken when all was well; what it writes then is not.
    assert watched.goes(3, valid=0.1) == [False, False, True]
    assert watched.said == [
        "step 23: only 30% of its molecules are valid; back to the agent after step 10, "
        "learning rate 0.005 from now on"
    ]
    assert same(watched.state(), watched.states[10])
    assert not same(watched.states[10], watched.states[9])
    assert watched.rate == pytest.approx(0.005)


def test_each_return_halves_the_steps_again_and_there_are_five(small_prior: Path) -> None:
    watched = Watched(small_prior)
    watched.goes(14)
    rates = []
    for number in range(5):
        # After a return four steps are looked at anew.
        assert watched.goes(4 if number else 3, valid=0.0)[-1]
        assert same(watched.state(), watched.states[10])
        rates.append(watched.rate)
    assert rates == pytest.approx([0.01 / 2**n for n in (1, 2, 3, 4, 5)])
    assert not any(watched.goes(12, valid=0.0))
    assert watched.guard.returns == len(watched.said) == 5


def test_the_optimizer_of_the_beginning_is_a_fresh_one(small_prior: Path) -> None:
    watched = Watched(small_prior)
    watched.goes(1)
    assert watched.goes(3, valid=0.0) == [False, False, True]
    assert same(watched.state(), watched.states[0])
    watched.goes(1)
    moments = list(watched.method.update.optimizer.state.values())
    assert {float(of["step"]) for of in moments} == {1.0}


def test_the_trust_region_shrinks_where_steps_go_by_it(small_prior: Path) -> None:
    watched = Watched(small_prior, "trpo", trust_region=0.01, cg_iterations=1)
    watched.goes(1)
    watched.goes(3, valid=0.0)
    assert watched.said[0].endswith("trust region 0.005 from now on")
    watched.goes(4, valid=0.0)
    assert watched.said[1].endswith("trust region 0.0025 from now on")


# -- what is a collapse --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        ({"valid": 0.4, "unique": 0.4}, "only 40% of its molecules are valid"),
        ({"valid": 0.5, "unique": 0.45}, ""),
        ({"unique": 0.07}, "only 7% of its molecules are different ones"),
        ({"unique": 0.1}, ""),
        ({"unique": 0.3, "entropy": 0.04}, "it has no choice left (0.040 nats an action)"),
        ({"unique": 0.3, "entropy": 0.06}, ""),
        ({"unique": 0.3, "entropy": math.nan}, ""),
        # All it draws is different each time, as from an enumeration.
        ({"entropy": 0.0}, ""),
        # Repeated, discounted, and the best there is.
        ({"unique": 0.03, "mean_score": 0.89}, "only 3% of its molecules are different ones"),
    ],
)
def test_a_collapse_by_its_signs(small_prior: Path, seen: dict[str, float], reason: str) -> None:
    watched = Watched(small_prior)
    watched.guard.look(report(1))
    # Until the window of four has seen nothing else.
    back = any(watched.guard.look(report(step, **seen)) for step in (2, 3, 4, 5))
    assert back == bool(reason)
    said = [line.split(": ")[1].split(";")[0] for line in watched.said]
    # The first report, which was good, may be among the four.
    assert [re.sub(r"[0-9.]+", "", one) for one in said] == (
        [re.sub(r"[0-9.]+", "", reason)] if reason else []
    )


@pytest.mark.parametrize(("score", "back"), [(0.88, False), (0.8, True)])
def test_without_a_discount_it_may_repeat_the_best_there_is(
    small_prior: Path, score: float, back: bool
) -> None:
    watched = Watched(small_prior, diversity=False)
    watched.goes(1)
    assert any(watched.guard.look(report(n, unique=0.03, mean_score=score)) for n in range(2, 9)) == back


def test_of_a_prior_that_writes_few_valid_molecules_nothing_is_told_by_them(small_prior: Path) -> None:
    watched = Watched(small_prior)
    seen = {"valid": 0.15, "unique": 0.15}
    assert not any(watched.guard.look(report(n, **seen)) for n in range(1, 6))
    assert not any(watched.guard.look(report(n, **{**seen, "valid": 0.02})) for n in range(6, 12))


def test_small_batches_are_looked_at_in_greater_number(small_prior: Path) -> None:
    watched = Watched(small_prior, batch_size=2)
    # Sixteen make the thirty-two molecules of the first look, thirty-two the sixty-four of each look.
    for n in range(1, 41):
        assert not watched.guard.look(report(n))
    seen = [watched.guard.look(report(n, valid=0.0)) for n in range(41, 65)]
    assert seen.index(True) == 16, "a mean of 0.9 * 15 / 32"
