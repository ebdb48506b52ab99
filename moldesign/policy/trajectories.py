"""What a policy has written: sequences of tokens and their log-probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from moldesign.language.tokenizer import END_INDEX, PAD_INDEX


@dataclass(frozen=True)
class Trajectories:
    """A batch of sequences.

    Attributes:
        tokens: (B, T) int64; the actions, end token included, PAD_INDEX after it.
        valid_steps: (B, T) bool; True up to and including the end token.
        log_probs: (B, T) nats; of each action under the policy itself, zero where not valid.
        drawing_log_probs: (B, T) nats; of each action under the distribution that it was drawn from,
            which temperature and top-p have reshaped. Equal to log_probs at temperature 1 and top-p 1.
        finished: (B,) bool; False for a sequence cut off at the maximum length.
    """

    tokens: Tensor
    valid_steps: Tensor
    log_probs: Tensor
    drawing_log_probs: Tensor
    finished: Tensor

    def __len__(self) -> int:
        return int(self.tokens.shape[0])

    @property
    def nll(self) -> Tensor:
        """(B,) nats; the negative log-likelihood of each sequence under the policy."""
        return -self.log_probs.sum(1)


def valid_steps(tokens: Tensor) -> Tensor:
    """(B, T) bool: True up to and including the first end token."""
    ended_before = torch.cumsum(tokens == END_INDEX, 1) - (tokens == END_INDEX).long()
    return (ended_before == 0) & (tokens != PAD_INDEX)
