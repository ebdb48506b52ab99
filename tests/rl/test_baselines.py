"""Baselines against numbers worked by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from moldesign.rl.baselines import BASELINES, Baseline, MovingAverage, least_variance, leave_one_out
from moldesign.rl.rollout import Rollout

Make = Callable[..., Rollout]


def rows(make: Make, n: int, *, probe: float | None = 0.25) -> Rollout:
    """n rows of one action each, of two that are possible; the i-th has a probability of 1 / (i + 2)."""
    pi = torch.tensor([1.0 / (i + 2) for i in range(n)])
    batch = make([[float(p.log())] for p in pi], probe=probe)
    both = torch.stack([1 - pi, pi], 1).log()
    distribution = torch.full((n, 1, 6), -1e4)
    distribution[:, 0, 4:] = both
    return replace(batch, distribution=distribution)


def given(baseline: Baseline, make: Make, returns: list[float]) -> list[float]:
    out: Tensor = baseline(rows(make, len(returns)), torch.tensor(returns))
    assert out.shape == (len(returns), 1)
    return [float(value) for value in out[:, 0]]


def test_leave_one_out_is_the_mean_of_the_others(rollout_of: Make) -> None:
    assert given(leave_one_out, rollout_of, [1.0, 2.0, 6.0]) == [4.0, 3.5, 1.5]
    assert given(leave_one_out, rollout_of, [7.0]) == [0.0]


def test_moving_average_lags_one_batch_behind(rollout_of: Make) -> None:
    baseline = MovingAverage(decay=0.75)
    assert given(baseline, rollout_of, [1.0, 3.0]) == [3.0, 1.0], "no past: the mean of the others"
    assert given(baseline, rollout_of, [6.0, 6.0]) == [2.0, 2.0]
    assert given(baseline, rollout_of, [0.0]) == [0.75 * 2 + 0.25 * 6]


def test_batch_mean_and_greedy(rollout_of: Make) -> None:
    assert given(BASELINES["batch-mean"](), rollout_of, [1.0, 2.0, 6.0]) == [3.0, 3.0, 3.0]
    assert given(BASELINES["greedy"](), rollout_of, [1.0, 2.0]) == [0.25, 0.25]


def test_least_variance_weighs_the_others_by_their_squared_gradient(rollout_of: Make) -> None:
    # Of an action of probability p out of two, |onehot - pi|^2 = 2 (1 - p)^2: 1/2, 8/9 and 9/8.
    first, second, third = 0.5, 8 / 9, 9 / 8
    expected = [
        (second * 2 + third * 6) / (second + third),
        (first * 1 + third * 6) / (first + third),
        (first * 1 + second * 2) / (first + second),
    ]
    assert given(least_variance, rollout_of, [1.0, 2.0, 6.0]) == pytest.approx(expected, rel=1e-5)


def test_one_row_that_weighs_all_is_left_out_as_any_other(rollout_of: Make) -> None:
    # The others are sure of what they did: next to nothing is left, and their plain mean takes its place.
    batch = rollout_of([[-0.7], *[[-1e-9]] * 3])
    distribution = torch.full((4, 1, 6), -1e4)
    distribution[0, 0, 4:] = torch.tensor([0.5, 0.5]).log()
    distribution[1:, 0, 4] = 0.0
    returns = torch.tensor([0.9, 0.2, 0.4, 0.6])
    found = least_variance(replace(batch, distribution=distribution), returns)
    assert float(found[0, 0]) == pytest.approx(0.4, abs=1e-6)
    assert 0.0 <= float(found.min()) <= float(found.max()) <= 1.0


@pytest.mark.parametrize("name", sorted({*BASELINES} - {"batch-mean"}))
@pytest.mark.parametrize("batches_before", [0, 2])
def test_no_baseline_sees_the_reward_of_its_own_row(rollout_of: Make, name: str, batches_before: int) -> None:
    answers = []
    for own in (0.0, 100.0):
        baseline = BASELINES[name]()
        for _ in range(batches_before):
            given(baseline, rollout_of, [0.2, 0.4])
        answers.append(given(baseline, rollout_of, [0.5, own, 0.7])[1])
    assert answers[0] == pytest.approx(answers[1], abs=1e-4), "a sum of float32 that held 100"


def test_every_run_begins_with_a_baseline_of_its_own(rollout_of: Make) -> None:
    given(BASELINES["moving-average"](), rollout_of, [5.0, 5.0])
    assert given(BASELINES["moving-average"](), rollout_of, [1.0, 3.0]) == [3.0, 1.0]
