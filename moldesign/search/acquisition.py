"""Which molecules to spend oracle calls on: values of candidates under what a surrogate expects of them."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moldesign.search.choices import Acquisition
from moldesign.search.surrogate import NOISE, Posterior

#: Those by which candidates can be compared one by one.
VALUED: frozenset[Acquisition] = frozenset({"greedy", "ucb", "improvement", "thompson"})


def chosen(
    acquisition: Acquisition,
    posterior: Posterior,
    n: int,
    *,
    best: float,
    generator: np.random.Generator,
    boldness: float = 1.0,
) -> list[int]:
    """The n candidates to score, as their places, the most wanted first.

    Each is chosen by values of its own, of those left. With a covariance, what is chosen makes its relatives
    surer, so that a batch is not the same molecule n times (Desautels et al. 2014, Parallelizing
    exploration-exploitation tradeoffs in Gaussian process bandit optimization, algorithm 1).

    Args:
        posterior: of m candidates, n at most of which can be chosen; with its covariance for `information`.
        best: the target to improve on.
        boldness: of `ucb`: see `values`.
    """
    n = min(n, len(posterior.mean))
    if acquisition == "random":
        return [int(i) for i in generator.permutation(len(posterior.mean))[:n]]
    if acquisition == "information":
        assert posterior.covariance is not None
        return informative(posterior.covariance, n)
    taken = torch.zeros_like(posterior.mean)
    left = None if posterior.covariance is None else posterior.covariance.clone()
    places: list[int] = []
    for _ in range(n):
        now = posterior
        if left is not None and posterior.covariance is not None:
            known = (left.diagonal() / posterior.covariance.diagonal()).clamp(1e-6, 1.0)
            now = Posterior(posterior.mean, posterior.sd * known.sqrt())
        wanted = values(acquisition, now, best=best, generator=generator, boldness=boldness)
        place = int((wanted + taken).argmax())
        taken[place] = -torch.inf
        places.append(place)
        if left is not None:
            _know(left, place)
    return places


def values(
    acquisition: Acquisition,
    posterior: Posterior,
    *,
    best: float,
    generator: np.random.Generator,
    boldness: float = 1.0,
) -> Tensor:
    """(m,) how much each candidate is wanted, by one of VALUED.

    Args:
        best: the target to improve on.
        boldness: deviations that `ucb` adds to the mean at most, and a hundredth of it at least.
    """
    mean, sd = posterior.mean, posterior.sd
    if acquisition == "greedy":
        return mean
    if acquisition == "ucb":
        # Tripp et al. 2021, A fresh look at de novo molecular design benchmarks: 10^x, x in [-2, 0].
        return mean + boldness * 10 ** generator.uniform(-2.0, 0.0) * sd
    if acquisition == "thompson":
        return mean + sd * _normals(len(mean), generator)
    return expected_improvement(mean, sd, best)


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
    looked for. Seo et al. 2000, Gaussian process regression: active data selection and test point rejection
    (ALC, after Cohn).

    Args:
        covariance: (m, m) of the candidates, in units of the variance of the targets.
    """
    left = covariance.clone()
    places: list[int] = []
    for _ in range(n):
        gain = (left**2).sum(0) / (left.diagonal() + NOISE)
        gain[places] = -torch.inf
        place = int(gain.argmax())
        places.append(place)
        _know(left, place)
    return places


def _know(covariance: Tensor, place: int) -> None:
    """Take what the score of one candidate would tell: c_ik loses c_ij c_jk / (c_jj + noise)."""
    column = covariance[:, place].clone()
    covariance -= torch.outer(column, column) / (column[place] + NOISE)


def _normals(n: int, generator: np.random.Generator) -> Tensor:
    drawn: NDArray[np.float32] = generator.standard_normal(n, dtype=np.float32)
    return torch.from_numpy(drawn)
