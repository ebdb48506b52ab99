"""One score from several desirabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from moldesign.rewards.reward import Values

Combination = Literal["geometric_mean", "arithmetic_mean", "product", "minimum", "chebyshev", "pareto"]
COMBINATIONS: Sequence[Combination] = get_args(Combination)

#: Desirabilities (n, k) and weights (k,), positive; scores (n,). NaN in a row gives NaN.
Combine = Callable[[NDArray[np.float64], Values], Values]

#: What the sum adds to the largest shortfall, so that no score is equal for a better and a worse molecule.
AUGMENTATION = 0.05


def geometric_mean(shaped: NDArray[np.float64], weights: Values) -> Values:
    """prod_j x_j^(w_j / sum w) (n,): one desirability of 0 makes it 0."""
    return product(shaped, weights / weights.sum())


def arithmetic_mean(shaped: NDArray[np.float64], weights: Values) -> Values:
    """sum_j x_j w_j / sum w (n,): a bad desirability is made up for by good ones."""
    return np.asarray(shaped @ (weights / weights.sum()), dtype=np.float64)


def product(shaped: NDArray[np.float64], weights: Values) -> Values:
    """prod_j x_j^w_j (n,): every desirability below 1 costs."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.exp(np.log(shaped) @ weights), dtype=np.float64)


def minimum(shaped: NDArray[np.float64], weights: Values) -> Values:  # noqa: ARG001 - it has none
    """min_j x_j (n,): as good as the worst."""
    return np.asarray(shaped.min(axis=1), dtype=np.float64)


def chebyshev(shaped: NDArray[np.float64], weights: Values) -> Values:
    """1 - (max_j w_j (1 - x_j) + a sum_j w_j (1 - x_j)) / (max_j w_j + a sum_j w_j) (n,), 0 to 1.

    The augmented weighted Chebyshev distance to the ideal point, all desirabilities at 1 (Steuer and
    Choo, Math. Program. 26, 326, 1983), scaled to 1 there and 0 where all are 0. For each point of the
    Pareto front, hollow parts included, some weights make it the best. a is AUGMENTATION.
    """
    shortfalls = weights * (1.0 - shaped)
    distance = shortfalls.max(axis=1) + AUGMENTATION * shortfalls.sum(axis=1)
    return np.asarray(1.0 - distance / (weights.max() + AUGMENTATION * weights.sum()), dtype=np.float64)


#: `pareto` orders molecules by the front they lie on, which takes the others into account
#: (moldesign.rewards.fronts); the score of a molecule alone is then its Chebyshev score.
COMBINE: dict[Combination, Combine] = {
    "geometric_mean": geometric_mean,
    "arithmetic_mean": arithmetic_mean,
    "product": product,
    "minimum": minimum,
    "chebyshev": chebyshev,
    "pareto": chebyshev,
}

#: Where one desirability of 0 makes the whole 0.
ZEROED: frozenset[Combination] = frozenset({"geometric_mean", "product", "minimum"})
