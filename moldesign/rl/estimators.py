"""Log-probabilities and rewards to a scalar loss whose gradient estimates that of the objective.

Every estimator is a pure function of tensors; the table at the end names them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from moldesign.errors import UsageError
from moldesign.language.tokenizer import PAD_INDEX
from moldesign.policy.policy import Policy
from moldesign.policy.trajectories import Sequences
from moldesign.rl.memory import Remembered
from moldesign.rl.settings import OptimizeSettings


@dataclass(frozen=True)
class Rollout:
    """What an estimator sees: the batch drawn from the policy and, behind it, replayed molecules.

    Attributes:
        log_probs: (B, T) nats, differentiable; of each action under the agent, zero after the end.
        prior_log_probs: (B, T) nats; the same under the prior.
        rewards: (B,) in [0, 1], after the diversity discount.
        advantages: (B,) no gradient.
        drawn: how many rows were drawn; those behind them are out of the replay memory.
    """

    log_probs: Tensor
    prior_log_probs: Tensor
    rewards: Tensor
    advantages: Tensor
    drawn: int


def read(
    agent: Policy, prior: Policy, drawn: Sequences, again: Sequence[Remembered]
) -> tuple[Tensor, Tensor]:
    """Log-probabilities (B + R, T), of agent and of prior, of B drawn sequences and R remembered molecules.

    Needs no rewards: workers score meanwhile. The prior reads what was drawn only: what it thinks of a
    remembered molecule is remembered with it. What the agent computed while it drew is not computed again.
    """
    tokens = drawn.tokens
    prior_log_probs = prior.score(tokens)
    if again:
        tokens = _behind(tokens, remembered_tokens(again, tokens.device), PAD_INDEX)
        known = _padded([row.prior_log_probs for row in again], 0.0)
        prior_log_probs = _behind(prior_log_probs, known.to(tokens.device), 0.0)
    return agent.log_probs(tokens, drawn.reading), prior_log_probs


def remembered_tokens(again: Sequence[Remembered], device: torch.device) -> Tensor:
    """(R, T) of remembered molecules, as the policy wrote them; (0, 1) of none."""
    if not again:
        return torch.zeros((0, 1), dtype=torch.int64, device=device)
    return _padded([row.tokens for row in again], PAD_INDEX).to(device)


def as_written(tokens: Tensor, prior_log_probs: Tensor) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each drawn row what is to be remembered: its tokens and their log-probabilities, without padding.

    Args:
        tokens: (B, T). prior_log_probs: as `read` gives them.
    """
    lengths = (tokens != PAD_INDEX).sum(1).tolist()
    written, known = tokens.cpu().numpy(), prior_log_probs[: len(tokens)].cpu().numpy()
    # Copies: a view would keep its whole batch.
    return [(written[i, :n].copy(), known[i, :n].copy()) for i, n in enumerate(lengths)]


def _padded(rows: Sequence[np.ndarray], fill: float) -> Tensor:
    """(R, T): rows of any length, filled up to that of the longest."""
    return pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True, padding_value=fill)


def _behind(first: Tensor, rows: Tensor, fill: float) -> Tensor:
    """(B + R, T): both, one behind the other, filled up to one length."""
    width = max(first.shape[1], rows.shape[1])
    return torch.cat([F.pad(part, (0, width - part.shape[1]), value=fill) for part in (first, rows)])


def roll_out(
    log_probs: Tensor,
    prior_log_probs: Tensor,
    rows: Sequence[int],
    rewards: np.ndarray,
    again: Sequence[Remembered],
) -> Rollout:
    """The rollout of those drawn rows that have a reward (B,), the remembered molecules behind them.

    Advantages are zero until they are weighed.

    Args:
        log_probs, prior_log_probs: as `read` gives them.
    """
    kept = torch.tensor([*rows, *range(len(log_probs) - len(again), len(log_probs))], device=log_probs.device)
    all_rewards = torch.tensor([*rewards, *(row.reward for row in again)], dtype=torch.float32)
    return Rollout(
        log_probs=log_probs[kept],
        prior_log_probs=prior_log_probs[kept],
        rewards=all_rewards.to(log_probs.device),
        advantages=torch.zeros(len(kept), device=log_probs.device),
        drawn=len(rows),
    )


def reinforce(rollout: Rollout) -> Tensor:
    """-mean_i A_i sum_t log pi(a_t | s_t): the log-derivative trick (Williams 1992, eq. 11).

    The gradient of the first rows is unbiased where the baseline does not see its own row;
    replayed rows add self-imitation, each group averaged over itself.
    """
    weighted = rollout.advantages.detach() * rollout.log_probs.sum(1)
    groups = weighted[: rollout.drawn], weighted[rollout.drawn :]
    return -torch.stack([group.mean() for group in groups if len(group)]).sum()


def dap(rollout: Rollout, *, sigma: float) -> Tensor:
    """mean_i (log prior(x_i) + sigma * S_i - log pi(x_i))^2: difference between augmented and posterior.

    Olivecrona et al. 2017, Molecular de-novo design through deep reinforcement learning, eq. 6;
    the loss of REINVENT. Any sequence may be in it, so replayed rows count like drawn ones.
    """
    augmented = rollout.prior_log_probs.sum(1) + sigma * rollout.rewards
    return ((augmented - rollout.log_probs.sum(1)) ** 2).mean()


def prior_kl(rollout: Rollout) -> Tensor:
    """An estimate of KL(pi || prior) in nats a molecule, from the drawn rows; for the record, no gradient."""
    gap = (rollout.log_probs.detach() - rollout.prior_log_probs)[: rollout.drawn].sum(1)
    return gap.mean() if len(gap) else gap.sum()


@dataclass(frozen=True)
class Estimator:
    """An entry of the table: the loss, a line for whoever chooses, and the settings that it reads.

    Attributes:
        off_policy: whether the drawn rows of its loss may be what an earlier agent drew.
    """

    loss: Callable[[Rollout, OptimizeSettings], Tensor]
    description: str
    settings: tuple[str, ...]
    off_policy: bool


ESTIMATORS: dict[str, Estimator] = {
    "dap": Estimator(
        lambda rollout, settings: dap(rollout, sigma=settings.sigma),
        "REINVENT's loss: squared distance to the prior's log-likelihood raised by the score",
        ("sigma",),
        off_policy=True,
    ),
    "reinforce": Estimator(
        lambda rollout, _: reinforce(rollout),
        "score function with a baseline and a KL penalty to the prior; replay by self-imitation",
        ("baseline", "kl_coefficient"),
        off_policy=False,
    ),
}


def chosen(settings: OptimizeSettings) -> Estimator:
    """The estimator of these settings.

    Raises:
        UsageError: it needs what the present agent draws, and the settings give it older batches.
    """
    estimator = ESTIMATORS[settings.estimator]
    if settings.overlap and not estimator.off_policy:
        others = ", ".join(name for name, other in ESTIMATORS.items() if other.off_policy)
        raise UsageError(
            f"overlap: '{settings.estimator}' learns from what the present agent draws, not from a batch "
            f"drawn a step before; leave overlap out, or choose an estimator that allows it: {others}"
        )
    return estimator
