"""The unordered-set estimator against sums over every order in which a set can be drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations, permutations

import pytest
import torch
from torch import Tensor

from moldesign.rl.rollout import Rollout
from moldesign.rl.without_replacement import leave_out_ratios, unordered

PI = [0.4, 0.25, 0.2, 0.1, 0.05]


def of_set(chosen: tuple[int, ...], without: tuple[int, ...] = ()) -> float:
    """The probability that the set is drawn without replacement from what is left when some are taken out."""
    total = 0.0
    for order in permutations(chosen):
        left, probability = 1.0 - sum(PI[i] for i in without), 1.0
        for i in order:
            probability *= PI[i] / left
            left -= PI[i]
        total += probability
    return total


def less(chosen: tuple[int, ...], *taken: int) -> tuple[int, ...]:
    return tuple(i for i in chosen if i not in taken)


@pytest.mark.parametrize("chosen", [(0, 2), (1, 3, 4), (0, 1, 2, 3), (2,), (0, 1, 2, 3, 4)])
def test_ratios_are_those_of_sums_over_all_orders(chosen: tuple[int, ...]) -> None:
    weights, others = leave_out_ratios(torch.tensor([math.log(PI[i]) for i in chosen], dtype=torch.float64))
    whole = of_set(chosen)
    for a, s in enumerate(chosen):
        alone = of_set(less(chosen, s), (s,))
        assert float(weights[a]) == pytest.approx(PI[s] * alone / whole, rel=1e-4)
        for b, t in enumerate(chosen):
            ratio = 1.0 if s == t else of_set(less(chosen, s, t), (s, t)) / alone
            assert float(others[a, b]) == pytest.approx(PI[t] * ratio, rel=1e-4)


def test_of_molecules_each_of_which_is_rare_the_weights_are_equal() -> None:
    log_probs = torch.linspace(-45.0, -15.0, 64, dtype=torch.float64)
    weights, others = leave_out_ratios(log_probs)
    # Without replacement and with it are then the same: 1 / k each, and 1 / (k - 1) of the others.
    torch.testing.assert_close(weights, torch.full((64,), 1 / 64, dtype=torch.float64), rtol=1e-4, atol=0)
    off = others[~torch.eye(64, dtype=torch.bool)]
    torch.testing.assert_close(off, torch.full_like(off, 1 / 63), rtol=1e-4, atol=0)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_the_mean_over_all_sets_is_the_exact_gradient(rollout_of: Callable[..., Rollout], k: int) -> None:
    rewards = torch.tensor([0.1, 0.9, 0.4, 1.0, 0.3])
    pi = torch.tensor(PI)
    mean = torch.zeros(5)
    for chosen in combinations(range(5), k):
        rows = rollout_of([[math.log(PI[i])] for i in chosen])
        loss = unordered(rows, rewards[list(chosen)])
        (gradient,) = torch.autograd.grad(loss, rows.log_probs)
        # What the loss says of log pi(x), through the softmax of five logits.
        weights = torch.zeros(5)
        weights[list(chosen)] = -gradient[:, 0]
        mean += of_set(chosen) * (weights - weights.sum() * pi)
    torch.testing.assert_close(mean, exact(rewards, pi), rtol=1e-3, atol=1e-5)


def exact(rewards: Tensor, pi: Tensor) -> Tensor:
    return pi * (rewards - (pi * rewards).sum())
