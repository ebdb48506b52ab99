import math

import numpy as np
import pytest

from moldesign.rewards.combining import arithmetic_mean, geometric_mean

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
