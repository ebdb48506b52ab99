"""Weights that make what an earlier policy wrote count as if the present one had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from moldesign.rl.advantages import to_go
from moldesign.rl.rollout import Rollout


def effective_sample_size(weights: Tensor) -> float:
    """(sum w)^2 / sum w^2 of n weights: n if all are alike, 1 if one has everything (Kong 1992)."""
    return float(weights.sum() ** 2 / (weights**2).sum().clamp(min=1e-30)) if len(weights) else 0.0


def ratios(rollout: Rollout) -> Tensor:
    """(B, T) pi / pi_drawing of each action, without a gradient; 1 after the end."""
    return (rollout.log_probs.detach() - rollout.drawing_log_probs).exp()


def truncated(rollout: Rollout, rewards: Tensor, baseline: Tensor, cap: float) -> Tensor:
    """(B, T) min(cap, w) (R - b), w = prod_t rho_t: unbiased for an infinite cap (Ionides 2008)."""
    weights = ratios(rollout).prod(1).clamp(max=cap)
    return weights[:, None] * (rewards.sum(1, keepdim=True) - baseline)


def self_normalised(rollout: Rollout, rewards: Tensor, baseline: Tensor, cap: float) -> Tensor:
    """(B, T) w / mean(w) (R - b): biased by O(1/B), of bounded weights (Owen 2013, section 9.2)."""
    weights = ratios(rollout).prod(1).clamp(max=cap)
    return (weights / weights.mean().clamp(min=1e-30))[:, None] * (rewards.sum(1, keepdim=True) - baseline)


def per_decision(rollout: Rollout, rewards: Tensor, baseline: Tensor, cap: float) -> Tensor:
    """(B, T) sum_{u >= t} w_u r_u - w_t b, w_u = min(cap, rho_1 ... rho_u).

    Each reward is weighed by the actions before it alone (Precup et al. 2000, Eligibility traces for
    off-policy policy evaluation, section 3). Unbiased for an infinite cap.
    """
    weights = ratios(rollout).cumprod(1).clamp(max=cap)
    return to_go(weights * rewards) - weights * baseline


#: (rollout, (B, T) rewards, (B, 1) baseline, cap) -> (B, T) advantages with the weight in them.
WEIGHTINGS: dict[str, Callable[[Rollout, Tensor, Tensor, float], Tensor]] = {
    "truncated": truncated,
    "self-normalised": self_normalised,
    "per-decision": per_decision,
}


def v_trace(rollout: Rollout, rewards: Tensor, values: Tensor, *, cap: float) -> tuple[Tensor, Tensor]:
    """(B, T) advantages and (B, T) targets of the values.

    v_t = V(s_t) + delta_t + c_t (v_{t+1} - V(s_{t+1})), delta_t = rho_t (r_t + V(s_{t+1}) - V(s_t)); the
    advantage is rho_t (r_t + v_{t+1} - V(s_t)), with rho_t and c_t the ratios, at most cap and 1
    (Espeholt et al. 2018, IMPALA, eq. 1 and section 4.2).
    """
    valid = rollout.valid_steps
    ratio = ratios(rollout)
    rho, trace = ratio.clamp(max=cap), ratio.clamp(max=1.0)
    values = values * valid
    after = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], 1)
    delta = rho * (rewards + after - values) * valid
    targets = torch.zeros_like(values)
    excess = torch.zeros_like(values[:, 0])
    for t in reversed(range(values.shape[1])):
        excess = delta[:, t] + trace[:, t] * excess
        targets[:, t] = values[:, t] + excess
    following = torch.cat([targets[:, 1:], torch.zeros_like(values[:, :1])], 1)
    return rho * (rewards + following - values) * valid, targets


def weighed(rollout: Rollout, rewards: Tensor, baseline: Tensor, *, kind: str, cap: float) -> Rollout:
    """The rollout with advantages that have the weight of each row in them; `estimators.together` takes them.

    A row that the present policy drew has a weight of 1.
    """
    advantages = WEIGHTINGS[kind](rollout, rewards, baseline, cap)
    return replace(rollout, advantages=advantages * rollout.valid_steps)
