"""Advantages against numbers worked by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from moldesign.rl.advantages import generalised, normalised, relative, step_rewards, to_go, weighed
from moldesign.rl.baselines import leave_one_out
from moldesign.rl.rollout import Rollout

Make = Callable[..., Rollout]


def test_the_reward_comes_last_and_the_penalty_with_each_action(rollout_of: Make) -> None:
    batch = rollout_of([[-1.0, -2.0], [-3.0]], [[-1.5, -1.0], [-2.0]], rewards=[0.5, 1.0])
    rewards = step_rewards(batch, 0.1)
    # log pi - log prior = 0.5, -1 and -1; the second row ends after its first action.
    torch.testing.assert_close(rewards, torch.tensor([[-0.05, 0.6], [1.1, 0.0]]))
    assert not rewards.requires_grad
    torch.testing.assert_close(to_go(rewards), torch.tensor([[0.55, 0.6], [1.1, 0.0]]))
    assert step_rewards(batch, 0.0).sum(1).tolist() == [0.5, 1.0]


def test_drawn_rows_are_weighed_against_the_others_and_replayed_ones_only_when_better(
    rollout_of: Make,
) -> None:
    batch = rollout_of([[-1.0, -1.0], *[[-1.0]] * 4], rewards=[0.0, 1.0, 2.0, 5.0, 0.5], drawn=3)
    out = weighed(batch, step_rewards(batch, 0.0), leave_one_out)
    # Drawn: R minus the mean of the two others. Replayed: R minus the mean of the drawn, 1, if positive.
    assert out.advantages.tolist() == [[-1.5, -1.5], [0, 0], [1.5, 0], [4, 0], [0, 0]]
    assert not out.advantages.requires_grad


def test_to_go_leaves_out_what_was_before(rollout_of: Make) -> None:
    batch = rollout_of([[-1.0, -1.0], [-1.0, -1.0]], [[-2.0, -1.0], [-1.0, -3.0]], rewards=[1.0, 3.0])
    # Penalised rewards: (-1, 1) and (0, 3 - 2); returns 0 and 1, whose leave-one-out means are 1 and 0.
    out = weighed(batch, step_rewards(batch, 1.0), leave_one_out, reward_to_go=True)
    assert out.advantages.tolist() == [[-1.0, 0.0], [1.0, 1.0]]


def test_replayed_rows_alone_have_nothing_to_be_better_than(rollout_of: Make) -> None:
    batch = rollout_of([[-1.0], [-1.0]], rewards=[1.0, 2.0], drawn=0)
    assert weighed(batch, step_rewards(batch, 0.0), leave_one_out).advantages.tolist() == [[0.0], [0.0]]


def test_generalised_advantages_by_hand() -> None:
    rewards = torch.tensor([[0.0, 0.0, 1.0], [0.0, 2.0, 0.0]])
    values = torch.tensor([[0.5, 0.6, 0.8], [1.0, 1.5, 9.0]])
    valid = torch.tensor([[True, True, True], [True, True, False]])
    found = generalised(rewards, values, valid, gamma=0.9, lam=0.5)
    # Row 1: delta = (0.9 * 0.6 - 0.5, 0.9 * 0.8 - 0.6, 1 - 0.8) = (0.04, 0.12, 0.2);
    # A_t = delta_t + 0.45 A_t+1.
    # Row 2: the value behind its end counts for nothing: delta = (0.9 * 1.5 - 1, 2 - 1.5) = (0.35, 0.5).
    expected = [[0.04 + 0.45 * 0.21, 0.12 + 0.45 * 0.2, 0.2], [0.35 + 0.45 * 0.5, 0.5, 0.0]]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_with_lambda_1_a_generalised_advantage_is_the_return_less_the_value() -> None:
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.rand((4, 6), generator=generator), torch.rand((4, 6), generator=generator)
    valid = torch.arange(6) < torch.tensor([[6], [3], [1], [5]])
    found = generalised(rewards * valid, values, valid, gamma=1.0, lam=1.0)
    torch.testing.assert_close(found, (to_go(rewards * valid) - values) * valid)


def test_relative_and_normalised() -> None:
    assert relative(torch.tensor([1.0, 2.0, 6.0]), divide=False)[:, 0].tolist() == [-2.0, -1.0, 3.0]
    divided = relative(torch.tensor([1.0, 2.0, 6.0]), divide=True)[:, 0]
    torch.testing.assert_close(divided, torch.tensor([-2.0, -1.0, 3.0]) / 7**0.5, rtol=1e-4, atol=0)
    assert relative(torch.tensor([4.0]), divide=True).tolist() == [[0.0]]
    valid = torch.tensor([[True, True], [True, False]])
    out = normalised(torch.tensor([[1.0, 2.0], [6.0, 0.0]]), valid)
    assert out[valid].tolist() == pytest.approx([-2 / 7**0.5, -1 / 7**0.5, 3 / 7**0.5], rel=1e-4)
    assert float(out[1, 1]) == 0.0
