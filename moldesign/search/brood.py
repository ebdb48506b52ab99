"""Candidates that are bred from before any of them is scored: a genetic algorithm on the acquisition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from moldesign.search.ranks import drawn_by_rank

#: Parents are the most wanted so many.
_BREEDING = 300


class Brood:
    """Molecules, ranked by how much each is wanted.

    Tripp et al. 2021, A fresh look at de novo molecular design benchmarks: the acquisition function is what
    a genetic algorithm maximises, as the oracle is too dear for that.

    Args:
        smiles: canonical. wanted: (n,) of each, in any unit.
    """

    def __init__(self, smiles: Sequence[str], wanted: Tensor) -> None:
        order = wanted.argsort(descending=True, stable=True)[:_BREEDING].tolist()
        self.smiles = [smiles[i] for i in order]

    def parents(self, n: int, generator: np.random.Generator) -> list[str]:
        """n of them, with repetition, the more wanted the likelier: by `rank_weights`."""
        return [self.smiles[i] for i in drawn_by_rank(len(self.smiles), n, generator)]
