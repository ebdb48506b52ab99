"""What is subtracted from a reward so that the gradient varies less and keeps its mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

#: (B,) rewards of one batch -> (B,) baselines, none of which depends on its own row's reward.
Baseline = Callable[[Tensor], Tensor]


def no_baseline(rewards: Tensor) -> Tensor:
    """Zeros: plain REINFORCE (Williams 1992)."""
    return torch.zeros_like(rewards)


def leave_one_out(rewards: Tensor) -> Tensor:
    """Of each row the mean of the others: b_i = sum_{j != i} R_j / (B - 1).

    Independent of the row's own action, hence unbiased (Kool et al. 2019, Buy 4 REINFORCE samples,
    get a baseline for free, eq. 8). Zero for a batch of one.
    """
    n = len(rewards)
    if n < 2:
        return torch.zeros_like(rewards)
    return (rewards.sum() - rewards) / (n - 1)


@dataclass
class MovingAverage:
    """The exponential moving average of the mean reward of earlier batches.

    The current batch is not in it, hence unbiased. The first batch, which has no past, takes
    the leave-one-out mean.
    """

    decay: float = 0.9
    value: Tensor | None = None

    def __call__(self, rewards: Tensor) -> Tensor:
        # On the rewards' device: nobody needs the number here.
        mean = rewards.mean()
        if self.value is None:
            self.value = mean
            return leave_one_out(rewards)
        baseline = self.value.expand_as(rewards)
        self.value = self.decay * self.value + (1 - self.decay) * mean
        return baseline


BASELINES: dict[str, Callable[[], Baseline]] = {
    "none": lambda: no_baseline,
    "moving-average": MovingAverage,
    "leave-one-out": lambda: leave_one_out,
}
