"""Each shaping against values worked out by hand from its formula."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given
from pydantic import TypeAdapter, ValidationError

from moldesign.rewards.component import Component
from moldesign.rewards.shaping import (
    KINDS,
    Clip,
    DoubleSigmoid,
    ExponentialDecay,
    Gaussian,
    Linear,
    Plateau,
    ReverseSigmoid,
    Shaping,
    Sigmoid,
    SoftStep,
    Step,
    ValueMap,
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


def test_soft_step_is_molscores_threshold() -> None:
    at_limit = 1 / (1 + math.exp(-5))
    assert of(SoftStep(low=2, slope=5), 1, 2, 3) == pytest.approx([0.5, at_limit, 1 / (1 + math.exp(-10))])
    assert of(SoftStep(high=2, slope=5), 3, 2, 1) == pytest.approx([0.5, at_limit, 1 / (1 + math.exp(-10))])
    assert of(SoftStep(low=2, high=4, slope=5), 1, 2, 3, 4, 5) == pytest.approx([0.5, 1, 1, 1, 0.5])


def test_plateau() -> None:
    assert of(Plateau(low=2, high=4, buffer=2), -1, 0, 1, 2, 4, 5, 6, 9) == [0, 0, 0.5, 1, 1, 0.5, 0, 0]


def test_exponential_decay() -> None:
    assert of(ExponentialDecay(k=0.5), -3, 0, 2, 1e6) == pytest.approx([1, 1, math.exp(-1), 0])


def test_a_value_map_knows_exact_values_only() -> None:
    shaping = ValueMap(table={"0": 1.0, "1.0": 0.5, "-2": 0.25}, otherwise=0.1)
    assert of(shaping, 0, 1, -2, 1.001) == [1.0, 0.5, 0.25, 0.1]


def test_clip() -> None:
    assert of(Clip(), -1, 0.3, 2) == [0, 0.3, 1]
    assert of(Clip(low=0.1, high=0.5), -1, 0.3, 2) == pytest.approx([0.1, 0.3, 0.5])


#: One of each kind and direction.
DIRECTED: list[tuple[Shaping, str]] = [
    (Sigmoid(low=0, high=1), "rising"),
    (ReverseSigmoid(low=0, high=1), "falling"),
    (DoubleSigmoid(low=0.3, high=0.6), "range"),
    (SoftStep(low=0.5, slope=9), "rising"),
    (SoftStep(high=0.5, slope=9), "falling"),
    (SoftStep(low=0.4, high=0.5, slope=99), "range"),
    (Gaussian(mean=0.5, sd=0.1), "range"),
    (Gaussian(mean=0.5, sd=0.1, flat="above"), "rising"),
    (Gaussian(mean=0.5, sd=0.1, flat="below"), "falling"),
    (Step(low=0.5), "rising"),
    (Step(high=0.5), "falling"),
    (Step(low=0.2, high=0.5), "range"),
    (Linear(zero=0.1, one=0.9), "rising"),
    (Linear(zero=0.9, one=0.1), "falling"),
    (Plateau(low=0.4, high=0.6, buffer=0.1), "range"),
    (ExponentialDecay(k=3), "falling"),
    (Clip(), "rising"),
]


@pytest.mark.parametrize(("shaping", "direction"), DIRECTED)
def test_the_direction_is_what_the_values_do(shaping: Shaping, direction: str) -> None:
    assert shaping.direction == direction
    steps = np.diff(shaping(np.linspace(-1, 2, 301)))
    rises, falls = bool((steps > 1e-12).any()), bool((steps < -1e-12).any())
    assert (rises, falls) == {
        "rising": (True, False),
        "falling": (False, True),
        "range": (True, True),
    }[direction]


def test_every_kind_states_a_direction() -> None:
    assert {shaping.kind for shaping, _ in DIRECTED} | {"values"} == set(KINDS)
    assert ValueMap(table={"1": 1.0}).direction == "table"


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


def _numbers(least: float, most: float) -> st.SearchStrategy[float]:
    return st.floats(least, most, allow_nan=False, allow_infinity=False)


#: Limits as an objective may have them, and raw values as a broken descriptor may give them.
LIMITS = _numbers(-1e12, 1e12)
POSITIVE = _numbers(1e-12, 1e12)
RAW = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.floats(-1e3, 1e3))


@st.composite
def shapings(draw: st.DrawFn) -> Shaping:
    """Any shaping that an objective can hold, but for tables, which are no curves."""
    kind = draw(st.sampled_from([kind for kind in KINDS if kind != "values"]))
    low, high = sorted([draw(LIMITS), draw(LIMITS)])
    fields: dict[str, object] = {"kind": kind}
    if kind in ("sigmoid", "reverse_sigmoid"):
        fields |= {"low": low, "high": high, "k": draw(POSITIVE)}
    elif kind == "double_sigmoid":
        fields |= {"low": low, "high": high, "coef_div": draw(POSITIVE), "coef_si": draw(POSITIVE)}
    elif kind in ("soft_step", "step"):
        ends = draw(st.sampled_from([{"low": low}, {"high": high}, {"low": low, "high": high}]))
        fields |= {**ends, **({"slope": draw(POSITIVE)} if kind == "soft_step" else {})}
    elif kind == "gaussian":
        flat = draw(st.sampled_from(["none", "above", "below"]))
        fields |= {"mean": low, "sd": draw(POSITIVE), "flat": flat}
    elif kind == "linear":
        zero, one = draw(st.permutations([low, high]))
        fields |= {"zero": zero, "one": one}
    elif kind == "plateau":
        fields |= {"low": low, "high": high, "buffer": draw(POSITIVE)}
    elif kind == "exponential_decay":
        fields |= {"k": draw(POSITIVE)}
    else:
        low, high = sorted([draw(_numbers(0, 1)), draw(_numbers(0, 1))])
        fields |= {"low": low, "high": high}
    try:
        return TypeAdapter[Shaping](Shaping).validate_python(fields)
    except ValidationError:  # low and high are equal where they may not be
        assume(False)
        raise


@pytest.mark.filterwarnings("error")
@given(shapings(), st.lists(RAW, min_size=2, max_size=20))
def test_a_desirability_lies_between_0_and_1_and_goes_as_its_direction_says(
    shaping: Shaping, raw: list[float]
) -> None:
    shaped = shaping(np.array(sorted(raw)))
    assert ((shaped >= 0) & (shaped <= 1)).all(), "no NaN among them either"
    steps = np.diff(shaped)
    if shaping.direction == "rising":
        assert (steps >= -1e-9).all()
    elif shaping.direction == "falling":
        assert (steps <= 1e-9).all()
    else:
        # It rises, and from where it falls on it falls.
        first = int(np.argmax(steps < -1e-9)) if (steps < -1e-9).any() else len(steps)
        assert (steps[first:] <= 1e-9).all()


@given(shapings(), st.lists(st.one_of(RAW, st.just(math.nan)), max_size=20))
def test_what_has_no_value_has_no_desirability_and_spoils_no_other(
    shaping: Shaping, raw: list[float]
) -> None:
    values = np.array(raw, dtype=np.float64)
    before = values.copy()
    shaped = Component(reward=lambda mols: np.zeros(len(mols)), shaping=shaping).shape(values)
    np.testing.assert_array_equal(np.isnan(shaped), np.isnan(values))
    np.testing.assert_array_equal(values, before)
    for one, alone in zip(shaped, values, strict=True):
        if not math.isnan(alone):
            assert of(shaping, alone) == [one]


@given(LIMITS, POSITIVE, POSITIVE)
def test_at_their_limits_they_are_what_is_written_of_them(low: float, width: float, slope: float) -> None:
    high = low + width
    assume(low < high)
    middle = (low + high) / 2
    assume(low < middle < high)
    half = pytest.approx([0.5], abs=1e-3)
    k = min(slope, 10.0)
    end = 1 / (1 + 10 ** (-5 * k))
    assert of(Sigmoid(low=low, high=high, k=k), middle) == half
    assert of(Sigmoid(low=low, high=high, k=k), low, high) == pytest.approx([1 - end, end], abs=1e-3)
    assert of(ReverseSigmoid(low=low, high=high, k=k), low, high) == pytest.approx([end, 1 - end], abs=1e-3)
    assert of(DoubleSigmoid(low=low, high=high), low) == half
    assert of(Gaussian(mean=low, sd=slope), low) == [1]
    assert of(Step(low=low, high=high), low, high) == [1, 1]
    assert of(Linear(zero=low, one=high), low, high) == of(Linear(zero=high, one=low), high, low) == [0, 1]
    assert of(SoftStep(low=low, high=high, slope=slope), low, high) == [1, 1]
    assert of(SoftStep(low=low, slope=slope), low) == pytest.approx([1 / (1 + math.exp(-5))])
    assert of(Plateau(low=low, high=high, buffer=slope), low, middle, high) == [1, 1, 1]
    assert of(ExponentialDecay(k=slope), -width, 0) == [1, 1]
    assert of(ValueMap(table={repr(low): 0.25}, otherwise=0.75), low, high) == [0.25, 0.75]
