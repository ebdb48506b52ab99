import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray

from moldesign.rewards.combining import (
    COMBINATIONS,
    COMBINE,
    ZEROED,
    Combination,
    arithmetic_mean,
    geometric_mean,
)

ROWS = np.array([[0.25, 1.0], [0.5, 0.5], [0.0, 1.0], [math.nan, 1.0], [0.0, math.nan]])


@pytest.mark.filterwarnings("error")
def test_geometric_mean() -> None:
    # 0.25^(3/4) = 0.353553...
    means = geometric_mean(ROWS, np.array([3.0, 1.0]))
    np.testing.assert_allclose(means, [0.25**0.75, 0.5, 0.0, math.nan, math.nan], rtol=1e-12)
    np.testing.assert_allclose(geometric_mean(ROWS[:1], np.array([1.0, 1.0])), [0.5], rtol=1e-12)


def test_arithmetic_mean() -> None:
    means = arithmetic_mean(ROWS, np.array([3.0, 1.0]))
    np.testing.assert_allclose(means, [0.4375, 0.5, 0.25, math.nan, math.nan], rtol=1e-12)


@pytest.mark.parametrize("mean", [geometric_mean, arithmetic_mean])
def test_only_the_ratio_of_weights_matters(mean: object) -> None:
    assert callable(mean)
    np.testing.assert_allclose(mean(ROWS, np.array([3.0, 1.0])), mean(ROWS, np.array([0.75, 0.25])))


@st.composite
def tables(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Desirabilities (n, k) and weights (k,)."""
    n, k = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    values = st.one_of(st.sampled_from([0.0, 1.0, 0.5]), st.floats(0, 1))
    shaped = draw(st.lists(st.lists(values, min_size=k, max_size=k), min_size=n, max_size=n))
    weights = draw(st.lists(st.floats(1e-3, 1e3), min_size=k, max_size=k))
    return np.array(shaped), np.array(weights)


@pytest.mark.parametrize("name", COMBINATIONS)
@given(table=tables(), data=st.data())
def test_any_combination_of_desirabilities(
    name: Combination, table: tuple[NDArray[np.float64], NDArray[np.float64]], data: st.DataObject
) -> None:
    combine = COMBINE[name]
    shaped, weights = table
    score = combine(shaped, weights)
    assert score.shape == (len(shaped),)
    assert ((score >= -1e-12) & (score <= 1 + 1e-12)).all()
    if name != "product":
        assert (score >= shaped.min(axis=1) - 1e-9).all()
        assert (score <= shaped.max(axis=1) + 1e-9).all()
    assert combine(np.ones_like(shaped), weights) == pytest.approx(1)
    assert combine(np.zeros_like(shaped), weights) == pytest.approx(0, abs=1e-12)
    if name in ZEROED:
        assert (score[(shaped == 0).any(axis=1)] == 0).all()
    # In another order the same.
    order = data.draw(st.permutations(range(len(weights))))
    assert combine(shaped[:, order], weights[order]) == pytest.approx(score, abs=1e-9)
    # A better desirability never makes a worse score.
    row, column = data.draw(st.integers(0, len(shaped) - 1)), data.draw(st.integers(0, len(weights) - 1))
    better = shaped.copy()
    better[row, column] = data.draw(st.floats(float(shaped[row, column]), 1))
    assert combine(better, weights)[row] >= score[row] - 1e-9
    # One that is unknown makes its own score unknown, and no other.
    unknown = shaped.copy()
    unknown[row, column] = math.nan
    scored = combine(unknown, weights)
    assert np.isnan(scored[row])
    np.testing.assert_allclose(np.delete(scored, row), np.delete(score, row))
