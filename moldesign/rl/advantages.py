"""Rewards to advantages: how much better than expected a molecule, or an action, was."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from moldesign.rl.baselines import Baseline
from moldesign.rl.rollout import Rollout


def step_rewards(rollout: Rollout, coefficient: float) -> Tensor:
    """(B, T) the reward at the last action, less coefficient * (log pi - log prior) of each action.

    Their sum over a row is its penalised reward, whose score-function gradient is that of
    E[R] - coefficient * KL(pi || prior), since grad KL = E[(log pi - log prior) grad log pi]
    (Jaques et al. 2017, Sequence Tutor, eq. 7). Without a gradient; zero after the end.
    """
    gap = rollout.log_probs.detach() - rollout.prior_log_probs
    rewards = -coefficient * gap
    last = rollout.valid_steps.sum(1) - 1
    return rewards.scatter_add(1, last[:, None], rollout.rewards[:, None])


def to_go(rewards: Tensor) -> Tensor:
    """(B, T) of each action the sum of the rewards (B, T) from it on: sum_{u >= t} r_u.

    What came before an action it did not cause: leaving that out keeps the mean (Sutton et al. 2000).
    """
    return rewards.flip(1).cumsum(1).flip(1)


def generalised(rewards: Tensor, values: Tensor, valid: Tensor, *, gamma: float, lam: float) -> Tensor:
    """(B, T) generalised advantages: A_t = sum_l (gamma lam)^l delta_{t+l}.

    delta_t = r_t + gamma V(s_{t+1}) - V(s_t), V being 0 after the end (Schulman et al. 2016,
    High-dimensional continuous control using generalized advantage estimation, eq. 16). A_t + V(s_t) is
    the TD(lam) return.

    Args:
        rewards, values: (B, T). valid: (B, T) bool.
    """
    values = values * valid
    after = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], 1)
    delta = (rewards + gamma * after - values) * valid
    out = torch.zeros_like(delta)
    following = torch.zeros_like(delta[:, 0])
    for t in reversed(range(delta.shape[1])):
        following = delta[:, t] + gamma * lam * following
        out[:, t] = following
    return out * valid


def normalised(advantages: Tensor, valid: Tensor, *, centred: bool = True) -> Tensor:
    """Advantages (B, T) divided by their standard deviation over the valid actions, and centred."""
    chosen = advantages[valid]
    if chosen.numel() < 2:
        return advantages
    middle = chosen.mean() if centred else 0.0
    return (advantages - middle) / (chosen.std() + 1e-8) * valid


def relative(returns: Tensor, *, divide: bool) -> Tensor:
    """(B, 1) returns (B,) less their mean, and divided by their standard deviation where asked.

    Group-relative advantages: Shao et al. 2024, DeepSeekMath, section 4.1.2; without the division
    Liu et al. 2025, Understanding R1-zero-like training, which shows it to be a bias.
    """
    if len(returns) < 2:
        return torch.zeros_like(returns)[:, None]
    centred = returns - returns.mean()
    return (centred / (returns.std() + 1e-6) if divide else centred)[:, None]


def weighed(rollout: Rollout, rewards: Tensor, baseline: Baseline, *, reward_to_go: bool = False) -> Rollout:
    """The rollout with its advantages: return - b for drawn rows, max(R - mean R, 0) for replayed ones.

    The policy has moved since it wrote a replayed molecule, so R - b would be biased both ways; the
    positive part only repeats what was better than the policy is now (Oh et al. 2018,
    Self-imitation learning, eq. 2).

    Args:
        rewards: (B, T) as `step_rewards` gives them.
        reward_to_go: of each action only what is earned from it on.
    """
    returns = rewards.sum(1)
    n = rollout.drawn
    advantages = to_go(rewards) if reward_to_go else returns[:, None].expand(rewards.shape).clone()
    if n:
        advantages[:n] -= baseline(rollout.on_policy, returns[:n])
        advantages[n:] = (returns[n:] - returns[:n].mean()).clamp(min=0.0)[:, None]
    else:
        advantages[:] = 0.0
    return replace(rollout, advantages=advantages * rollout.valid_steps)
