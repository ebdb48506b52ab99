from __future__ import annotations

import numpy as np

from moldesign.search.bandit import Bandit


def test_what_does_well_proposes_more_and_nothing_is_given_up() -> None:
    generator = np.random.default_rng(0)
    bandit = Bandit(["good", "poor", "poorer"])
    rates = {"good": 0.5, "poor": 0.05, "poorer": 0.0}
    shares = []
    for _ in range(200):
        quotas = bandit.quotas(300, generator)
        assert sum(quotas.values()) == 300
        shares.append([quotas[name] / 300 for name in rates])
        bandit.learn({name: (10, int(generator.binomial(10, rate))) for name, rate in rates.items()})
    good, poor, poorer = np.mean(shares[100:], axis=0)
    assert good > 0.7
    assert good > poor > poorer > 0.05


def test_it_notices_when_another_does_better() -> None:
    generator = np.random.default_rng(0)
    bandit = Bandit(["first", "second"])
    for step in range(200):
        good = "first" if step < 100 else "second"
        bandit.learn({name: (10, 5 if name == good else 0) for name in bandit.names})
        if step in (99, 199):
            quotas = [bandit.quotas(1000, generator)[good] for _ in range(20)]
            assert np.mean(quotas) > 800


def test_a_state_is_gone_back_to() -> None:
    bandit, other = Bandit(["a", "b"]), Bandit(["a", "b"])
    bandit.learn({"a": (7, 3), "b": (2, 2)})
    other.restore(bandit.state())
    bandit.learn({"a": (1, 1)})  # which leaves the state alone
    other.learn({"a": (1, 1)})
    first, second = (one.quotas(1000, np.random.default_rng(1)) for one in (bandit, other))
    assert first == second
