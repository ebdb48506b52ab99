"""What tests of estimators share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch

from moldesign.language.tokenizer import PAD_INDEX
from moldesign.rl.rollout import Rollout

Rows = Sequence[Sequence[float]]


@pytest.fixture
def rollout_of() -> Callable[..., Rollout]:
    """Makes a rollout of log pi and log prior of each action; a row may be shorter than the others."""

    def padded(rows: Rows) -> torch.Tensor:
        width = max(len(row) for row in rows)
        return torch.tensor([[*row, *[0.0] * (width - len(row))] for row in rows])

    def make(
        log_probs: Rows,
        prior: Rows | None = None,
        *,
        rewards: Sequence[float] | None = None,
        drawn: int | None = None,
        advantages: Sequence[float] | None = None,
        drawing: Rows | None = None,
        probe: float | None = None,
    ) -> Rollout:
        n = len(log_probs)
        tokens = padded([[5.0] * len(row) for row in log_probs]).long()
        found = padded(log_probs)
        assert PAD_INDEX == 0
        return Rollout(
            tokens=tokens,
            log_probs=found.clone().requires_grad_(True),
            prior_log_probs=found.clone() if prior is None else padded(prior),
            drawing_log_probs=found.clone() if drawing is None else padded(drawing),
            rewards=torch.tensor([0.0] * n if rewards is None else rewards),
            advantages=torch.tensor([[a] for a in advantages] if advantages is not None else [[0.0]] * n),
            drawn=n if drawn is None else drawn,
            probe=probe,
        )

    return make
