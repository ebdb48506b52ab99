"""What is subtracted from a return so that the gradient varies less and keeps its mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from moldesign.rl.rollout import Rollout

#: (rollout of drawn rows, their returns (B,)) -> (B, 1), or (B, T) where it depends on the state.
Baseline = Callable[[Rollout, Tensor], Tensor]


def no_baseline(_: Rollout, returns: Tensor) -> Tensor:
    """Zeros: plain REINFORCE (Williams 1992)."""
    return torch.zeros_like(returns)[:, None]


def batch_mean(_: Rollout, returns: Tensor) -> Tensor:
    """The mean of the batch, the row itself in it: the gradient shrinks by 1 - 1/B."""
    return returns.mean().expand(len(returns), 1)


def leave_one_out(_: Rollout, returns: Tensor) -> Tensor:
    """Of each row the mean of the others: b_i = sum_{j != i} R_j / (B - 1).

    Independent of the row's own action, hence unbiased (Kool et al. 2019, Buy 4 REINFORCE samples,
    get a baseline for free, eq. 8). Zero for a batch of one.
    """
    return _others(returns, torch.ones_like(returns))


def least_variance(rollout: Rollout, returns: Tensor) -> Tensor:
    """The constant of least variance, estimated from the other rows: sum_j w_j R_j / sum_j w_j.

    w_j is the squared norm of grad log pi(x_j) (Weaver & Tao 2001, The optimal reward baseline for
    gradient-based reinforcement learning, eq. 7; Greensmith et al. 2004, theorem 13), here in the logits:
    sum_t |onehot(a_t) - pi(. | s_t)|^2. That of the weights would take a backward pass a row.
    """
    assert rollout.distribution is not None  # as `Method` asked for
    pi = rollout.distribution.detach().exp()
    of_action = rollout.log_probs.detach().exp()
    squared = (1.0 - 2.0 * of_action + (pi**2).sum(2)) * rollout.valid_steps
    return _others(returns, squared.sum(1))


def greedy(rollout: Rollout, returns: Tensor) -> Tensor:
    """The reward of the molecule that the agent writes if each action is its likeliest.

    Self-critical sequence training (Rennie et al. 2017, eq. 9).
    """
    assert rollout.probe is not None  # as `Method` drew it
    return torch.full_like(returns, rollout.probe)[:, None]


def _others(returns: Tensor, weights: Tensor) -> Tensor:
    """(B, 1) of each row the weighted mean of the others' returns; zero where there is no other."""
    if len(returns) < 2:
        return torch.zeros_like(returns)[:, None]
    # In full precision: what is left without the row may be little beside the row.
    exact, weights = returns.double(), weights.double().clamp(min=0.0)
    total, rest = weights.sum(), weights.sum() - weights
    mean = ((weights * exact).sum() - weights * exact) / rest.clamp(min=1e-300)
    plain = (exact.sum() - exact) / (len(exact) - 1)
    return torch.where(rest > 1e-6 * total, mean, plain).to(returns.dtype)[:, None]


@dataclass
class MovingAverage:
    """The exponential moving average of the mean return of earlier batches.

    The current batch is not in it, hence unbiased. The first batch, which has no past, takes
    the leave-one-out mean.
    """

    decay: float = 0.9
    value: Tensor | None = None

    def __call__(self, rollout: Rollout, returns: Tensor) -> Tensor:
        # On the rewards' device: nobody needs the number here.
        mean = returns.mean()
        if self.value is None:
            self.value = mean
            return leave_one_out(rollout, returns)
        baseline = self.value.expand(len(returns), 1)
        self.value = self.decay * self.value + (1 - self.decay) * mean
        return baseline


#: Those that are functions of the batch. "value" is that of a critic: rl/methods.py.
BASELINES: dict[str, Callable[[], Baseline]] = {
    "none": lambda: no_baseline,
    "moving-average": MovingAverage,
    "batch-mean": lambda: batch_mean,
    "leave-one-out": lambda: leave_one_out,
    "greedy": lambda: greedy,
    "least-variance": lambda: least_variance,
}
