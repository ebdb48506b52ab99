from __future__ import annotations

import numpy as np

from moldesign.search.bandit import Bandit
from moldesign.search.choices import Origin


def test_what_does_well_proposes_more_and_nothing_is_given_up() -> None:
    generator = np.random.default_rng(0)
    bandit = Bandit(dict.fromkeys(["policy", "prefix", "edit"]))
    rates: dict[Origin, float] = {"policy": 0.5, "prefix": 0.05, "edit": 0.0}
    shares = []
    for _ in range(200):
        quotas = bandit.quotas(300, generator, bandit.names)
        assert sum(quotas.values()) == 300
        shares.append([quotas[name] / 300 for name in rates])
        bandit.learn({name: (10, int(generator.binomial(10, rate))) for name, rate in rates.items()})
    good, poor, poorer = np.mean(shares[100:], axis=0)
    # Half of the proposals are dealt out evenly, a sixth to each.
    assert 0.55 < good < 0.67
    assert good > poor > poorer > 0.16


def test_it_notices_when_another_does_better() -> None:
    generator = np.random.default_rng(0)
    bandit = Bandit(dict.fromkeys(["policy", "edit"]))
    for step in range(200):
        good: Origin = "policy" if step < 100 else "edit"
        bandit.learn({name: (10, 5 if name == good else 0) for name in bandit.names})
        if step in (99, 199):
            quotas = [bandit.quotas(1000, generator, bandit.names)[good] for _ in range(20)]
            assert np.mean(quotas) > 680


def test_a_state_is_gone_back_to() -> None:
    bandit, other = (Bandit(dict.fromkeys(["policy", "edit"])) for _ in range(2))
    bandit.learn({"policy": (7, 3), "edit": (2, 2)})
    other.restore(bandit.state())
    bandit.learn({"policy": (1, 1)})  # which leaves the state alone
    other.learn({"policy": (1, 1)})
    first, second = (one.quotas(1000, np.random.default_rng(1), one.names) for one in (bandit, other))
    assert first == second


def test_fixed_shares_stay_what_they_are() -> None:
    bandit = Bandit({"policy": 4, "crossover": 1, "edit": 1})
    bandit.learn({"edit": (100, 100)})
    generator = np.random.default_rng(0)
    everyone = bandit.names
    assert bandit.quotas(60, generator, everyone) == {"policy": 40, "crossover": 10, "edit": 10}
    assert bandit.quotas(60, generator, ["edit", "crossover"]) == {"crossover": 30, "edit": 30}
    for n in range(1, 20):
        assert sum(bandit.quotas(n, generator, everyone).values()) == n


def test_who_offers_nothing_that_is_wanted_proposes_less() -> None:
    generator = np.random.default_rng(0)
    bandit = Bandit(dict.fromkeys(["policy", "crossover", "edit"]))
    for _ in range(100):
        bandit.learn({"policy": (5.0, 0), "crossover": (20, 2), "edit": (20, 2)})
    quotas = [bandit.quotas(600, generator, bandit.names)["policy"] for _ in range(20)]
    assert np.mean(quotas) < 130


def test_of_some_operators_the_better_still_proposes_more() -> None:
    generator = np.random.default_rng(0)
    bandit = Bandit(dict.fromkeys(["policy", "crossover", "edit"]))
    for _ in range(60):
        bandit.learn({"policy": (10, 9), "crossover": (10, 4), "edit": (10, 1)})
    quotas = bandit.quotas(1000, generator, ["crossover", "edit"])
    assert set(quotas) == {"crossover", "edit"}
    assert sum(quotas.values()) == 1000
    assert quotas["crossover"] > 1.5 * quotas["edit"]
