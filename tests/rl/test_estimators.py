"""Estimators: losses against hand-worked numbers, REINFORCE against the exact gradient of a tiny language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from moldesign.errors import UsageError
from moldesign.language.batches import pad
from moldesign.language.tokenizer import END_INDEX, PAD_INDEX, SPECIALS, Tokenizer
from moldesign.policy.policy import Policy
from moldesign.policy.settings import Architecture
from moldesign.policy.trajectories import Sequences
from moldesign.rl.advantages import kl_penalised, weighed
from moldesign.rl.baselines import BASELINES, Baseline
from moldesign.rl.estimators import (
    ESTIMATORS,
    Rollout,
    as_written,
    chosen,
    dap,
    prior_kl,
    read,
    reinforce,
    roll_out,
)
from moldesign.rl.memory import Remembered
from moldesign.rl.settings import OptimizeSettings


def by_hand(drawn: int = 2) -> Rollout:
    """Three rows with log pi(x) = -3, -3, -1 and log prior(x) = -2.5, -2, -2."""
    return Rollout(
        log_probs=torch.tensor([[-1.0, -2.0], [-3.0, 0.0], [-0.5, -0.5]], requires_grad=True),
        prior_log_probs=torch.tensor([[-1.5, -1.0], [-2.0, 0.0], [-1.0, -1.0]]),
        rewards=torch.tensor([0.5, 1.0, 0.0]),
        advantages=torch.tensor([0.5, -1.0, 2.0]),
        drawn=drawn,
    )


def gradient(loss: Tensor, leaf: Tensor) -> list[list[float]]:
    (out,) = torch.autograd.grad(loss, leaf)
    return [[float(value) for value in row] for row in out]


def test_reinforce_by_hand() -> None:
    batch = by_hand()
    loss = reinforce(batch)
    # Drawn: -(0.5 * -3 + -1 * -3) / 2 = -0.75; replayed: -(2 * -1) / 1 = 2.
    assert loss.item() == pytest.approx(-0.75 + 2.0)
    # Descent raises a row where its advantage is positive: the gradient is -A / (rows of its group).
    assert gradient(loss, batch.log_probs) == [[-0.25, -0.25], [0.5, 0.5], [-2.0, -2.0]]


@pytest.mark.parametrize("drawn", [3, 1, 0])
def test_dap_by_hand_wherever_a_row_is_from(drawn: int) -> None:
    batch = by_hand(drawn)
    loss = dap(batch, sigma=4.0)
    # Augmented: -2.5 + 2, -2 + 4, -2 + 0; less log pi: 2.5, 5, -1; squares: 6.25, 25, 1.
    assert loss.item() == pytest.approx(32.25 / 3)
    # -2 (augmented - log pi) / 3 for every action of the row.
    expected = [[-5 / 3] * 2, [-10 / 3] * 2, [2 / 3] * 2]
    np.testing.assert_allclose(gradient(loss, batch.log_probs), expected, rtol=1e-6)


def test_the_table_reads_its_settings() -> None:
    batch = by_hand()
    settings = OptimizeSettings.of(sigma=4.0)
    assert ESTIMATORS["dap"].loss(batch, settings).item() == pytest.approx(32.25 / 3)
    assert ESTIMATORS["reinforce"].loss(batch, settings).item() == pytest.approx(1.25)
    for estimator in ESTIMATORS.values():
        assert set(estimator.settings) <= set(OptimizeSettings.model_fields)


def test_prior_kl_is_the_mean_log_ratio_of_the_drawn_rows() -> None:
    assert float(prior_kl(by_hand())) == pytest.approx((-0.5 + -1.0) / 2)
    assert float(prior_kl(by_hand(0))) == 0.0


def tiny_policy(seed: int) -> Policy:
    """Two letters, weights large enough that no two sequences are alike."""
    shape = Architecture(layers=1, hidden_size=4, embedding_size=3)
    policy = Policy.fresh(shape, Tokenizer([*SPECIALS, "C", "N"]), seed=seed)
    with torch.no_grad():
        for parameter in policy.network.parameters():
            parameter.mul_(3.0)
    return Policy(policy.network, policy.tokenizer, half_precision=False)


def remembered(agent: Policy, prior: Policy, *written: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each text, drawn in one batch with the others, what is remembered."""
    tokens = agent.encode(written)
    return as_written(tokens, read(agent, prior, Sequences(tokens, None), [])[1])


def test_a_rollout_puts_remembered_molecules_behind_the_drawn_ones() -> None:
    agent, prior = tiny_policy(1), tiny_policy(2)
    # Remembered as it was written, which is not its canonical form; longer than what is drawn now.
    (as_it_was,) = remembered(agent, prior, "NCCC")
    again = [Remembered("CCCN", 0.9, *as_it_was)]
    # The row in the middle has no reward, and no part.
    log_probs = read(agent, prior, Sequences(agent.encode(["CC", "CCC", "N"]), None), again)
    out = roll_out(*log_probs, [0, 2], np.array([0.1, 0.2]), again)
    together = agent.encode(["CC", "N", "NCCC"])
    assert out.log_probs.requires_grad
    assert not out.prior_log_probs.requires_grad
    torch.testing.assert_close(out.log_probs, agent.log_probs(together))
    torch.testing.assert_close(out.prior_log_probs, prior.log_probs(together))
    torch.testing.assert_close(out.rewards, torch.tensor([0.1, 0.2, 0.9]))
    assert out.drawn == 2
    assert out.advantages.tolist() == [0.0, 0.0, 0.0]


class Read:
    """A policy that counts how often it reads by the method of that name, and how many rows."""

    def __init__(self, policy: Policy, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[int] = []
        method = getattr(policy, name)

        def counted(tokens: Tensor, *reading: Any) -> Tensor:
            self.rows.append(len(tokens))
            read: Tensor = method(tokens, *reading)
            return read

        monkeypatch.setattr(policy, name, counted)


def test_the_prior_reads_a_molecule_once_and_what_it_said_is_as_good_as_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent, prior = tiny_policy(1), tiny_policy(2)
    texts = ["CCNCNNC", "C", "NCC", "NNNN"]
    kept = remembered(agent, prior, *texts)
    for text, (tokens, known) in zip(texts, kept, strict=True):
        # Read anew, alone and so without any padding.
        alone = agent.encode([text])
        assert tokens.tolist() == alone[0].tolist()
        torch.testing.assert_close(torch.from_numpy(known), prior.score(alone)[0], rtol=1e-6, atol=1e-6)
        # Copies: a memory that held views would hold whole batches.
        assert tokens.base is None
        assert known.base is None

    again = [Remembered(text, 0.5, *row) for text, row in zip(texts, kept, strict=True)]
    with torch.no_grad():  # the agent has moved since
        for parameter in agent.network.parameters():
            parameter.add_(0.1)
    fresh = agent.encode(["CN", "NCN"])
    by_agent, by_prior = Read(agent, "log_probs", monkeypatch), Read(prior, "score", monkeypatch)
    log_probs, prior_log_probs = read(agent, prior, Sequences(fresh, None), again)
    assert by_agent.rows == [6]
    assert by_prior.rows == [2]
    together = agent.encode(["CN", "NCN", *texts])
    torch.testing.assert_close(log_probs, agent.log_probs(together))
    torch.testing.assert_close(prior_log_probs, prior.score(together), rtol=1e-6, atol=1e-6)


def test_only_what_may_learn_from_older_batches_gets_them() -> None:
    assert chosen(OptimizeSettings.of(estimator="dap", overlap=True)) is ESTIMATORS["dap"]
    assert chosen(OptimizeSettings.of(estimator="reinforce")) is ESTIMATORS["reinforce"]
    with pytest.raises(UsageError, match=r"'reinforce' learns from what the present agent draws.*: dap$"):
        chosen(OptimizeSettings.of(estimator="reinforce", overlap=True))


# -- the exact gradient ------------------------------------------------------------------------------

MAX_TOKENS = 3
BATCHES, BATCH = 1500, 2


@dataclass(frozen=True)
class Language:
    """Every sequence of at most three tokens (15 of them), its likelihoods, and its reward.

    Attributes:
        log_probs, prior_log_probs: (15, 3) nats. rewards: (15,).
        scores: (15, P); of each sequence the gradient of its log pi in the agent's P weights.
        exact: KL coefficient -> (P,) gradient of sum_x pi(x) R(x) - coefficient * KL(pi || prior).
    """

    log_probs: Tensor
    prior_log_probs: Tensor
    rewards: Tensor
    scores: Tensor
    exact: Callable[[float], Tensor]


@cache
def language() -> Language:
    agent, prior = tiny_policy(1), tiny_policy(2)
    letters = range(len(SPECIALS), len(SPECIALS) + 2)
    rows = [[*word, END_INDEX] for length in range(MAX_TOKENS) for word in product(letters, repeat=length)]
    rows += [list(word) for word in product(letters, repeat=MAX_TOKENS)]  # cut off before their end
    tokens = pad(rows)
    assert tokens.shape == (15, 3)
    assert PAD_INDEX in tokens
    parameters = list(agent.network.parameters())
    log_probs, prior_log_probs = agent.log_probs(tokens), prior.score(tokens)
    rewards = torch.rand(15, generator=torch.Generator().manual_seed(3))

    def in_weights(value: Tensor) -> Tensor:
        return torch.cat([g.flatten() for g in torch.autograd.grad(value, parameters, retain_graph=True)])

    def exact(coefficient: float) -> Tensor:
        sequence, prior_sequence = log_probs.sum(1), prior_log_probs.sum(1)
        pi = sequence.exp()
        return in_weights((pi * rewards).sum() - coefficient * (pi * (sequence - prior_sequence)).sum())

    scores = torch.stack([in_weights(row.sum()) for row in log_probs])
    return Language(log_probs.detach(), prior_log_probs, rewards, scores, exact)


def test_the_likelihoods_of_all_sequences_sum_to_one() -> None:
    assert language().log_probs.sum(1).exp().sum().item() == pytest.approx(1.0, abs=1e-6)


def furthest(
    baseline: Baseline,
    *,
    coefficient: float = 0.0,
    against: float | None = None,
    loss: Callable[[Rollout], Tensor] = reinforce,
) -> float:
    """The largest |z| over the weights: mean of many estimates less exact gradient, in standard errors.

    Args:
        against: the KL coefficient of the exact gradient, where another than the estimates'.
    """
    world = language()
    generator = torch.Generator().manual_seed(5)
    pi = world.log_probs.sum(1).exp()
    drawn = torch.multinomial(pi, BATCHES * BATCH, replacement=True, generator=generator)
    log_probs = world.log_probs.clone().requires_grad_(True)
    weights = []
    for rows in drawn.view(BATCHES, BATCH):
        batch = Rollout(
            log_probs[rows], world.prior_log_probs[rows], world.rewards[rows], torch.zeros(BATCH), BATCH
        )
        batch = weighed(batch, kl_penalised(batch, coefficient), baseline)
        # What the loss says of log pi(x) of each sequence; every action of it has the same share.
        weights.append(torch.autograd.grad(loss(batch), log_probs)[0][:, 0])
    # Descent on the loss is ascent on the objective.
    estimates = -torch.stack(weights) @ world.scores
    exact = world.exact(coefficient if against is None else against)
    error = estimates.std(0) / BATCHES**0.5
    moving = error > 1e-9  # some embeddings are never read
    return float(((estimates.mean(0) - exact)[moving] / error[moving]).abs().max())


@pytest.mark.parametrize("coefficient", [0.0, 0.5])
@pytest.mark.parametrize("name", BASELINES)
def test_the_mean_of_many_estimates_is_the_exact_gradient(name: str, coefficient: float) -> None:
    assert furthest(BASELINES[name](), coefficient=coefficient) < 4.5


def test_the_exact_gradient_tells_wrong_estimates_from_right_ones() -> None:
    def sees_its_own_row(rewards: Tensor) -> Tensor:
        return rewards.mean().expand_as(rewards)

    leave_one_out = BASELINES["leave-one-out"]()
    assert furthest(leave_one_out, loss=lambda batch: -reinforce(batch)) > 9, "the sign"
    assert furthest(sees_its_own_row) > 6, "the baseline"
    assert furthest(leave_one_out, coefficient=0.5, against=0.0) > 9, "the penalty"
