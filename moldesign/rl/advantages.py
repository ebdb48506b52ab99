"""Rewards to advantages: how much better than expected a molecule was."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from moldesign.rl.baselines import Baseline
from moldesign.rl.estimators import Rollout


def kl_penalised(rollout: Rollout, coefficient: float) -> Tensor:
    """(B,) rewards less coefficient * (log pi(x) - log prior(x)), without a gradient.

    Their score-function gradient is that of E[R] - coefficient * KL(pi || prior), since
    grad KL = E[(log pi - log prior) grad log pi] (Jaques et al. 2017, Sequence Tutor, eq. 7).
    """
    if coefficient == 0.0:
        return rollout.rewards
    gap = rollout.log_probs.detach().sum(1) - rollout.prior_log_probs.sum(1)
    return rollout.rewards - coefficient * gap


def weighed(rollout: Rollout, rewards: Tensor, baseline: Baseline) -> Rollout:
    """The rollout with its advantages: R - b for drawn rows, max(R - mean R, 0) for replayed ones.

    The policy has moved since it wrote a replayed molecule, so R - b would be biased both ways; the
    positive part only repeats what was better than the policy is now (Oh et al. 2018,
    Self-imitation learning, eq. 2).
    """
    drawn, replayed = rewards[: rollout.drawn], rewards[rollout.drawn :]
    if not len(drawn):
        return replace(rollout, advantages=torch.zeros_like(rewards))
    better = (replayed - drawn.mean()).clamp(min=0.0)
    return replace(rollout, advantages=torch.cat([drawn - baseline(drawn), better]))
