"""Importance weights against numbers worked by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from moldesign.rl.importance import effective_sample_size, ratios, v_trace, weighed
from moldesign.rl.rollout import Rollout

Make = Callable[..., Rollout]


@pytest.fixture
def batch(rollout_of: Make) -> Rollout:
    """Ratios 2 and 3 in the first row, 1/2 in the second, which is shorter."""
    one, two = math.log(0.2), math.log(0.3)
    return rollout_of(
        [[one, two], [math.log(0.1)]], drawing=[[math.log(0.1), math.log(0.1)], [one]], rewards=[1.0, 4.0]
    )


REWARDS = torch.tensor([[0.5, 1.0], [4.0, 0.0]])
BASELINE = torch.tensor([[0.25], [1.0]])


def test_ratios_are_of_each_action_and_1_behind_the_end(batch: Rollout) -> None:
    torch.testing.assert_close(ratios(batch), torch.tensor([[2.0, 3.0], [0.5, 1.0]]))


@pytest.mark.parametrize(
    ("kind", "cap", "expected"),
    [
        # Of the first row w = 6, of the second 1/2; returns less baseline 1.25 and 3.
        ("truncated", 1e9, [[7.5, 7.5], [1.5, 0.0]]),
        ("truncated", 2.0, [[2.5, 2.5], [1.5, 0.0]]),
        ("self-normalised", 1e9, [[7.5 / 3.25, 7.5 / 3.25], [1.5 / 3.25, 0.0]]),
        # w_1 = 2, w_2 = 6: 2 * 0.5 + 6 * 1 - 2 * 0.25, then 6 * 1 - 6 * 0.25.
        ("per-decision", 1e9, [[6.5, 4.5], [1.5, 0.0]]),
        ("per-decision", 2.0, [[2.5, 1.5], [1.5, 0.0]]),
    ],
)
def test_weighed_by_hand(batch: Rollout, kind: str, cap: float, expected: list[list[float]]) -> None:
    out = weighed(batch, REWARDS, BASELINE, kind=kind, cap=cap).advantages
    torch.testing.assert_close(out, torch.tensor(expected))
    assert not out.requires_grad


def test_what_the_present_policy_drew_has_a_weight_of_1(rollout_of: Make) -> None:
    batch = rollout_of([[-1.0, -2.0]], rewards=[1.0])
    for kind in ("truncated", "self-normalised"):
        out = weighed(batch, REWARDS[:1], BASELINE[:1], kind=kind, cap=2.0).advantages
        assert out.tolist() == [[1.25, 1.25]]


def test_v_trace_by_hand(batch: Rollout) -> None:
    values = torch.tensor([[1.0, 2.0], [3.0, 99.0]])
    found, targets = v_trace(batch, REWARDS, values, cap=2.5)
    # rho = 2, 2.5 and 0.5; c = 1, 1 and 0.5.
    # delta: 2 (0.5 + 2 - 1) = 3, 2.5 (1 - 2) = -2.5; 0.5 (4 - 3) = 0.5.
    # v: 1 + 3 + 1 * -2.5 = 1.5 and 2 - 2.5 = -0.5; 3.5. Advantages: 2 (0.5 - 0.5 - 1), 2.5 (1 - 2); 0.5.
    torch.testing.assert_close(targets * batch.valid_steps, torch.tensor([[1.5, -0.5], [3.5, 0.0]]))
    torch.testing.assert_close(found, torch.tensor([[-2.0, -2.5], [0.5, 0.0]]))


def test_on_policy_v_trace_targets_are_the_returns(rollout_of: Make) -> None:
    batch = rollout_of([[-1.0, -2.0]], rewards=[1.0])
    _, targets = v_trace(batch, REWARDS[:1], torch.tensor([[0.3, 0.7]]), cap=1.0)
    torch.testing.assert_close(targets, torch.tensor([[1.5, 1.0]]))


def test_effective_sample_size() -> None:
    assert effective_sample_size(torch.ones(5)) == 5.0
    assert effective_sample_size(torch.tensor([1.0, 0.0, 0.0])) == 1.0
    assert effective_sample_size(torch.tensor([3.0, 1.0])) == pytest.approx(1.6)
