"""The critic: it learns what follows a state, within its bounds, and leaves the agent alone."""

from __future__ import annotations

import math

import pytest
import torch

from moldesign.rl.critic import Critic, explained_variance


def test_it_learns_the_value_of_a_state() -> None:
    generator = torch.Generator().manual_seed(0)
    critic = Critic(6, 1, learning_rate=0.01, seed=0)
    weights = torch.randn(6, generator=generator)
    assert critic(torch.ones(1, 1, 6)).item() == 0.0
    for _ in range(150):
        states = torch.randn((16, 4, 6), generator=generator)
        valid = torch.arange(4) < torch.randint(1, 5, (16, 1), generator=generator)
        # What stands behind an end is no target.
        critic.fit(states, torch.where(valid, states @ weights, 99.0), valid)
    fresh = torch.randn((200, 1, 6), generator=generator)
    every = torch.ones((200, 1), dtype=torch.bool)
    with torch.no_grad():
        found = critic(fresh)[..., 0]
    assert explained_variance(found, fresh @ weights, every) > 0.9


def test_of_actions_only_the_one_taken_learns() -> None:
    critic = Critic(3, 5, learning_rate=0.05, seed=1)
    states, valid = torch.ones((1, 1, 3)), torch.ones((1, 1), dtype=torch.bool)
    for _ in range(50):
        critic.fit(states, torch.tensor([[2.0]]), valid, actions=torch.tensor([[3]]))
    values = critic(states)[0, 0].detach()
    assert float(values[3]) == pytest.approx(2.0, abs=0.05)
    assert float(values[0]) == 0.0


def test_a_clipped_value_stops_where_its_bound_is() -> None:
    states, valid = torch.ones((1, 1, 3)), torch.ones((1, 1), dtype=torch.bool)
    free, bounded = (Critic(3, 1, learning_rate=0.005, seed=2) for _ in range(2))
    free.fit(states, torch.tensor([[5.0]]), valid)
    bounded.fit(states, torch.tensor([[5.0]]), valid, clip=0.1)
    with torch.no_grad():
        assert float(free(states)) > 1.5 * float(bounded(states)) > 0.1


def test_explained_variance() -> None:
    targets, valid = torch.tensor([[1.0, 2.0, 3.0]]), torch.ones((1, 3), dtype=torch.bool)
    assert explained_variance(targets, targets, valid) == 1.0
    assert explained_variance(torch.full((1, 3), 7.0), targets, valid) == 0.0
    assert math.isnan(explained_variance(targets, torch.ones((1, 3)), valid))
