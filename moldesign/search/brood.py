"""Molecules that are bred from: the best that were scored, or those that are wanted most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from moldesign.search.ranks import drawn_by_rank
from moldesign.search.relatives import Relatives


class Brood:
    """The first molecules of a ranking, without too many of a kind.

    Args:
        ranked: canonical SMILES, the best first.
        size: molecules at most.
        family: of a scaffold, at most; 0: any number. Those without rings are of no family.
        relatives: that know the scaffolds.
    """

    def __init__(self, ranked: Iterable[str], size: int, *, family: int, relatives: Relatives) -> None:
        self.smiles: list[str] = []
        counts = Counter[str]()
        for smiles in ranked:
            if len(self.smiles) >= size:
                break
            if family:
                scaffold = relatives.scaffold(smiles)
                if scaffold and counts[scaffold] >= family:
                    continue
                counts[scaffold] += 1
            self.smiles.append(smiles)

    def parents(self, n: int, generator: np.random.Generator) -> list[str]:
        """n of them, with repetition, the better the likelier: by `rank_weights`."""
        return [self.smiles[i] for i in drawn_by_rank(len(self.smiles), n, generator)]
