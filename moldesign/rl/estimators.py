"""Log-probabilities and rewards to a scalar loss whose gradient estimates that of the objective.

Every estimator is a pure function of tensors; the table at the end names them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from moldesign.language.tokenizer import PAD_INDEX
from moldesign.policy.policy import Policy
from moldesign.rl.memory import Remembered
from moldesign.rl.settings import OptimizeSettings


@dataclass(frozen=True)
class Rollout:
    """What an estimator sees: the batch drawn from the policy and, behind it, replayed molecules.

    Attributes:
        log_probs: (B, T) nats, differentiable; of each action under the agent, zero after the end.
        prior_log_probs: (B, T) nats; the same under the prior.
        rewards: (B,) in [0, 1], after the diversity discount.
        advantages: (B,) no gradient.
        replayed: (B,) bool; True for rows out of the replay memory.
    """

    log_probs: Tensor
    prior_log_probs: Tensor
    rewards: Tensor
    advantages: Tensor
    replayed: Tensor


def read(agent: Policy, prior: Policy, tokens: Tensor, again: Sequence[Remembered]) -> tuple[Tensor, Tensor]:
    """Log-probabilities (B + R, T), of agent and of prior, of drawn tokens (B, T) and R remembered molecules.

    Needs no rewards: workers score meanwhile.
    """
    if again:
        remembered = agent.encode([row.written for row in again])
        width = max(tokens.shape[1], remembered.shape[1])
        tokens = torch.cat(
            [F.pad(part, (0, width - part.shape[1]), value=PAD_INDEX) for part in (tokens, remembered)]
        )
    return agent.log_probs(tokens), prior.score(tokens)


def roll_out(
    log_probs: tuple[Tensor, Tensor], rows: Sequence[int], rewards: np.ndarray, again: Sequence[Remembered]
) -> Rollout:
    """The rollout of those drawn rows that have a reward (B,), the remembered molecules behind them.

    Advantages are zero until they are weighed.

    Args:
        log_probs: as `read` gives them.
    """
    agent, prior = log_probs
    kept = torch.tensor([*rows, *range(len(agent) - len(again), len(agent))], device=agent.device)
    all_rewards = torch.tensor([*rewards, *(row.reward for row in again)], dtype=torch.float32)
    return Rollout(
        log_probs=agent[kept],
        prior_log_probs=prior[kept],
        rewards=all_rewards.to(agent.device),
        advantages=torch.zeros_like(all_rewards).to(agent.device),
        replayed=(torch.arange(len(kept)) >= len(rewards)).to(agent.device),
    )


def reinforce(rollout: Rollout) -> Tensor:
    """-mean_i A_i sum_t log pi(a_t | s_t): the log-derivative trick (Williams 1992, eq. 11).

    The gradient of the first rows is unbiased where the baseline does not see its own row;
    replayed rows add self-imitation, each group averaged over itself.
    """
    sequence = rollout.log_probs.sum(1)
    weighted = rollout.advantages.detach() * sequence
    groups = [weighted[rows].mean() for rows in (~rollout.replayed, rollout.replayed) if rows.any()]
    return -torch.stack(groups).sum()


def dap(rollout: Rollout, *, sigma: float) -> Tensor:
    """mean_i (log prior(x_i) + sigma * S_i - log pi(x_i))^2: difference between augmented and posterior.

    Olivecrona et al. 2017, Molecular de-novo design through deep reinforcement learning, eq. 6;
    the loss of REINVENT. Any sequence may be in it, so replayed rows count like drawn ones.
    """
    augmented = rollout.prior_log_probs.sum(1) + sigma * rollout.rewards
    return ((augmented - rollout.log_probs.sum(1)) ** 2).mean()


def prior_kl(rollout: Rollout) -> Tensor:
    """An estimate of KL(pi || prior) in nats a molecule, from the drawn rows; for the record, no gradient."""
    fresh = ~rollout.replayed
    gap = rollout.log_probs.detach()[fresh].sum(1) - rollout.prior_log_probs[fresh].sum(1)
    return gap.mean() if len(gap) else torch.zeros(())


@dataclass(frozen=True)
class Estimator:
    """An entry of the table: the loss, a line for whoever chooses, and the settings that it reads."""

    loss: Callable[[Rollout, OptimizeSettings], Tensor]
    description: str
    settings: tuple[str, ...]


ESTIMATORS: dict[str, Estimator] = {
    "dap": Estimator(
        lambda rollout, settings: dap(rollout, sigma=settings.sigma),
        "REINVENT's loss: squared distance to the prior's log-likelihood raised by the score",
        ("sigma",),
    ),
    "reinforce": Estimator(
        lambda rollout, _: reinforce(rollout),
        "score function with a baseline and a KL penalty to the prior; replay by self-imitation",
        ("baseline", "kl_coefficient"),
    ),
}
