"""Advantages against numbers worked by hand."""

from __future__ import annotations

import torch

from moldesign.rl.advantages import kl_penalised, weighed
from moldesign.rl.baselines import leave_one_out
from moldesign.rl.estimators import Rollout


def rollout(rewards: list[float], drawn: int) -> Rollout:
    """Two actions a row: log pi = -3 a row, and log prior = -1, -2, ... row by row."""
    n = len(rewards)
    return Rollout(
        log_probs=torch.tensor([[-1.0, -2.0]] * n, requires_grad=True),
        prior_log_probs=torch.tensor([[-1.0 - row, 0.0] for row in range(n)]),
        rewards=torch.tensor(rewards),
        advantages=torch.zeros(n),
        drawn=drawn,
    )


def test_the_penalty_is_the_log_ratio_to_the_prior() -> None:
    batch = rollout([0.5, 0.5, 0.5, 0.5], 4)
    penalised = kl_penalised(batch, 0.1)
    # log pi - log prior = -3 + 1, -3 + 2, -3 + 3, -3 + 4.
    torch.testing.assert_close(penalised, torch.tensor([0.7, 0.6, 0.5, 0.4]))
    assert not penalised.requires_grad
    assert kl_penalised(batch, 0.0).tolist() == [0.5] * 4


def test_drawn_rows_are_weighed_against_the_others_and_replayed_ones_only_when_better() -> None:
    batch = rollout([0.0, 1.0, 2.0, 5.0, 0.5], 3)
    out = weighed(batch, batch.rewards, leave_one_out)
    # Drawn: R minus the mean of the two others. Replayed: R minus the mean of the drawn, 1, if positive.
    assert out.advantages.tolist() == [-1.5, 0.0, 1.5, 4.0, 0.0]
    assert not out.advantages.requires_grad


def test_replayed_rows_alone_have_nothing_to_be_better_than() -> None:
    batch = rollout([1.0, 2.0], 0)
    assert weighed(batch, batch.rewards, leave_one_out).advantages.tolist() == [0.0, 0.0]
