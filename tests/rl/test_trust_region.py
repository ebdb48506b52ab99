"""The natural-gradient step against a Fisher matrix worked out in full."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from moldesign.language.tokenizer import SPECIALS, Tokenizer
from moldesign.policy.policy import Policy
from moldesign.policy.settings import Architecture
from moldesign.rl.estimators import surrogate
from moldesign.rl.rollout import Rollout, read, reread
from moldesign.rl.trust_region import Fisher, conjugate_gradients, mean_kl, natural_step

RADIUS = 0.01


@pytest.fixture
def agent() -> Policy:
    policy = Policy.fresh(
        Architecture(layers=1, hidden_size=5, embedding_size=3), Tokenizer([*SPECIALS, "C", "N"]), seed=2
    )
    with torch.no_grad():
        for parameter in policy.network.parameters():
            parameter.mul_(2.0)
    policy.half_precision = False
    return policy


def drawn(agent: Policy) -> Rollout:
    rollout = read(agent, agent, agent.draw(40, seed=1, max_length=6), [], distribution=True)
    # Good is a molecule of many C, the fifth token.
    share = (rollout.tokens == 4).float().mean(1)
    return replace(rollout, advantages=(share - share.mean())[:, None] * rollout.valid_steps)


def in_full(agent: Policy, rollout: Rollout) -> Tensor:
    """(P, P) the mean over steps of sum_a pi(a) grad log pi(a) grad log pi(a)'."""
    assert rollout.distribution is not None
    parameters = list(agent.network.parameters())
    rows = rollout.distribution[rollout.valid_steps]
    total = torch.zeros(())
    for row in rows[:, 2:]:  # padding and start have a probability of zero
        for entry in row:
            parts = torch.autograd.grad(entry, parameters, retain_graph=True)
            gradient = torch.cat([part.flatten() for part in parts])
            total = total + entry.detach().exp() * torch.outer(gradient, gradient)
    return total / len(rows)


def test_products_are_those_of_the_fisher_matrix(agent: Policy) -> None:
    rollout = drawn(agent)
    rollout = reread(agent, rollout.rows(range(6)))
    matrix = in_full(agent, rollout)
    fisher = Fisher(agent, rollout, lambda rows: reread(agent, rows), list(agent.network.parameters()))
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        vector = torch.randn(len(matrix), generator=generator)
        expected = matrix @ vector
        assert float((fisher.product(vector) - expected).norm() / expected.norm()) < 0.01


def test_conjugate_gradients_solve() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn((8, 8), generator=generator)
    matrix, target = root @ root.t() + torch.eye(8), torch.randn(8, generator=generator)
    found = conjugate_gradients(lambda vector: matrix @ vector, target, 20)
    torch.testing.assert_close(matrix @ found, target, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("rows", [40, 10])
def test_a_step_lowers_the_loss_and_stays_within_the_radius(agent: Policy, rows: int) -> None:
    rollout = drawn(agent)
    learned = natural_step(
        agent,
        surrogate,
        rollout,
        lambda rows: reread(agent, rows),
        radius=RADIUS,
        iterations=10,
        damping=1e-3,
        rows=rows,
    )
    with torch.no_grad():
        now = reread(agent, rollout)
    assert 0.2 * RADIUS < mean_kl(rollout, now) <= RADIUS
    assert learned.facts["step_kl"] == pytest.approx(mean_kl(rollout, now))
    assert float(surrogate(now)) < learned.loss - 0.01


def test_without_a_gradient_nothing_moves(agent: Policy) -> None:
    rollout = drawn(agent)
    rollout = replace(rollout, advantages=torch.zeros_like(rollout.advantages))
    before = [parameter.clone() for parameter in agent.network.parameters()]
    learned = natural_step(
        agent,
        surrogate,
        rollout,
        lambda rows: reread(agent, rows),
        radius=RADIUS,
        iterations=3,
        damping=0.1,
        rows=8,
    )
    assert learned.gradient_norm == 0.0
    assert all(torch.equal(a, b) for a, b in zip(before, agent.network.parameters(), strict=True))
