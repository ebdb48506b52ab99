"""One score from several desirabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from moldesign.rewards.reward import Values

Combination = Literal["geometric_mean", "arithmetic_mean"]

#: Desirabilities (n, k) and weights (k,), positive; means (n,). NaN in a row gives NaN.
Mean = Callable[[NDArray[np.float64], Values], Values]


def geometric_mean(shaped: NDArray[np.float64], weights: Values) -> Values:
    """prod_j x_j^(w_j / sum w) (n,): one desirability of 0 makes it 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(shaped)
        return np.asarray(np.exp(logs @ (weights / weights.sum())), dtype=np.float64)


def arithmetic_mean(shaped: NDArray[np.float64], weights: Values) -> Values:
    """sum_j x_j w_j / sum w (n,): a bad desirability is made up for by good ones."""
    return np.asarray(shaped @ (weights / weights.sum()), dtype=np.float64)


MEANS: dict[Combination, Mean] = {"geometric_mean": geometric_mean, "arithmetic_mean": arithmetic_mean}
COMBINATIONS: Sequence[Combination] = get_args(Combination)
