from __future__ import annotations

from collections import Counter

import numpy as np
import torch

from moldesign.search.brood import Brood


def test_the_most_wanted_are_parents_most_often_by_their_ranks() -> None:
    wanted = torch.from_numpy(np.random.default_rng(0).permutation(400)).float()
    brood = Brood([str(int(value)) for value in wanted], wanted)
    assert brood.smiles[:3] == ["399", "398", "397"]
    assert len(brood.smiles) == 300
    drawn = Counter(brood.parents(60_000, np.random.default_rng(1)))
    weights = 1 / (0.01 * 300 + np.arange(300))
    expected = 60_000 * weights / weights.sum()
    for rank in (0, 1, 7, 60):
        assert abs(drawn[str(399 - rank)] - expected[rank]) < 5 * np.sqrt(expected[rank])
