"""Losses against hand-worked numbers. Against the exact gradient: tests/benchmarks/test_gradients.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from moldesign.rl.estimators import (
    all_actions,
    augmented_hill_climb,
    clipped_surrogate,
    dap,
    enumerated,
    hill_climb,
    reinforce,
    surrogate,
    together,
    trajectory_balance,
)
from moldesign.rl.rollout import Rollout

Make = Callable[..., Rollout]


def by_hand(make: Make, drawn: int = 2) -> Rollout:
    """Three rows with log pi(x) = -3, -3, -1 and log prior(x) = -2.5, -2, -2."""
    return make(
        [[-1.0, -2.0], [-3.0], [-0.5, -0.5]],
        [[-1.5, -1.0], [-2.0], [-1.0, -1.0]],
        rewards=[0.5, 1.0, 0.0],
        advantages=[0.5, -1.0, 2.0],
        drawn=drawn,
    )


def gradient(loss: Tensor, leaf: Tensor) -> list[list[float]]:
    (out,) = torch.autograd.grad(loss, leaf)
    return [[float(value) for value in row] for row in out]


def test_reinforce_by_hand(rollout_of: Make) -> None:
    batch = by_hand(rollout_of)
    loss = reinforce(batch)
    # Drawn: -(0.5 * -3 + -1 * -3) / 2 = -0.75; replayed: -(2 * -1) / 1 = 2.
    assert loss.item() == pytest.approx(-0.75 + 2.0)
    # Descent raises a row where its advantage is positive: the gradient is -A / (rows of its group).
    assert gradient(loss, batch.log_probs) == [[-0.25, -0.25], [0.5, 0.5], [-2.0, -2.0]]


def test_together_has_one_group(rollout_of: Make) -> None:
    batch = by_hand(rollout_of)
    assert together(batch).item() == pytest.approx(-(0.5 * -3 + -1 * -3 + 2 * -1) / 3)


@pytest.mark.parametrize("drawn", [3, 1, 0])
def test_dap_by_hand_wherever_a_row_is_from(rollout_of: Make, drawn: int) -> None:
    batch = by_hand(rollout_of, drawn)
    loss = dap(batch, sigma=4.0)
    # Augmented: -2.5 + 2, -2 + 4, -2 + 0; less log pi: 2.5, 5, -1; squares: 6.25, 25, 1.
    assert loss.item() == pytest.approx(32.25 / 3)
    # -2 (augmented - log pi) / 3 for every action of the row.
    expected = [[-5 / 3] * 2, [-10 / 3] * 2, [2 / 3] * 2]
    np.testing.assert_allclose(gradient(loss, batch.log_probs), expected, rtol=1e-6)


def test_the_best_share_is_of_the_drawn_rows_and_replayed_ones_stay(rollout_of: Make) -> None:
    # The better half of two is one: the second row; 25 for it, 1 for the replayed one.
    assert augmented_hill_climb(by_hand(rollout_of), sigma=4.0, top_share=0.5).item() == pytest.approx(13.0)
    assert hill_climb(by_hand(rollout_of), top_share=0.5).item() == pytest.approx((3 + 1) / 2)
    assert hill_climb(by_hand(rollout_of, 3), top_share=0.5).item() == pytest.approx(3.0)
    assert hill_climb(by_hand(rollout_of, 3), top_share=1.0).item() == pytest.approx(7 / 3)


def test_trajectory_balance_by_hand(rollout_of: Make) -> None:
    log_z = torch.tensor(2.0, requires_grad=True)
    loss = trajectory_balance(by_hand(rollout_of), log_z, sigma=4.0)
    # 2 - 3 - 2, 2 - 3 - 4, 2 - 1 - 0: -3, -5, 1.
    assert loss.item() == pytest.approx(35 / 3)
    loss.backward()
    assert log_z.grad is not None
    assert float(log_z.grad) == pytest.approx(2 * (-3 - 5 + 1) / 3)


def test_clipped_surrogate_by_hand(rollout_of: Make) -> None:
    # Ratios 1.5 and 0.5 in the first row, 1.5 in the second, whose advantage is negative.
    drawing = [[math.log(0.2), math.log(0.2)], [math.log(0.2)]]
    batch = rollout_of(
        [[math.log(0.3), math.log(0.1)], [math.log(0.3)]], drawing=drawing, advantages=[2.0, -1.0]
    )
    loss = clipped_surrogate(batch, clip_ratio=0.2)
    # min(3, 2.4) + min(1, 1.6) = 3.4; min(-1.5, -1.2) = -1.5.
    assert loss.item() == pytest.approx(-(3.4 - 1.5) / 2)
    # Where it is clipped there is no gradient: that of the others is -ratio * A / 2.
    np.testing.assert_allclose(gradient(loss, batch.log_probs), [[0.0, -0.5], [0.75, 0.0]], rtol=1e-5)
    assert surrogate(batch).item() == pytest.approx(-(3.0 + 1.0 - 1.5) / 2)


def test_where_nothing_has_moved_the_surrogates_have_the_gradient_of_reinforce(rollout_of: Make) -> None:
    batch = by_hand(rollout_of, 3)
    # Behind an end there is nothing to differentiate.
    expected, steps = np.array(gradient(reinforce(batch), batch.log_probs)), batch.valid_steps.numpy()
    for loss in (surrogate(batch), clipped_surrogate(batch, clip_ratio=0.2)):
        np.testing.assert_allclose(gradient(loss, batch.log_probs), expected * steps, rtol=1e-6)


def test_all_actions_sums_what_the_values_know(rollout_of: Make) -> None:
    # The second of two actions, of probability 1/4, is taken; Q = 2 and 1, of mean 1.75.
    batch = rollout_of([[math.log(0.25)]], advantages=[3.0])
    both = torch.full((1, 1, 6), -1e4)
    both[0, 0, 4:] = torch.tensor([0.75, 0.25]).log()
    both.requires_grad_(True)
    values = torch.zeros((1, 1, 6))
    values[0, 0, 4:] = torch.tensor([2.0, 1.0])
    loss = all_actions(replace(batch, distribution=both, action_values=values))
    # D(taken) = 1 - 1.75 = -0.75: -( (3 + 0.75) log(1/4) + 0.75 * 0.25 - 0.25 * 0.75 ).
    assert loss.item() == pytest.approx(-3.75 * math.log(0.25))
    (by_action,) = torch.autograd.grad(loss, both)
    # d pi(a) / d log pi(a) = pi(a): -0.75 * 0.25 and 0.25 * 0.75.
    assert by_action[0, 0, 4:].tolist() == pytest.approx([-0.1875, 0.1875])


def test_enumerated_weighs_by_probability(rollout_of: Make) -> None:
    batch = rollout_of([[math.log(0.25)], [math.log(0.75)]], advantages=[2.0, 4.0])
    loss = enumerated(batch)
    assert gradient(loss, batch.log_probs) == [[pytest.approx(-0.5)], [pytest.approx(-3.0)]]
