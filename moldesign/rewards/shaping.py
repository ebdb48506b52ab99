"""Shaping: a raw value in its own unit becomes a desirability between 0 and 1.

The sigmoids are those of REINVENT4 (Loeffler et al., J. Cheminf. 16, 20, 2024), with its names of parameters.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from moldesign.rewards.reward import Values
from moldesign.rewards.strict import Strict


def _logistic10(exponent: Values) -> Values:
    """1 / (1 + 10^-exponent), exact 0 and 1 where 10^-exponent leaves the range of a float."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(1.0 / (1.0 + 10.0 ** (-exponent)), dtype=np.float64)


class _Range(Strict):
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> _Range:
        if not self.low < self.high:
            raise ValueError(f"low must be below high, got {self.low:g} and {self.high:g}")
        return self


class Sigmoid(_Range):
    """1 / (1 + 10^(-10 k (x - (low + high) / 2) / (high - low))): 0 at low, 1/2 between, 1 at high."""

    kind: Literal["sigmoid"] = "sigmoid"
    k: Annotated[float, Field(gt=0)] = 0.5

    def __call__(self, x: Values) -> Values:
        middle = (self.low + self.high) / 2
        return _logistic10(10.0 * self.k * (x - middle) / (self.high - self.low))


class ReverseSigmoid(_Range):
    """1 - sigmoid: 1 at low, 1/2 between, 0 at high."""

    kind: Literal["reverse_sigmoid"] = "reverse_sigmoid"
    k: Annotated[float, Field(gt=0)] = 0.5

    def __call__(self, x: Values) -> Values:
        middle = (self.low + self.high) / 2
        return _logistic10(-10.0 * self.k * (x - middle) / (self.high - self.low))


class DoubleSigmoid(_Range):
    """1 between low and high, 1/2 at each, 0 outside.

    x below the middle: 1 / (1 + 10^(-(coef_si / coef_div) (x - low))); from the middle on:
    1 - 1 / (1 + 10^(-(coef_se / coef_div) (x - high))). The larger coef / coef_div, the steeper,
    per unit of x.
    """

    kind: Literal["double_sigmoid"] = "double_sigmoid"
    coef_div: Annotated[float, Field(gt=0)] = 100.0
    coef_si: Annotated[float, Field(gt=0)] = 150.0
    coef_se: Annotated[float, Field(gt=0)] = 150.0

    def __call__(self, x: Values) -> Values:
        rising = _logistic10((self.coef_si / self.coef_div) * (x - self.low))
        falling = _logistic10(-(self.coef_se / self.coef_div) * (x - self.high))
        return np.where(x < (self.low + self.high) / 2, rising, falling)


class Gaussian(Strict):
    """exp(-((x - mean) / sd)^2 / 2); 1 on the whole side that `flat` names."""

    kind: Literal["gaussian"] = "gaussian"
    mean: float
    sd: Annotated[float, Field(gt=0)]
    flat: Literal["none", "above", "below"] = "none"

    def __call__(self, x: Values) -> Values:
        distance = x - self.mean
        if self.flat == "above":
            distance = np.minimum(distance, 0.0)
        elif self.flat == "below":
            distance = np.maximum(distance, 0.0)
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(np.exp(-0.5 * (distance / self.sd) ** 2), dtype=np.float64)


class Step(Strict):
    """1 where low <= x <= high, 0 elsewhere; a limit left out does not limit."""

    kind: Literal["step"] = "step"
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _some_limit(self) -> Step:
        if self.low is None and self.high is None:
            raise ValueError("a step needs low, high or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low must not be above high, got {self.low:g} and {self.high:g}")
        return self

    def __call__(self, x: Values) -> Values:
        inside = np.ones(x.shape, dtype=bool)
        if self.low is not None:
            inside &= x >= self.low
        if self.high is not None:
            inside &= x <= self.high
        return inside.astype(np.float64)


class Linear(Strict):
    """(x - zero) / (one - zero), cut to 0 and 1: a ramp that falls where `one` is below `zero`."""

    kind: Literal["linear"] = "linear"
    zero: float
    one: float

    @model_validator(mode="after")
    def _apart(self) -> Linear:
        if self.zero == self.one:
            raise ValueError("zero and one must differ")
        return self

    def __call__(self, x: Values) -> Values:
        return np.asarray(np.clip((x - self.zero) / (self.one - self.zero), 0.0, 1.0), dtype=np.float64)


Shaping = Annotated[
    Sigmoid | ReverseSigmoid | DoubleSigmoid | Gaussian | Step | Linear, Field(discriminator="kind")
]
