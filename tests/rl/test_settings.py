"""The settings of a run."""

from __future__ import annotations

from typing import Any

import pytest

from moldesign.errors import UsageError
from moldesign.rl import choices
from moldesign.rl.baselines import BASELINES
from moldesign.rl.choices import ESTIMATORS
from moldesign.rl.importance import WEIGHTINGS
from moldesign.rl.recipes import RECIPES
from moldesign.rl.settings import OptimizeSettings


def test_a_run_without_a_limit_gets_a_budget() -> None:
    assert OptimizeSettings.of().budget == 10_000
    assert OptimizeSettings.of(budget=5).budget == 5
    assert OptimizeSettings.of(max_steps=5).budget is None
    assert OptimizeSettings.of(max_hours=0.5).budget is None
    assert OptimizeSettings.of(target=0.5).budget == 10_000, "a target may never be reached"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bugdet": 5}, "unknown setting 'bugdet'; did you mean 'budget'"),
        ({"budget": 0}, "setting 'budget'"),
        ({"estimator": "dpa"}, "unknown estimator 'dpa'; did you mean 'dap'"),
        ({"baseline": "leave-two-out"}, "setting 'baseline': .*one of none, moving"),
        ({"importance": "vtrace"}, "setting 'importance': .*one of truncated"),
        ({"batch_size": "many"}, r"setting 'batch_size'.*'many'"),
        ({"operators": "policy,cross"}, "setting 'operators': .*some of policy, prefix, crossover"),
        ({"operators": "policy,edit,policy"}, "setting 'operators': .*names policy twice"),
        ({"operators": "policy:1,edit"}, "setting 'operators': .*a share to some"),
        ({"operators": "policy:1,edit:-1"}, r"setting 'operators': .*no positive number \(-1\)"),
        ({"acquisition": "usb"}, "setting 'acquisition': .*one of none, greedy, ucb"),
        ({"surrogate_properties": "0,1.5"}, "setting 'surrogate_properties': .*numbers from 0 to 1"),
        ({"surrogate_properties": "0,0.0"}, "setting 'surrogate_properties': .*different numbers"),
        ({"surrogate_properties": "much"}, "setting 'surrogate_properties': .*such as 0.75 or 0,0.75"),
        ({"fingerprints": "ecfp4,maccs"}, "setting 'fingerprints': .*one of ecfp4"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        OptimizeSettings.of(**values)


def test_the_names_that_can_be_chosen_are_those_of_the_tables() -> None:
    assert list(ESTIMATORS) == list(RECIPES)
    assert set(choices.BASELINES) == {*BASELINES, "value"}
    assert set(choices.IMPORTANCE) == {*WEIGHTINGS, "v-trace"}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_has_its_own_defaults_and_what_is_given_goes_before_them(name: str) -> None:
    chosen = ESTIMATORS[name]
    plain = OptimizeSettings.of(estimator=name).model_dump()
    for field, value in chosen.defaults.items():
        assert plain[field] == value
        assert value != OptimizeSettings.model_fields[field].default
    assert set(chosen.settings) <= set(OptimizeSettings.model_fields)
    if chosen.replays:
        assert OptimizeSettings.of(estimator=name, replay_size=7).replay_size == 7


def test_only_what_may_learn_from_older_batches_gets_them() -> None:
    assert OptimizeSettings.of(estimator="dap", overlap=True).overlap
    with pytest.raises(UsageError, match=r"'reinforce' learns from what the present agent draws.*: dap, ahc"):
        OptimizeSettings.of(estimator="reinforce", overlap=True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"estimator": "rao-blackwell", "replay_size": 4},
            "replay_size: 'rao-blackwell' learns from what it draws alone",
        ),
        (
            {"estimator": "off-policy", "replay_randomised": True},
            "replay_randomised: 'off-policy' weighs a SMILES by",
        ),
        ({"estimator": "ppo", "replay_rounds": 2}, "replay_rounds: 'ppo' learns nothing from remembered"),
        ({"operators": "edit", "pool_size": 20}, "pool_size: 20 proposals cannot fill a batch of 64"),
    ],
)
def test_replay_that_an_estimator_has_no_use_for_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        OptimizeSettings.of(**values)


def test_only_what_learns_from_any_molecule_gets_those_of_others() -> None:
    chosen = OptimizeSettings.of(estimator="tb", operators="policy: 4, edit:0.50", acquisition="ucb")
    assert chosen.operators == "policy:4,edit:0.5"
    assert chosen.searches
    assert not OptimizeSettings.of(estimator="ppo").searches
    for settings in ({"operators": "policy,edit"}, {"acquisition": "greedy"}):
        with pytest.raises(UsageError, match=r"'ppo' learns from what it draws alone; .*: dap, ahc, hill"):
            OptimizeSettings.of(estimator="ppo", **settings)


def test_stored_trajectories_are_drawn_evenly() -> None:
    settings = OptimizeSettings.of(estimator="off-policy")
    assert (settings.replay_keep, settings.replay_weights) == ("recent", "uniform")


@pytest.mark.parametrize(
    ("values", "idle"),
    [
        ({"estimator": "reinforce", "sigma": 60.0, "epochs": 2}, ["epochs", "sigma"]),
        ({"estimator": "reinforce", "baseline": "value"}, []),
        ({"estimator": "trpo", "learning_rate": 1e-3, "trust_region": 0.01}, ["learning_rate"]),
        ({"estimator": "off-policy", "importance": "v-trace", "baseline": "none"}, ["baseline"]),
        ({"estimator": "off-policy", "baseline": "none"}, []),
        ({"estimator": "augmented-memory", "diversity": False, "bucket_size": 5}, ["bucket_size"]),
        ({"estimator": "exact", "batch_size": 8}, ["batch_size"]),
        ({"pool_size": 9, "unscreened": 0.5, "replay_batch": 3}, ["pool_size", "replay_batch", "unscreened"]),
        ({"operators": "edit", "pool_size": 99, "unscreened": 0.5}, ["unscreened"]),
        ({"acquisition": "ucb", "pool_size": 99, "unscreened": 0.5}, []),
        ({"acquisition": "ucb", "brood_size": 9}, ["brood_size"]),
        ({"acquisition": "ucb", "brood_size": 9, "generations": 1}, []),
        ({"operators": "edit", "brood_size": 9, "generations": 1}, ["brood_size", "generations"]),
        ({"chemistry": "known"}, ["chemistry"]),
        ({"chemistry": "known", "operators": "edit"}, []),
        ({"chemistry": "strict"}, []),
    ],
)
def test_what_changes_nothing_is_named(values: dict[str, Any], idle: list[str]) -> None:
    assert OptimizeSettings.of(**values).unread() == idle
