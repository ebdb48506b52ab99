from __future__ import annotations

from collections import Counter

import numpy as np

from moldesign.search.brood import Brood
from moldesign.search.relatives import Relatives


def test_the_best_are_parents_most_often_by_their_ranks() -> None:
    brood = Brood((str(i) for i in range(400)), 300, family=0, relatives=Relatives())
    assert brood.smiles == [str(i) for i in range(300)]
    drawn = Counter(brood.parents(60_000, np.random.default_rng(1)))
    weights = 1 / (0.01 * 300 + np.arange(300))
    expected = 60_000 * weights / weights.sum()
    for rank in (0, 1, 7, 60):
        assert abs(drawn[str(rank)] - expected[rank]) < 5 * np.sqrt(expected[rank])


def test_of_a_scaffold_only_the_best_few_are_bred_from() -> None:
    benzenes = ["c1ccc(" + "C" * i + ")cc1" for i in range(1, 7)]
    chains = ["C" * i for i in range(3, 9)]
    pyridine = "Cc1ccccn1"
    brood = Brood([*benzenes, *chains, pyridine], 100, family=2, relatives=Relatives())
    assert brood.smiles == [*benzenes[:2], *chains, pyridine]
    assert Brood([*benzenes, pyridine], 100, family=0, relatives=Relatives()).smiles == [*benzenes, pyridine]
    assert Brood([*benzenes, pyridine], 2, family=1, relatives=Relatives()).smiles == [benzenes[0], pyridine]
