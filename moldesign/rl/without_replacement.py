"""The gradient of a batch of different molecules, with its built-in baseline."""

from __future__ import annotations

import torch
from torch import Tensor

from moldesign.rl.rollout import Rollout

# Of the grid, and for each root of a set's size: its integrand gets narrower.
_POINTS, _POINTS_A_ROOT = 2000, 60
_LEAST = 1e-12


def unordered(rollout: Rollout, rewards: Tensor) -> Tensor:
    """-sum_s p(s) R(S, s) (f(s) - b_s) log pi(s), b_s = sum_s' p(s') R_without_s(S, s') f(s').

    The unordered-set policy gradient with built-in baseline (Kool et al. 2020, Estimating gradients for
    discrete random variables by sampling without replacement, eq. 17), unbiased.

    Args:
        rollout: of a set S drawn without replacement. rewards: (B,) f, no gradient.
    """
    sequence = rollout.log_probs.sum(1)
    weights, others = leave_out_ratios(sequence.detach().double())
    values = rewards.double()
    # A baseline is made of the others.
    baseline = others @ values if len(values) > 1 else torch.zeros_like(values)
    advantages = (weights * (values - baseline)).to(sequence.dtype)
    return -(advantages * sequence).sum()


def leave_out_ratios(log_probs: Tensor) -> tuple[Tensor, Tensor]:
    """(k,) p(s) R(S, s) and (k, k) p(s') R_without_s(S, s') of a set S of log-probabilities (k,) in float64.

    R(S, s) = p_without_s(S less s) / p(S) (Kool et al. 2020, eq. 10 and 16; with s itself the second is
    p(s)). A set is drawn if each of its Gumbel variables is above the largest of the rest, so p(S) is
    an integral over that largest one (appendix B), here in w = exp(-largest):
    p(S) = integral of prod_s (1 - exp(-p_s w)) (1 - p_S) exp(-(1 - p_S) w) dw, over an even grid of log w.
    """
    p = log_probs.exp()
    rest = (1.0 - p.sum()).clamp(min=_LEAST)
    top = torch.log(torch.maximum(10.0 * len(p) + 50.0 + 0.0 * rest, 50.0 / rest))
    points = max(_POINTS, int(_POINTS_A_ROOT * len(p) ** 0.5))
    log_w = torch.linspace(0.0, 1.0, points, dtype=torch.float64, device=p.device) * (top + 18.0) - 18.0
    w = log_w.exp()
    # x / (1 - exp(-x)), 1 at 0: what an integrand is multiplied by to leave a factor out, over w p.
    x = p[:, None] * w
    left_out = torch.where(x > 1e-8, x / -torch.expm1(-x), 1.0 + x / 2)
    # log(1 - exp(-p w)) = log p + log w - log left_out; the log p are the same everywhere.
    log_integrand = (log_w - left_out.log()).sum(0) - rest * w + log_w
    density = (log_integrand - log_integrand.max()).exp()
    once, twice = density / w, density / w**2
    first = left_out @ once
    second = (left_out * twice) @ left_out.t()
    weights = first / density.sum()
    others = second / first[:, None]
    others = others - torch.diag(others.diagonal()) + torch.diag(p)
    return weights, others
