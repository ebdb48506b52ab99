"""Baselines against numbers worked by hand."""

from __future__ import annotations

import pytest
import torch

from moldesign.rl.baselines import BASELINES, MovingAverage, leave_one_out


def test_leave_one_out_is_the_mean_of_the_others() -> None:
    assert leave_one_out(torch.tensor([1.0, 2.0, 6.0])).tolist() == [4.0, 3.5, 1.5]
    assert leave_one_out(torch.tensor([7.0])).tolist() == [0.0]


def test_moving_average_lags_one_batch_behind() -> None:
    baseline = MovingAverage(decay=0.75)
    assert baseline(torch.tensor([1.0, 3.0])).tolist() == [3.0, 1.0], "no past: the mean of the others"
    assert baseline(torch.tensor([6.0, 6.0])).tolist() == [2.0, 2.0]
    assert baseline(torch.tensor([0.0])).tolist() == [0.75 * 2 + 0.25 * 6]


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("batches_before", [0, 2])
def test_no_baseline_sees_the_reward_of_its_own_row(name: str, batches_before: int) -> None:
    answers = []
    for own in (0.0, 100.0):
        baseline = BASELINES[name]()
        for _ in range(batches_before):
            baseline(torch.tensor([0.2, 0.4]))
        answers.append(float(baseline(torch.tensor([0.5, own, 0.7]))[1]))
    assert answers[0] == pytest.approx(answers[1], abs=1e-4), "a sum of float32 that held 100"


def test_every_run_begins_with_a_baseline_of_its_own() -> None:
    BASELINES["moving-average"]()(torch.tensor([5.0, 5.0]))
    assert BASELINES["moving-average"]()(torch.tensor([1.0, 3.0])).tolist() == [3.0, 1.0]
