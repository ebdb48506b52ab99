"""Shaping: a raw value in its own unit becomes a desirability between 0 and 1.

The sigmoids and the decay are those of REINVENT4 (Loeffler et al., J. Cheminf. 16, 20, 2024), with its names
of parameters; `soft_step` and `plateau` are MolScore's thresholds (Thomas et al., J. Cheminf. 16, 64, 2024).
Each kind says its `direction`: whether larger raw values are worth more.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

import numpy as np
from pydantic import Field, model_validator

from moldesign.rewards.reward import Values
from moldesign.rewards.strict import Strict

#: How desirability goes with the raw value: up, down, best in a range, or however its table says.
Trend = Literal["rising", "falling", "range", "table"]


def _logistic10(exponent: Values) -> Values:
    """1 / (1 + 10^-exponent), exact 0 and 1 where 10^-exponent leaves the range of a float."""
    return 1.0 / (1.0 + 10.0 ** (-exponent))


class _Shaping(Strict):
    """A function from raw values to desirabilities."""

    def __call__(self, x: Values) -> Values:
        """Desirabilities of raw values, which are no NaN."""
        # A value far from the limits is as good as one infinitely far: nothing to warn of.
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(self._shape(x), dtype=np.float64)

    def _shape(self, x: Values) -> Values:
        raise NotImplementedError


class _Range(_Shaping):
    low: float = Field(description="lower limit, in the unit of the raw value")
    high: float = Field(description="upper limit")

    @model_validator(mode="after")
    def _ordered(self) -> _Range:
        if not self.low < self.high:
            raise ValueError(f"low must be below high, got {self.low:g} and {self.high:g}")
        return self


class Sigmoid(_Range):
    """1 / (1 + 10^(-10 k (x - (low + high) / 2) / (high - low))): 0 at low, 1/2 between, 1 at high."""

    kind: Literal["sigmoid"] = "sigmoid"
    direction: ClassVar[Trend] = "rising"
    k: Annotated[float, Field(gt=0, description="steepness")] = 0.5

    def _shape(self, x: Values) -> Values:
        middle = (self.low + self.high) / 2
        return _logistic10(10.0 * self.k * (x - middle) / (self.high - self.low))


class ReverseSigmoid(_Range):
    """1 - sigmoid: 1 at low, 1/2 between, 0 at high."""

    kind: Literal["reverse_sigmoid"] = "reverse_sigmoid"
    direction: ClassVar[Trend] = "falling"
    k: Annotated[float, Field(gt=0, description="steepness")] = 0.5

    def _shape(self, x: Values) -> Values:
        middle = (self.low + self.high) / 2
        return _logistic10(-10.0 * self.k * (x - middle) / (self.high - self.low))


class DoubleSigmoid(_Range):
    """1 between low and high, 1/2 at each, 0 outside.

    x below the middle: 1 / (1 + 10^(-(coef_si / coef_div) (x - low))); from the middle on:
    1 - 1 / (1 + 10^(-(coef_se / coef_div) (x - high))). The larger coef / coef_div, the steeper,
    per unit of x.
    """

    kind: Literal["double_sigmoid"] = "double_sigmoid"
    direction: ClassVar[Trend] = "range"
    coef_div: Annotated[float, Field(gt=0)] = 100.0
    coef_si: Annotated[float, Field(gt=0)] = 150.0
    coef_se: Annotated[float, Field(gt=0)] = 150.0

    def _shape(self, x: Values) -> Values:
        rising = _logistic10((self.coef_si / self.coef_div) * (x - self.low))
        falling = _logistic10(-(self.coef_se / self.coef_div) * (x - self.high))
        return np.where(x < (self.low + self.high) / 2, rising, falling)


class Gaussian(_Shaping):
    """exp(-((x - mean) / sd)^2 / 2); 1 on the whole side that `flat` names."""

    kind: Literal["gaussian"] = "gaussian"
    mean: float = Field(description="where it is 1")
    sd: Annotated[float, Field(gt=0, description="standard deviation")]
    flat: Literal["none", "above", "below"] = Field("none", description="the side on which it stays 1")

    @property
    def direction(self) -> Trend:
        """Rising where it stays 1 above the mean, falling where below."""
        return {"none": "range", "above": "rising", "below": "falling"}[self.flat]  # type: ignore[return-value]

    def _shape(self, x: Values) -> Values:
        distance = x - self.mean
        if self.flat == "above":
            distance = np.minimum(distance, 0.0)
        elif self.flat == "below":
            distance = np.maximum(distance, 0.0)
        return np.exp(-0.5 * (distance / self.sd) ** 2)


class _Limits(_Shaping):
    low: float | None = Field(None, description="lower limit")
    high: float | None = Field(None, description="upper limit")

    @model_validator(mode="after")
    def _some_limit(self) -> _Limits:
        if self.low is None and self.high is None:
            raise ValueError("it needs low, high or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low must not be above high, got {self.low:g} and {self.high:g}")
        return self

    @property
    def direction(self) -> Trend:
        """Rising with a lower limit alone, falling with an upper one."""
        return "falling" if self.low is None else "rising" if self.high is None else "range"


class Step(_Limits):
    """1 where low <= x <= high, 0 elsewhere; a limit left out does not limit."""

    kind: Literal["step"] = "step"

    def _shape(self, x: Values) -> Values:
        inside = np.ones(x.shape, dtype=bool)
        if self.low is not None:
            inside &= x >= self.low
        if self.high is not None:
            inside &= x <= self.high
        return inside.astype(np.float64)


class Linear(_Shaping):
    """(x - zero) / (one - zero), cut to 0 and 1: a ramp that falls where `one` is below `zero`."""

    kind: Literal["linear"] = "linear"
    zero: float = Field(description="raw value from which it leaves 0")
    one: float = Field(description="raw value at which it reaches 1")

    @property
    def direction(self) -> Trend:
        """Falling where `one` is below `zero`."""
        return "rising" if self.zero < self.one else "falling"

    @model_validator(mode="after")
    def _apart(self) -> Linear:
        if self.zero == self.one:
            raise ValueError("zero and one must differ")
        return self

    def _shape(self, x: Values) -> Values:
        return np.clip((x - self.zero) / (self.one - self.zero), 0.0, 1.0)


class SoftStep(_Limits):
    """1 / (1 + e^-(slope d + 5)), d the distance to the limit, positive inside; 1 between two limits.

    0.993 at a limit and 1/2 at 5 / slope beyond it.
    """

    kind: Literal["soft_step"] = "soft_step"
    slope: Annotated[float, Field(gt=0, description="steepness per unit of the raw value")] = 1.0

    def _shape(self, x: Values) -> Values:
        inside = np.full(x.shape, np.inf)
        if self.low is not None:
            inside = np.minimum(inside, x - self.low)
        if self.high is not None:
            inside = np.minimum(inside, self.high - x)
        soft = 1.0 / (1.0 + np.exp(-(self.slope * inside + 5.0)))
        return np.where(inside >= 0, 1.0, soft) if self.direction == "range" else soft


class Plateau(_Range):
    """1 between low and high, falling straight to 0 over `buffer` beyond either."""

    kind: Literal["plateau"] = "plateau"
    direction: ClassVar[Trend] = "range"
    buffer: Annotated[float, Field(gt=0, description="width of the slopes")]

    def _shape(self, x: Values) -> Values:
        beyond = np.maximum(np.maximum(self.low - x, x - self.high), 0.0)
        return np.clip(1.0 - beyond / self.buffer, 0.0, 1.0)


class ExponentialDecay(_Shaping):
    """e^(-k x), and 1 below 0."""

    kind: Literal["exponential_decay"] = "exponential_decay"
    direction: ClassVar[Trend] = "falling"
    k: Annotated[float, Field(gt=0, description="rate per unit of the raw value")]

    def _shape(self, x: Values) -> Values:
        return np.exp(-self.k * np.maximum(x, 0.0))


class ValueMap(_Shaping):
    """What the table says of exactly this raw value, and `otherwise` of any other."""

    kind: Literal["values"] = "values"
    direction: ClassVar[Trend] = "table"
    table: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        min_length=1, description='raw value = desirability, as in { "0" = 1.0, "1" = 0.5 }'
    )
    otherwise: Annotated[float, Field(ge=0, le=1, description="for values not in the table")] = 0.0

    @model_validator(mode="after")
    def _numbers(self) -> ValueMap:
        for key in self.table:
            try:
                float(key)
            except ValueError:
                raise ValueError(f"table: '{key}' is not a number") from None
        return self

    def _shape(self, x: Values) -> Values:
        shaped = np.full(x.shape, self.otherwise)
        for raw, value in self.table.items():
            shaped[x == float(raw)] = value
        return shaped


class Clip(_Shaping):
    """x, cut to low and high: for raw values that are desirabilities with a little beyond."""

    kind: Literal["clip"] = "clip"
    direction: ClassVar[Trend] = "rising"
    low: Annotated[float, Field(ge=0, le=1, description="smallest desirability")] = 0.0
    high: Annotated[float, Field(ge=0, le=1, description="largest desirability")] = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> Clip:
        if not self.low < self.high:
            raise ValueError(f"low must be below high, got {self.low:g} and {self.high:g}")
        return self

    def _shape(self, x: Values) -> Values:
        return np.clip(x, self.low, self.high)


Shaping = Annotated[
    Sigmoid
    | ReverseSigmoid
    | DoubleSigmoid
    | SoftStep
    | Gaussian
    | Step
    | Linear
    | Plateau
    | ExponentialDecay
    | ValueMap
    | Clip,
    Field(discriminator="kind"),
]

KINDS: tuple[str, ...] = tuple(
    member.model_fields["kind"].default for member in get_args(get_args(Shaping)[0])
)
