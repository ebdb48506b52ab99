"""A head on the agent's recurrent state that learns what is to be expected of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

_WIDTH = 128
# Steps that it takes a batch: it has one number to learn a row, and begins knowing nothing.
_STEPS = 4


class Critic(nn.Module):
    """(B, T, H) states -> (B, T, outputs) values; zeros at first.

    Learns from the states as they are: its error does not reach the agent's weights, which belong to
    the policy's gradient alone.

    Args:
        outputs: 1 for the value of a state, the size of the vocabulary for that of each action.
    """

    def __init__(self, hidden_size: int, outputs: int, *, learning_rate: float, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            head = nn.Linear(_WIDTH, outputs)
            self.body = nn.Sequential(nn.Linear(hidden_size, _WIDTH), nn.ReLU(), head)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=learning_rate)

    def forward(self, states: Tensor) -> Tensor:
        """(B, T, outputs) values of states (B, T, H)."""
        values: Tensor = self.body(states)
        return values

    @torch.no_grad()
    def values(self, states: Tensor) -> Tensor:
        """(B, T, outputs) without a gradient."""
        values: Tensor = self(states)
        return values

    def state(self) -> dict[str, Any]:
        """Weights and optimizer."""
        return {"weights": self.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a state."""
        self.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])

    def fit(
        self,
        states: Tensor,
        targets: Tensor,
        valid: Tensor,
        *,
        actions: Tensor | None = None,
        clip: float | None = None,
    ) -> None:
        """Take some steps towards the targets (B, T) of the valid steps, by squared error.

        Args:
            actions: (B, T) which output has the target; None where there is one.
            clip: how far a value may go from where it was before it stops learning (Schulman et al.
                2017; Engstrom et al. 2020, section 3); None for no limit.
        """
        before: Tensor | None = None
        for _ in range(_STEPS):
            every = self(states)
            found = every[..., 0] if actions is None else every.gather(2, actions[:, :, None])[..., 0]
            error = (found - targets) ** 2
            if clip is not None:
                before = found.detach() if before is None else before
                bounded = before + (found - before).clamp(-clip, clip)
                error = torch.maximum(error, (bounded - targets) ** 2)
            self.optimizer.zero_grad()
            error[valid].mean().backward()
            self.optimizer.step()


def explained_variance(values: Tensor, targets: Tensor, valid: Tensor) -> float:
    """1 - Var(target - value) / Var(target) over the valid steps: 1 is perfect, 0 as good as a constant."""
    spread = targets[valid].var()
    if targets[valid].numel() < 2 or not spread > 0:
        return float("nan")
    return float(1.0 - (targets - values)[valid].var() / spread)
