"""The natural-gradient step: as far as a trust region of KL reaches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from moldesign.policy.policy import Policy
from moldesign.rl.rollout import Rollout
from moldesign.rl.updates import Learned, Loss, Reread

# Of the norm of the weights: how far they are moved to see how the distribution follows.
_PROBE = 1e-3
_BACKTRACKS = 10


def natural_step(
    agent: Policy,
    loss: Loss,
    rollout: Rollout,
    reread: Reread,
    *,
    radius: float,
    iterations: int,
    damping: float,
    rows: int,
    finite: Callable[[float], bool] = math.isfinite,
) -> Learned:
    """Solve F s = g by conjugate gradients, go along s to the radius, and back until the loss has fallen.

    Schulman et al. 2015, Trust region policy optimization, section 6 and appendix C. The step is left out if
    no part of it lowers the loss within the radius.

    Args:
        rollout: with its distribution. radius: the largest mean KL(old || new), in nats an action.
        iterations: of conjugate gradients. damping: of the identity that is added to F.
        rows: of the rollout that F is of; the gradient, the radius and the fall are of all (appendix C.1).
        finite: whether the norm of the gradient is.
    """
    parameters = list(agent.network.parameters())
    value = loss(rollout)
    gradient = _flat(torch.autograd.grad(value, parameters, retain_graph=True))
    norm = float(gradient.norm())
    before = float(value.detach())
    if not finite(norm) or norm == 0:
        return Learned(before, norm, {"step_kl": 0.0})
    fisher = Fisher(agent, reread(rollout.rows(range(min(rows, len(rollout))))), reread, parameters)
    direction = conjugate_gradients(
        lambda vector: fisher.product(vector) + damping * vector, -gradient, iterations
    )
    curvature = float(direction @ (fisher.product(direction) + damping * direction))
    whole = (2.0 * radius / max(curvature, 1e-12)) ** 0.5 * direction
    begin = _flat(parameters).clone()
    for halvings in range(_BACKTRACKS):
        _set(parameters, begin + 0.5**halvings * whole)
        with torch.no_grad():
            now = reread(rollout)
            kl, after = mean_kl(rollout, now), float(loss(now))
        if kl <= radius and after < before:
            return Learned(before, norm, {"step_kl": kl})
    _set(parameters, begin)
    return Learned(before, norm, {"step_kl": 0.0})


class Fisher:
    """Products with the Fisher matrix of the policy over the rollout's states.

    F is the mean over states of sum_a pi(a) grad log pi(a) grad log pi(a)'. With J the Jacobian of the
    log-probabilities, J v is a central difference of two forward passes in full precision; J' u is a backward
    pass.
    """

    def __init__(
        self, agent: Policy, rollout: Rollout, reread: Reread, parameters: list[nn.Parameter]
    ) -> None:
        assert rollout.distribution is not None
        self._agent, self._rollout, self._reread = agent, rollout, reread
        self._parameters = parameters
        self._begin = _flat(parameters).clone()
        self._steps = rollout.valid_steps
        self._pi = rollout.distribution.detach().exp() / self._steps.sum()

    def product(self, vector: Tensor) -> Tensor:
        """(P,) F v of a vector (P,)."""
        size = float(vector.norm())
        if size == 0:
            return torch.zeros_like(vector)
        step = _PROBE * max(float(self._begin.norm()), 1.0) / size
        moved = [self._distribution_at(self._begin + sign * step * vector) for sign in (1.0, -1.0)]
        _set(self._parameters, self._begin)
        along = (moved[0] - moved[1]) / (2.0 * step)
        weights = self._pi * along * self._steps[:, :, None]
        assert self._rollout.distribution is not None
        return _flat(
            torch.autograd.grad(
                self._rollout.distribution, self._parameters, grad_outputs=weights, retain_graph=True
            )
        )

    @torch.no_grad()
    def _distribution_at(self, weights: Tensor) -> Tensor:
        _set(self._parameters, weights)
        half, self._agent.half_precision = self._agent.half_precision, False
        try:
            found = self._reread(self._rollout).distribution
        finally:
            self._agent.half_precision = half
        assert found is not None
        return found


def conjugate_gradients(product: Callable[[Tensor], Tensor], target: Tensor, iterations: int) -> Tensor:
    """(P,) x with A x near to the target (P,), for a positive definite A (Hestenes & Stiefel 1952)."""
    x = torch.zeros_like(target)
    residual, direction = target.clone(), target.clone()
    squared = residual @ residual
    for _ in range(iterations):
        along = product(direction)
        curvature = direction @ along
        if not float(curvature) > 0:
            break
        step = squared / curvature
        x += step * direction
        residual -= step * along
        now = residual @ residual
        if float(now) < 1e-10 * float(target @ target):
            break
        direction = residual + now / squared * direction
        squared = now
    return x


def mean_kl(before: Rollout, after: Rollout) -> float:
    """KL(before || after) of the next action in nats, the mean over all steps."""
    assert before.distribution is not None
    assert after.distribution is not None
    old, new = before.distribution.detach(), after.distribution.detach()
    divergence = (old.exp() * (old - new)).sum(2)
    return float(divergence[before.valid_steps].mean())


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def _set(parameters: list[nn.Parameter], values: Tensor) -> None:
    parts = values.split([parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        # As data: what was computed before is differentiated after, with the weights as they were then.
        parameter.data.copy_(part.view_as(parameter))
