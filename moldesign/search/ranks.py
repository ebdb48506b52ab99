"""How much likelier the better of several is drawn."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# How much the best are preferred: the smaller, the more.
_K = 0.01


def rank_weights(n: int) -> NDArray[np.float64]:
    """(n,) of the best, the second best, ...: 1 / (k n + rank).

    Tripp & Hernandez-Lobato 2020, Sample-efficient optimization in the latent space of deep generative models
    via weighted retraining, eq. 3.
    """
    return np.asarray(1.0 / (_K * n + np.arange(n)))


def drawn_by_rank(m: int, n: int, generator: np.random.Generator) -> list[int]:
    """n ranks below m, with repetition, each by its `rank_weights`."""
    ends = _ends(m)
    places: list[int] = np.searchsorted(ends, generator.random(n) * ends[-1], side="right").tolist()
    return places


@lru_cache(maxsize=64)
def _ends(m: int) -> NDArray[np.float64]:
    return np.cumsum(rank_weights(m))
