"""Which molecules to spend oracle calls on: values of candidates under what a surrogate expects of them."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moldesign.search.choices import Acquisition
from moldesign.search.surrogate import NOISE, Posterior


def chosen(
    acquisition: Acquisition, posterior: Posterior, n: int, *, best: float, generator: np.random.Generator
) -> list[int]:
    """The n candidates to score, as their places, the most wanted first.

    Args:
        posterior: of m candidates, n at most of which can be chosen; with its covariance for `information`.
        best: the score to improve on.
    """
    mean, sd = posterior.mean, posterior.sd
    n = min(n, len(mean))
    if acquisition == "random":
        return [int(i) for i in generator.permutation(len(mean))[:n]]
    if acquisition == "information":
        assert posterior.covariance is not None
        return informative(posterior.covariance, n)
    if acquisition in ("ucb", "thompson"):
        return _one_by_one(acquisition, mean, sd, n, generator)
    values = mean if acquisition == "greedy" else expected_improvement(mean, sd, best)
    return values.argsort(descending=True, stable=True)[:n].tolist()


def expected_improvement(mean: Tensor, sd: Tensor, best: float) -> Tensor:
    """(m,) E[max(score - best, 0)] of normal scores: sd (z Phi(z) + phi(z)), z = (mean - best) / sd.

    Jones et al. 1998, Efficient global optimization of expensive black-box functions, eq. 15.
    """
    z = (mean - best) / sd
    density = torch.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return torch.mul(sd, z * torch.special.ndtr(z) + density)


def informative(covariance: Tensor, n: int) -> list[int]:
    """The n candidates whose scores would take most of the variance of all, one after the other.

    Knowing the score of j takes c_ij^2 / (c_jj + noise) of the variance of i, and its sum over i is what is
    looked for; then c_ik loses c_ij c_jk / (c_jj + noise). Seo et al. 2000, Gaussian process regression:
    active data selection and test point rejection (ALC, after Cohn).

    Args:
        covariance: (m, m) of the candidates, in units of the variance of the scores.
    """
    left = covariance.clone()
    places: list[int] = []
    for _ in range(n):
        gain = (left**2).sum(0) / (left.diagonal() + NOISE)
        gain[places] = -torch.inf
        place = int(gain.argmax())
        places.append(place)
        column = left[:, place].clone()
        left -= torch.outer(column, column) / (column[place] + NOISE)
    return places


def _one_by_one(
    acquisition: Acquisition, mean: Tensor, sd: Tensor, n: int, generator: np.random.Generator
) -> list[int]:
    """Each choice by values of its own: the best that is left."""
    left = torch.zeros_like(mean)
    places: list[int] = []
    for _ in range(n):
        if acquisition == "ucb":
            # Tripp et al. 2021, A fresh look at de novo molecular design benchmarks: 10^x, x in [-2, 0].
            values = mean + 10 ** generator.uniform(-2.0, 0.0) * sd
        else:
            values = mean + sd * _normals(len(mean), generator)
        place = int((values + left).argmax())
        left[place] = -torch.inf
        places.append(place)
    return places


def _normals(n: int, generator: np.random.Generator) -> Tensor:
    drawn: NDArray[np.float32] = generator.standard_normal(n, dtype=np.float32)
    return torch.from_numpy(drawn)
