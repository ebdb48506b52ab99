from __future__ import annotations

import numpy as np
import pytest
import torch

from moldesign.search.acquisition import chosen, expected_improvement, informative
from moldesign.search.choices import ACQUISITIONS, Acquisition
from moldesign.search.surrogate import NOISE, Posterior


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_expected_improvement_is_the_integral() -> None:
    means, sds, best = [0.2, 0.5, 0.9], [0.1, 0.3, 0.01], 0.6
    found = expected_improvement(torch.tensor(means), torch.tensor(sds), best).tolist()
    x = np.linspace(-3, 4, 200_001)
    for value, mean, sd in zip(found, means, sds, strict=True):
        density = np.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))
        assert value == pytest.approx(np.trapezoid(np.maximum(x - best, 0) * density, x), abs=1e-5)


def test_each_way_wants_what_it_is_for(generator: np.random.Generator) -> None:
    # A sure good one, a bold one, and one that is neither.
    posterior = Posterior(torch.tensor([0.70, 0.45, 0.40]), torch.tensor([0.01, 0.40, 0.01]))

    def first(acquisition: Acquisition) -> set[int]:
        return {chosen(acquisition, posterior, 1, best=0.71, generator=generator)[0] for _ in range(200)}

    assert first("greedy") == {0}
    assert first("improvement") == {1}
    assert first("ucb") == {0, 1}
    assert first("thompson") == {0, 1}
    assert first("random") == {0, 1, 2}


def test_the_bolder_the_more_what_is_unsure_is_wanted(generator: np.random.Generator) -> None:
    posterior = Posterior(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    bold = [
        sum(
            chosen("ucb", posterior, 1, best=1.0, generator=generator, boldness=boldness) == [1]
            for _ in range(2000)
        )
        for boldness in (0.9, 2.0, 100.0)
    ]
    # 10^x exceeds 1 / boldness for x in [-2, 0]: never; in log10(2) / 2 of all draws; always.
    assert bold[0] == 0
    assert bold[1] / 2000 == pytest.approx(np.log10(2) / 2, abs=0.04)
    assert bold[2] == 2000


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
def test_a_batch_has_each_candidate_once(acquisition: Acquisition, generator: np.random.Generator) -> None:
    factor = torch.from_numpy(generator.standard_normal((30, 5))).float()
    covariance = factor @ factor.T + 0.1 * torch.eye(30)
    posterior = Posterior(torch.linspace(0, 1, 30), covariance.diagonal().sqrt(), covariance)
    places = chosen(acquisition, posterior, 12, best=0.5, generator=generator)
    assert len({*places}) == 12
    assert {*places} <= {*range(30)}
    assert len(chosen(acquisition, posterior, 99, best=0.5, generator=generator)) == 30


def test_the_most_informative_are_those_after_which_least_is_unknown() -> None:
    generator = np.random.default_rng(3)
    factor = torch.from_numpy(generator.standard_normal((12, 4))).double()
    covariance = factor @ factor.T + 0.2 * torch.eye(12, dtype=torch.float64)

    def unknown(places: list[int]) -> float:
        """The variance of all that is left once these are scored, by the equations of a Gaussian."""
        across, own = covariance[:, places], covariance[places][:, places]
        noisy = own + NOISE * torch.eye(len(places), dtype=torch.float64)
        return float((covariance - across @ torch.linalg.inv(noisy) @ across.T).diagonal().sum())

    taken: list[int] = []
    for place in informative(covariance, 4):
        best = min((i for i in range(12) if i not in taken), key=lambda i: unknown([*taken, i]))
        assert place == best
        taken.append(place)


def test_a_batch_is_not_the_same_molecule_many_times(generator: np.random.Generator) -> None:
    # Ten that are nearly one, a little better than ten that have nothing to do with one another.
    covariance = torch.eye(20)
    covariance[:10, :10] = 0.999 + 0.001 * torch.eye(10)
    mean = torch.cat([torch.full((10,), 0.1), torch.zeros(10)])
    ways: dict[Acquisition, int] = {"greedy": 8, "improvement": 1}
    for acquisition, wanted in ways.items():
        posterior = Posterior(mean, torch.ones(20), covariance)
        places = chosen(acquisition, posterior, 8, best=1.0, generator=generator)
        assert sum(place < 10 for place in places) == wanted
    alone = chosen("improvement", Posterior(mean, torch.ones(20)), 8, best=1.0, generator=generator)
    assert {*alone} <= {*range(10)}
