"""How a loss becomes a step, and several steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from moldesign.errors import NonFiniteTrainingError
from moldesign.rl.rollout import Rollout
from moldesign.rl.updates import Update, epochs, once


def update_of(weights: list[float], *, clip_norm: float = 100.0) -> tuple[Update, Tensor]:
    layer = nn.Linear(len(weights), 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([weights]))
    return Update(layer, learning_rate=0.1, clip_norm=clip_norm), layer.weight


def test_a_step_goes_down_the_loss_and_tells_the_norm_before_clipping() -> None:
    update, weight = update_of([1.0, 1.0], clip_norm=0.5)
    norm = update.step((weight * torch.tensor([3.0, -4.0])).sum())
    assert norm == pytest.approx(5.0)
    torch.testing.assert_close(weight.grad, torch.tensor([[0.3, -0.4]]), rtol=1e-4, atol=0)
    # The first step of Adam is the learning rate against the sign of the gradient.
    torch.testing.assert_close(weight.detach(), torch.tensor([[0.9, 1.1]]), rtol=1e-4, atol=0)


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_moves_nothing(factor: float) -> None:
    update, weight = update_of([1.0, 2.0])
    update.step((weight * factor).sum())
    assert weight.tolist() == [[1.0, 2.0]]
    update.step(weight.sum())
    torch.testing.assert_close(weight.detach(), torch.tensor([[0.9, 1.9]]), rtol=1e-4, atol=0)


def test_several_in_a_row_end_the_run() -> None:
    update, weight = update_of([1.0])
    for _ in range(4):
        update.step((weight * float("nan")).sum())
    update.step(weight.sum())
    for _ in range(4):
        update.step((weight * float("nan")).sum())
    with pytest.raises(NonFiniteTrainingError, match="5 steps in a row"):
        update.step((weight * float("nan")).sum())


@pytest.mark.parametrize("which", [0, 1, 2])
def test_weights_that_are_not_finite_end_the_run(which: int) -> None:
    layers = nn.Sequential(*(nn.Linear(2, 1, bias=False) for _ in range(3)))
    update = Update(layers, learning_rate=1e39, clip_norm=100.0)
    weight = list(layers.parameters())[which]
    with pytest.raises(NonFiniteTrainingError, match="weights are no longer finite"):
        update.step(weight.sum())


def test_slower_from_now_on() -> None:
    update, weight = update_of([1.0])
    assert update.slow_down(0.5) == pytest.approx(0.05)
    update.step(weight.sum())
    assert weight.item() == pytest.approx(0.95)
    assert update.slow_down(0.5) == pytest.approx(0.025)


def test_other_parameters_have_their_own_rate_and_are_not_clipped() -> None:
    layer, other = nn.Linear(1, 1, bias=False), nn.Parameter(torch.tensor(1.0))
    begin = float(layer.weight.detach())
    update = Update(layer, learning_rate=0.1, clip_norm=0.5, others=[(other, 0.3)])
    norm = update.step((3.0 * layer.weight).sum() + 40.0 * other)
    # The norm is that of the network's alone, and what was clipped is, too.
    assert norm == pytest.approx(3.0)
    assert layer.weight.grad is not None
    assert layer.weight.grad.item() == pytest.approx(0.5, rel=1e-4)
    assert other.grad is not None
    assert other.grad.item() == 40.0
    assert layer.weight.item() == pytest.approx(begin - 0.1, rel=1e-4)
    assert other.item() == pytest.approx(0.7, rel=1e-4)
    # Slower is the network.
    update.slow_down(0.1)
    update.step((3.0 * layer.weight).sum() + 40.0 * other)
    assert layer.weight.item() == pytest.approx(begin - 0.11, rel=1e-3)
    assert other.item() == pytest.approx(0.4, rel=1e-3)


def test_one_step_tells_the_loss_before_it(rollout_of: Callable[..., Rollout]) -> None:
    update, weight = update_of([2.0])
    learned = once(update, lambda _: (3.0 * weight).sum(), rollout_of([[-1.0]]))
    assert (learned.loss, learned.facts) == (6.0, {})
    assert learned.gradient_norm == pytest.approx(3.0)
    assert weight.item() == pytest.approx(1.9)


class Coin:
    """One action a row, of log-probability w; steps go up by the learning rate."""

    def __init__(self, rollout: Rollout, learning_rate: float) -> None:
        self.update, self.weight = update_of([-1.0])
        self.update.slow_down(learning_rate / 0.1)
        self.rollout = rollout
        self.losses: list[float] = []

    def reread(self, rollout: Rollout) -> Rollout:
        return replace(rollout, log_probs=self.weight.expand(len(rollout), 1))

    def loss(self, rollout: Rollout) -> Tensor:
        value = -rollout.log_probs.sum()
        self.losses.append(float(value.detach()))
        return value

    def epochs(self, n: int, target_kl: float | None) -> dict[str, float]:
        learned = epochs(
            self.update, self.loss, self.reread(self.rollout), self.reread,
            n=n, clip_ratio=0.15, target_kl=target_kl,
        )  # fmt: skip
        assert learned.loss == self.losses[0]
        assert learned.gradient_norm == pytest.approx(len(self.rollout))
        return learned.facts


def test_epochs_step_on_the_same_rows_and_tell_what_is_clipped(rollout_of: Callable[..., Rollout]) -> None:
    # Drawn at -1 and -0.9: the ratios are exp(0.1) and 1 after a step, exp(0.2) and exp(0.1) after two.
    drawn = rollout_of([[-1.0], [-0.9]])
    coin = Coin(drawn, 0.1)
    assert coin.epochs(2, None) == {"clip_fraction": 0.0, "epochs": 2.0}
    assert coin.losses == pytest.approx([2.0, 1.8])
    assert coin.weight.item() == pytest.approx(-0.8)
    coin = Coin(drawn, 0.1)
    # exp(0.2) is further from 1 than 0.15, exp(0.1) is not.
    assert coin.epochs(3, None) == {"clip_fraction": 0.5, "epochs": 3.0}
    assert coin.weight.item() == pytest.approx(-0.7, rel=1e-3)


def test_epochs_end_where_the_policy_has_gone_too_far(rollout_of: Callable[..., Rollout]) -> None:
    drawn = rollout_of([[-1.0]])
    # rho - 1 - log rho after one step of 0.1: 0.00517; after two: 0.0214.
    after = [math.exp(0.1 * steps) - 1.0 - 0.1 * steps for steps in (1, 2)]
    coin = Coin(drawn, 0.1)
    assert coin.epochs(9, (after[0] + after[1]) / 2)["epochs"] == 2.0
    assert coin.weight.item() == pytest.approx(-0.8)
    coin = Coin(drawn, 0.1)
    assert coin.epochs(9, 0.9 * after[0])["epochs"] == 1.0
    # It counts from where the epochs began, wherever the batch was drawn.
    coin = Coin(replace(drawn, drawing_log_probs=torch.tensor([[-5.0]])), 0.1)
    assert coin.epochs(9, (after[0] + after[1]) / 2)["epochs"] == 2.0
