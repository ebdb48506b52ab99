"""How a loss becomes a step: the only modules that move the agent's weights are this and `trust_region`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from moldesign.errors import NonFiniteTrainingError
from moldesign.rl.rollout import Rollout

_MAX_BAD_STEPS = 5

Loss = Callable[[Rollout], Tensor]
#: The same rows as the agent sees them now.
Reread = Callable[[Rollout], Rollout]


@dataclass(frozen=True)
class Learned:
    """What a step did.

    Attributes:
        loss: before the step, of the first epoch if there were several.
        gradient_norm: likewise, before clipping.
        facts: what only some estimators have: fields of StepReport.
    """

    loss: float
    gradient_norm: float
    facts: dict[str, float] = field(default_factory=dict)


class Update:
    """Adam with a clipped gradient; a step whose gradient is not finite is left out.

    Args:
        others: parameters beside the network's, with a learning rate of their own, and not clipped.

    Raises:
        NonFiniteTrainingError: from `step`, when several in a row are not finite, or the weights are not.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        learning_rate: float,
        clip_norm: float,
        others: Sequence[tuple[nn.Parameter, float]] = (),
    ) -> None:
        self.network = network
        self.clip_norm = clip_norm
        groups: list[dict[str, Any]] = [{"params": list(network.parameters())}]
        groups += [{"params": [parameter], "lr": rate} for parameter, rate in others]
        self.optimizer = torch.optim.Adam(groups, lr=learning_rate, fused=True)
        self.bad_steps = 0

    def slow_down(self, factor: float) -> float:
        """Multiply the learning rate of the network by a factor; what it is then."""
        self.optimizer.param_groups[0]["lr"] *= factor
        return float(self.optimizer.param_groups[0]["lr"])

    def finite(self, norm: float) -> bool:
        """Whether the norm of a gradient is finite; several in a row that are not end the run.

        Raises:
            NonFiniteTrainingError: this was one too many.
        """
        if math.isfinite(norm):
            self.bad_steps = 0
            return True
        self.bad_steps += 1
        if self.bad_steps >= _MAX_BAD_STEPS:
            raise NonFiniteTrainingError(
                f"{self.bad_steps} steps in a row without a finite gradient; lower the learning rate"
            )
        return False

    def step(self, loss: Tensor) -> float:
        """Take one step down the loss; the norm of the gradient before clipping."""
        self.optimizer.zero_grad()
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm))
        if self.finite(norm):
            self.optimizer.step()
            # A rate far too high makes them infinite in one step, of a gradient that was not. Looked at
            # together: each look is a wait for the device.
            sums = torch.stack([weights.detach().sum() for weights in self.network.parameters()])
            if not bool(sums.isfinite().all()):
                raise NonFiniteTrainingError("the weights are no longer finite; lower the learning rate")
        return norm


def once(update: Update, loss: Loss, rollout: Rollout) -> Learned:
    """One step."""
    value = loss(rollout)
    norm = update.step(value)
    return Learned(float(value.detach()), norm)


def epochs(
    update: Update,
    loss: Loss,
    rollout: Rollout,
    reread: Reread,
    *,
    n: int,
    clip_ratio: float,
    target_kl: float | None,
) -> Learned:
    """n steps on the same rows, fewer if the policy has gone further than target_kl from where it began.

    The KL is estimated by mean (rho - 1 - log rho) of the actions (Schulman 2020, Approximating KL
    divergence, k3), in nats an action.
    """
    first: Learned | None = None
    kl, clipped, done = 0.0, 0.0, 0
    drawn = rollout.valid_steps.clone()
    drawn[rollout.drawn :] = False
    began = rollout.log_probs.detach().clone()
    for epoch in range(n):
        rows = rollout if epoch == 0 else reread(rollout)
        now = rows.log_probs.detach()
        log_ratio = (now - began)[drawn]
        kl = float((log_ratio.exp() - 1.0 - log_ratio).mean())
        ratio = (now - rows.drawing_log_probs)[rows.valid_steps].exp()
        clipped = float(((ratio - 1.0).abs() > clip_ratio).float().mean())
        if epoch and target_kl is not None and kl > target_kl:
            break
        value = loss(rows)
        norm = update.step(value)
        done += 1
        first = first or Learned(float(value.detach()), norm)
    assert first is not None  # settings have at least one epoch
    return Learned(first.loss, first.gradient_norm, {"clip_fraction": clipped, "epochs": float(done)})
