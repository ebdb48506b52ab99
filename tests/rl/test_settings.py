"""The settings of a run."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from moldesign.errors import UsageError
from moldesign.rl.baselines import BASELINES
from moldesign.rl.estimators import ESTIMATORS
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
        ({"estimator": "dpa"}, "'dap' or 'reinforce'"),
        ({"batch_size": "many"}, r"setting 'batch_size'.*'many'"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        OptimizeSettings.of(**values)


def test_the_names_that_can_be_chosen_are_those_of_the_tables() -> None:
    for field, table in (("estimator", ESTIMATORS), ("baseline", BASELINES)):
        for name in table:
            assert getattr(OptimizeSettings.of(**{field: name}), field) == name
        assert set(get_args(OptimizeSettings.model_fields[field].annotation)) == set(table)
