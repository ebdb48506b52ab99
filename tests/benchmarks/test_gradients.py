"""Every estimator against the exact gradient of a language that can be enumerated."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

from moldesign.benchmarks.gradients import (
    CASES,
    KL,
    Case,
    Language,
    Measured,
    Objective,
    measure,
    relative_to,
)
from moldesign.rl import estimators
from moldesign.rl.choices import ESTIMATORS
from moldesign.rl.methods import Method
from moldesign.rl.rollout import Rollout

LENGTH, ESTIMATES, BATCH = 4, 1000, 8
# Of some 700 weights, the furthest of which is looked at.
FURTHEST = 5.0
NAMED = {case.name: case for case in CASES}


@cache
def language() -> Language:
    return Language(length=LENGTH)


@cache
def measured(name: str) -> Measured:
    # What is biased is only looked at, what is not is tested.
    estimates = ESTIMATES if NAMED[name].unbiased else 400
    return measure(NAMED[name], language(), estimates=estimates, batch=BATCH)


def test_the_language_is_whole_and_its_table_is_the_policy_s() -> None:
    world = language()
    everything = torch.arange(len(world.tokens))
    assert len(everything) == sum(4**n for n in range(LENGTH + 1))
    log_probs = world.log_probs(world.table, everything)
    torch.testing.assert_close(log_probs.detach(), world.agent.score(world.tokens))
    assert log_probs.sum(1).exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    valid = (log_probs.sum(1).exp() * (world.rewards > 0)).sum()
    assert 0.4 < float(valid.detach()) < 0.99
    assert float(world.rewards.max()) > 0.4


def test_the_exact_gradient_is_that_of_finite_differences() -> None:
    world = language()
    parameters = list(world.agent.network.parameters())
    exact = world.exact(Objective())
    before = [parameter.detach().clone() for parameter in parameters]
    step = 1e-2 / float(exact.norm())

    def value() -> float:
        sequence, prior = (
            world.agent.score(world.tokens).sum(1),
            world.prior_policy.score(world.tokens).sum(1),
        )
        pi = sequence.double().exp()
        return float((pi * (world.rewards - KL * (sequence - prior))).sum())

    def at(sign: float) -> float:
        with torch.no_grad():
            for parameter, was, part in zip(
                parameters, before, exact.split([p.numel() for p in parameters]), strict=True
            ):
                parameter.copy_(was + sign * step * part.view_as(was))
        return value()

    slope = (at(1.0) - at(-1.0)) / (2 * step)
    at(0.0)
    assert slope == pytest.approx(float(exact @ exact), rel=0.02)


def test_every_estimator_is_measured() -> None:
    # What differs from dap in its memory alone has the loss of dap.
    assert {case.settings["estimator"] for case in CASES} == set(ESTIMATORS) - {"augmented-memory"}


@pytest.mark.parametrize("name", [case.name for case in CASES if case.unbiased])
def test_the_mean_of_many_estimates_is_the_exact_gradient(name: str) -> None:
    found = measured(name)
    assert found.z < FURTHEST
    assert found.bias < 4 * found.bias_error + 1e-5


def broken(case: Case, loss: object = None, **settings: object) -> Measured:
    """The case with another loss, or with other settings than those that its objective supposes."""

    def change(method: Method) -> None:
        if loss is not None:
            method.recipe = replace(method.recipe, loss=loss)  # type: ignore[arg-type]

    return measure(
        replace(case, settings={**case.settings, **settings}),
        language(),
        estimates=1000,
        batch=BATCH,
        change=change,
    )


def wrong_sign(_: Method, rollout: Rollout) -> Tensor:
    return -estimators.reinforce(rollout)


def not_normalised(_: Method, rollout: Rollout) -> Tensor:
    return len(rollout) * estimators.reinforce(rollout)


@pytest.mark.parametrize(
    ("name", "mutant"),
    [
        ("reinforce, leave-one-out", {"loss": wrong_sign}),
        ("reinforce, leave-one-out", {"loss": not_normalised}),
        ("reinforce, leave-one-out", {"kl_coefficient": 0.0}),
        ("dap", {"sigma": 8.0}),
        ("a2c, lambda 1", {"gae_gamma": 0.8}),
        ("off-policy, unbounded weights", {"importance_cap": 0.5}),
    ],
)
def test_a_broken_estimator_is_told_from_a_right_one(name: str, mutant: dict[str, object]) -> None:
    found = broken(NAMED[name], **mutant)
    assert found.z > 7
    assert found.bias > 5 * found.bias_error


def test_action_values_that_know_their_own_rows_are_told() -> None:
    case = NAMED["rao-blackwell"]

    def change(method: Method) -> None:
        weigh = method.recipe.weigh
        assert weigh is not None

        def told(method: Method, rollout: Rollout) -> Rollout:
            found = weigh(method, rollout)
            assert found.action_values is not None
            earned = found.rewards[:, None, None].expand(*found.tokens.shape, 1)
            values = found.action_values.scatter(2, found.tokens[:, :, None], earned)
            return replace(found, action_values=values)

        method.recipe = replace(method.recipe, weigh=told)

    found = measure(case, language(), estimates=800, batch=BATCH, change=change)
    assert found.bias > 5 * found.bias_error


def test_a_baseline_that_sees_its_own_row_shrinks_the_gradient() -> None:
    found = measure(NAMED["reinforce, batch mean"], language(), estimates=1000, batch=2)
    # By 1 - 1 / B.
    assert found.scale == pytest.approx(0.5, abs=0.1)
    assert found.z > 7


def test_variances_are_in_the_order_that_theory_has_them() -> None:
    plain = measured("reinforce, no baseline")

    def variance(name: str) -> float:
        return relative_to(measured(name), plain)

    assert variance("reinforce, leave-one-out") < 0.97
    assert variance("reinforce, value, to go") < variance("reinforce, leave-one-out, to go")
    assert variance("reinforce, leave-one-out, to go") < variance("reinforce, leave-one-out")
    assert variance("off-policy, per decision") < variance("off-policy, unbounded weights")
    assert variance("without-replacement") < 0.95 * variance("reinforce, leave-one-out")
    assert variance("rao-blackwell") < variance("reinforce, leave-one-out")
    assert variance("off-policy, truncated at 2") < variance("off-policy, unbounded weights")
    assert variance("exact") == 0.0


def test_what_is_biased_still_points_uphill() -> None:
    for case in CASES:
        if not case.unbiased:
            assert measured(case.name).cosine > 0.7, case.name
