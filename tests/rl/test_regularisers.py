"""What is added to a loss, against numbers worked by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from moldesign.rl.regularisers import REGULARISERS, needs_distribution, regularised
from moldesign.rl.rollout import Rollout
from moldesign.rl.settings import OptimizeSettings


def batch(make: Callable[..., Rollout]) -> Rollout:
    """A drawn row of two actions, each one of two that the agent holds for 1/4 and 3/4 and the prior for
    1/2 each; behind it a replayed row, which has no part."""
    rows = make([[-1.0, -3.0], [-9.0, -9.0]], drawn=1)
    agent, prior = torch.full((2, 2, 6), -1e4), torch.full((2, 2, 6), -1e4)
    agent[:, :, 4:] = torch.tensor([0.25, 0.75]).log()
    prior[:, :, 4:] = torch.tensor([0.5, 0.5]).log()
    return replace(rows, distribution=agent, prior_distribution=prior)


ENTROPY = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
REVERSE = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
FORWARD = 0.5 * math.log(2.0) + 0.5 * math.log(2 / 3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("entropy_coefficient", -2 * ENTROPY),
        ("reverse_kl_coefficient", 2 * REVERSE),
        ("forward_kl_coefficient", 2 * FORWARD),
        ("likelihood_coefficient", 0.25),  # -1 / -4
    ],
)
def test_each_by_hand(rollout_of: Callable[..., Rollout], name: str, expected: float) -> None:
    rows = batch(rollout_of)
    assert REGULARISERS[name](rows, torch.ones(1)).item() == pytest.approx(expected, rel=1e-5)
    settings = OptimizeSettings.of(**{name: 0.5})
    assert needs_distribution(settings) == (name != "likelihood_coefficient")
    found = regularised(torch.tensor(1.0), rows, settings).item()
    assert found == pytest.approx(1 + 0.5 * expected, rel=1e-5)


def test_they_add_up_and_none_is_added_unasked(rollout_of: Callable[..., Rollout]) -> None:
    rows = batch(rollout_of)
    settings = OptimizeSettings.of(entropy_coefficient=0.1, forward_kl_coefficient=0.2)
    expected = -0.2 * ENTROPY + 0.4 * FORWARD
    assert float(regularised(torch.tensor(0.0), rows, settings)) == pytest.approx(expected, rel=1e-5)
    assert float(regularised(torch.tensor(3.0), rows, OptimizeSettings.of())) == 3.0
    # A row that counts for a third.
    shared = regularised(torch.tensor(0.0), rows, settings, torch.tensor([1 / 3]))
    assert shared.item() == pytest.approx(expected / 3, rel=1e-5)
    alone = replace(rows.rows([1]), drawn=0)
    assert float(regularised(torch.tensor(3.0), alone, settings)) == 3.0, "nothing was drawn"
