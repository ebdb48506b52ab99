"""What a step learns from: the batch that was drawn and, behind it, remembered molecules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from moldesign.language.tokenizer import PAD_INDEX
from moldesign.policy.policy import Policy
from moldesign.policy.trajectories import Sequences
from moldesign.rl.memory import Remembered


@dataclass(frozen=True)
class Rollout:
    """A batch of B rows, the first `drawn` of them drawn for this step, as agent and prior see them.

    Attributes:
        tokens: (B, T) int64, PAD_INDEX after the end.
        log_probs: (B, T) nats, differentiable; of each action under the agent, zero after the end.
        prior_log_probs: (B, T) nats; the same under the prior.
        drawing_log_probs: (B, T) nats; under the policy that wrote the row, when it did.
        rewards: (B,) after the diversity discount.
        advantages: (B, T) or (B, 1), no gradient; zeros until they are weighed.
        drawn: how many rows were drawn; those behind them are out of the replay memory.
        distribution: (B, T, V) nats, differentiable; of every action under the agent. None unless read.
        prior_distribution: (B, T, V) nats. None unless read.
        states: (B, T, H) of the agent, before each action; without gradient. None unless read.
        action_values: (B, T, V) of a critic, no gradient. None until a rollout is weighed that has them.
        probe: reward of the greedy rollout. None unless drawn.
    """

    tokens: Tensor
    log_probs: Tensor
    prior_log_probs: Tensor
    drawing_log_probs: Tensor
    rewards: Tensor
    advantages: Tensor
    drawn: int
    distribution: Tensor | None = None
    prior_distribution: Tensor | None = None
    states: Tensor | None = None
    action_values: Tensor | None = None
    probe: float | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def valid_steps(self) -> Tensor:
        """(B, T) bool: where there is an action."""
        return self.tokens != PAD_INDEX

    def rows(self, chosen: Sequence[int]) -> Self:
        """The rollout of some rows, in ascending order."""
        index = torch.tensor(list(chosen), dtype=torch.int64, device=self.tokens.device)
        parts: dict[str, Any] = {
            name: value[index]
            for name, value in ((field.name, getattr(self, field.name)) for field in fields(self))
            if isinstance(value, Tensor)
        }
        return replace(self, **parts, drawn=sum(row < self.drawn for row in chosen))

    @property
    def on_policy(self) -> Self:
        """The drawn rows alone."""
        return self.rows(range(self.drawn))


def read(
    agent: Policy,
    prior: Policy,
    drawn: Sequences,
    again: Sequence[Remembered],
    *,
    distribution: bool = False,
    states: bool = False,
) -> Rollout:
    """What agent and prior make of B drawn sequences and, behind them, of R remembered molecules.

    Needs no rewards, which are NaN: workers score meanwhile. The prior reads what was drawn only: what it
    thinks of a remembered molecule is remembered with it. What the agent computed while it drew is not
    computed again.

    Args:
        distribution, states: whether these are wanted.
    """
    tokens = drawn.tokens
    # Of remembered molecules the prior's distribution is not known: where it is wanted all are read.
    known = [] if distribution else again
    everything = _behind(tokens, remembered_tokens(again, tokens.device), PAD_INDEX) if again else tokens
    if distribution:
        with torch.no_grad():
            by_prior = prior.read(everything, distribution=True)
        prior_log_probs, prior_distribution = by_prior.log_probs, by_prior.distribution
    else:
        prior_log_probs, prior_distribution = prior.score(tokens), None
    if known:
        prior_log_probs = _behind(prior_log_probs, _padded([row.prior_log_probs for row in known]), 0.0)
    by_agent = agent.read(everything, drawn.reading, distribution=distribution, states=states)
    reshaped = drawn.reshaped_log_probs
    drawing = by_agent.log_probs.detach()[: len(tokens), : tokens.shape[1]]
    if reshaped is not None:
        drawing = reshaped.to(drawing.dtype)
    if again:
        drawing = _behind(drawing, _padded([row.drawing_log_probs for row in again]), 0.0)
    return Rollout(
        tokens=everything,
        log_probs=by_agent.log_probs,
        prior_log_probs=prior_log_probs,
        drawing_log_probs=drawing,
        rewards=torch.full((len(everything),), torch.nan, device=tokens.device),
        advantages=torch.zeros((len(everything), 1), device=tokens.device),
        drawn=len(tokens) - drawn.probes,
        distribution=by_agent.distribution,
        prior_distribution=prior_distribution,
        states=by_agent.states,
    )


def rewarded(
    rollout: Rollout, rows: Sequence[int], rewards: np.ndarray, again: Sequence[Remembered]
) -> Rollout:
    """The rollout of those drawn rows that have a reward, the remembered molecules behind them.

    Args:
        rollout: as `read` gives it. rewards: (len(rows),).
    """
    asked = len(rollout) - len(again)
    samples = [row for row in rows if row < rollout.drawn]
    known = torch.full((len(rollout),), torch.nan)
    known[list(rows)] = torch.as_tensor(rewards, dtype=torch.float32)
    known[asked:] = torch.tensor([row.reward for row in again])
    # What failed as a probe is worth nothing, as what is no molecule.
    probe = float(known[asked - 1].nan_to_num()) if asked > rollout.drawn else None
    whole = replace(rollout, rewards=known.to(rollout.tokens.device), probe=probe)
    return whole.rows([*samples, *range(asked, len(rollout))])


def reread(agent: Policy, rollout: Rollout) -> Rollout:
    """The same rows as the agent sees them now; everything else as it was."""
    forward = agent.read(
        rollout.tokens,
        distribution=rollout.distribution is not None,
        states=rollout.states is not None,
    )
    return replace(
        rollout, log_probs=forward.log_probs, distribution=forward.distribution, states=forward.states
    )


def remembered_tokens(again: Sequence[Remembered], device: torch.device) -> Tensor:
    """(R, T) of remembered molecules, as the policy wrote them; (0, 1) of none."""
    if not again:
        return torch.zeros((0, 1), dtype=torch.int64, device=device)
    return _padded([row.tokens for row in again], PAD_INDEX).to(device)


def as_remembered(rollout: Rollout, n: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each of the first n rows what is to be remembered: its tokens, their log-probabilities under the
    prior and under the policy that wrote them, all without padding.

    Args:
        rollout: as `read` gives it.
    """
    lengths = rollout.valid_steps[:n].sum(1).tolist()
    parts = [
        part[:n].detach().cpu().numpy()
        for part in (rollout.tokens, rollout.prior_log_probs, rollout.drawing_log_probs)
    ]
    # Copies: a view would keep its whole batch.
    return [
        (parts[0][i, :n].copy(), parts[1][i, :n].copy(), parts[2][i, :n].copy())
        for i, n in enumerate(lengths)
    ]


def _padded(rows: Sequence[np.ndarray], fill: float = 0.0) -> Tensor:
    """(R, T): rows of any length, filled up to that of the longest."""
    return pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True, padding_value=fill)


def _behind(first: Tensor, rows: Tensor, fill: float) -> Tensor:
    """(B + R, T): both, one behind the other, filled up to one length."""
    width = max(first.shape[1], rows.shape[1])
    parts = (F.pad(part, (0, width - part.shape[1]), value=fill) for part in (first, rows.to(first.device)))
    return torch.cat([*parts])
