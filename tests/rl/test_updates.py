"""One step of the optimizer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from moldesign.errors import NonFiniteTrainingError
from moldesign.rl.updates import Update


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
