"""Each shaping against values worked out by hand from its formula."""

import math

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from moldesign.rewards.shaping import (
    DoubleSigmoid,
    Gaussian,
    Linear,
    ReverseSigmoid,
    Shaping,
    Sigmoid,
    Step,
)


def of(shaping: Shaping, *x: float) -> list[float]:
    return [float(value) for value in shaping(np.array(x))]


def test_sigmoid() -> None:
    # k 0.1, range 10: the exponent is 10 k (x - 5) / 10 = (x - 5) / 10.
    expected = [1 / (1 + 10**0.5), 0.5, 1 / (1 + 10**-0.5), 1 / 1.1]
    assert of(Sigmoid(low=0, high=10, k=0.1), 0, 5, 10, 15) == pytest.approx(expected, abs=1e-12)
    assert of(Sigmoid(low=0, high=10), 0, 10) == pytest.approx([1 / (1 + 10**2.5), 1 / (1 + 10**-2.5)])


def test_reverse_sigmoid() -> None:
    expected = [1 / (1 + 10**-0.5), 0.5, 1 / (1 + 10**0.5), 1 / 11]
    assert of(ReverseSigmoid(low=0, high=10, k=0.1), 0, 5, 10, 15) == pytest.approx(expected, abs=1e-12)


def test_double_sigmoid() -> None:
    # Rising slope 2 / 1 at 3, falling slope 1 / 1 at 7.
    shaping = DoubleSigmoid(low=3, high=7, coef_div=1, coef_si=2, coef_se=1)
    expected = [1 / (1 + 10**2), 0.5, 1 / (1 + 10**-2), 1 / (1 + 10**-2), 0.5, 1 / (1 + 10)]
    assert of(shaping, 2, 3, 4, 5, 7, 8) == pytest.approx(expected, abs=1e-12)


def test_gaussian() -> None:
    one_off = math.exp(-0.5)
    assert of(Gaussian(mean=5, sd=2), 3, 5, 7, 9) == pytest.approx([one_off, 1, one_off, math.exp(-2)])
    assert of(Gaussian(mean=5, sd=2, flat="above"), 3, 5, 70) == pytest.approx([one_off, 1, 1])
    assert of(Gaussian(mean=5, sd=2, flat="below"), -30, 5, 7) == pytest.approx([1, 1, one_off])


def test_step_includes_its_limits() -> None:
    assert of(Step(low=1, high=2), 0.999, 1, 1.5, 2, 2.001) == [0, 1, 1, 1, 0]
    assert of(Step(low=1), 0, 1, 1e9) == [0, 1, 1]
    assert of(Step(high=1), -1e9, 1, 2) == [1, 1, 0]


def test_linear_rises_and_falls() -> None:
    assert of(Linear(zero=2, one=6), 0, 2, 3, 6, 9) == pytest.approx([0, 0, 0.25, 1, 1])
    assert of(Linear(zero=6, one=2), 0, 2, 3, 6, 9) == pytest.approx([1, 1, 0.75, 0, 0])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("shaping", "far_left", "far_right"),
    [
        (Sigmoid(low=0, high=1), 0, 1),
        (ReverseSigmoid(low=0, high=1), 1, 0),
        (DoubleSigmoid(low=0, high=1), 0, 0),
        (Gaussian(mean=0, sd=1e-3), 0, 0),
        (Linear(zero=0, one=1), 0, 1),
    ],
)
def test_far_away_is_exact_and_silent(shaping: Shaping, far_left: float, far_right: float) -> None:
    assert of(shaping, -1e12, 1e12) == [far_left, far_right]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "sigmoid", "low": 2, "high": 2},
        {"kind": "reverse_sigmoid", "low": 3, "high": 2},
        {"kind": "sigmoid", "low": 1, "high": 2, "k": 0},
        {"kind": "sigmoid", "low": "1", "high": 2},
        {"kind": "sigmoid", "low": math.nan, "high": 2},
        {"kind": "sigmoid", "low": 1, "high": math.inf},
        {"kind": "double_sigmoid", "low": 1, "high": 2, "coef_div": 0},
        {"kind": "gaussian", "mean": 1, "sd": 0},
        {"kind": "gaussian", "mean": 1, "sd": 1, "flat": "left"},
        {"kind": "step"},
        {"kind": "step", "low": 2, "high": 1},
        {"kind": "linear", "zero": 1, "one": 1},
        {"kind": "linear", "zero": 1, "one": 2, "k": 1},
        {"kind": "cubic"},
        {"low": 1, "high": 2},
    ],
)
def test_parameters_that_mean_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[Shaping](Shaping).validate_python(wrong)
