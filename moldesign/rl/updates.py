"""How a loss becomes a step: the only module that touches the optimizer of a run."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from moldesign.errors import NonFiniteTrainingError

_MAX_BAD_STEPS = 5


class Update:
    """Adam with a clipped gradient; a step whose gradient is not finite is left out.

    Raises:
        NonFiniteTrainingError: from `step`, when several in a row are not finite, or the weights are not.
    """

    def __init__(self, network: nn.Module, *, learning_rate: float, clip_norm: float) -> None:
        self.network = network
        self.clip_norm = clip_norm
        self.optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True)
        self._bad_steps = 0

    def step(self, loss: Tensor) -> float:
        """Take one step down the loss; the norm of the gradient before clipping."""
        self.optimizer.zero_grad()
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm))
        if norm != norm or norm == float("inf"):
            self._bad_steps += 1
            if self._bad_steps >= _MAX_BAD_STEPS:
                raise NonFiniteTrainingError(
                    f"{self._bad_steps} steps in a row without a finite gradient; lower the learning rate"
                )
        else:
            self._bad_steps = 0
            self.optimizer.step()
            # A rate far too high makes them infinite in one step, of a gradient that was not. Looked at
            # together: each look is a wait for the device.
            sums = torch.stack([weights.detach().sum() for weights in self.network.parameters()])
            if not bool(sums.isfinite().all()):
                raise NonFiniteTrainingError("the weights are no longer finite; lower the learning rate")
        return norm
