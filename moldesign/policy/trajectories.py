"""What a policy has written: sequences of tokens and their log-probabilities."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from moldesign.language.tokenizer import END_INDEX, PAD_INDEX
from moldesign.policy.reading import Reading


@dataclass(frozen=True)
class Sequences:
    """A batch as it was drawn.

    Attributes:
        tokens: (B, T) int64; the actions, end token included, PAD_INDEX after it.
        reshaped_log_probs: (B, T) nats; of each action under the distribution that it was drawn from,
            which temperature and top-p have reshaped, zero after the end. None at temperature 1 and
            top-p 1, where it is the policy itself.
        reading: what the network computed on the way, where that was asked for and kept.
        probes: so many rows at the end are no samples of the policy.
    """

    tokens: Tensor
    reshaped_log_probs: Tensor | None
    reading: Reading | None = field(default=None, kw_only=True, repr=False)
    probes: int = field(default=0, kw_only=True)

    def __len__(self) -> int:
        return int(self.tokens.shape[0])

    @property
    def valid_steps(self) -> Tensor:
        """(B, T) bool; True up to and including the end token."""
        return valid_steps(self.tokens)

    @property
    def finished(self) -> Tensor:
        """(B,) bool; False for a sequence cut off at the maximum length."""
        return (self.tokens == END_INDEX).any(1)


@dataclass(frozen=True)
class Forward:
    """What a network makes of sequences.

    Attributes:
        log_probs: (B, T) nats; of each action, zero after the end.
        distribution: (B, T, V) nats; of each action that there is, those that no policy writes far below all
            others; without meaning after the end. Where it was asked for.
        states: (B, T, H) of the last layer, before each action; without gradient, without meaning after the
            end. Where they were asked for.
    """

    log_probs: Tensor
    distribution: Tensor | None = None
    states: Tensor | None = None


@dataclass(frozen=True)
class Trajectories(Sequences):
    """A batch whose likelihood is known.

    Attributes:
        log_probs: (B, T) nats; of each action under the policy itself in the precision of training,
            zero where not valid.
    """

    log_probs: Tensor

    @property
    def drawing_log_probs(self) -> Tensor:
        """(B, T) nats; of each action under the distribution that it was drawn from."""
        return self.log_probs if self.reshaped_log_probs is None else self.reshaped_log_probs

    @property
    def nll(self) -> Tensor:
        """(B,) nats; the negative log-likelihood of each sequence under the policy."""
        return -self.log_probs.sum(1)


def valid_steps(tokens: Tensor) -> Tensor:
    """(B, T) bool: True up to and including the first end token."""
    ended_before = torch.cumsum(tokens == END_INDEX, 1) - (tokens == END_INDEX).long()
    return (ended_before == 0) & (tokens != PAD_INDEX)
