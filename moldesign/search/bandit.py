"""How many proposals each operator makes: a fixed share, or the more the better its proposals turn out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from moldesign.search.choices import Origin

#: What is left of a count a step later.
_MEMORY = 0.97
#: What every operator gets of the proposals, whatever came of its own, as a share of an even part.
_FLOOR = 0.5


class Bandit:
    """Thompson sampling of the share of an operator's scored proposals that joined the best.

    Chapelle & Li 2011, An empirical evaluation of Thompson sampling, with counts that fade: what helps at the
    beginning of a run may not help at its end.

    Attributes:
        good, bad: (k,) proposals of each operator that did and did not join the best, fading. One whose
            proposals nobody wants does badly too.

    Args:
        shares: the operators, and of each its share in any unit, or None for all.
    """

    def __init__(self, shares: Mapping[Origin, float | None]) -> None:
        self.names = tuple(shares)
        fixed = np.array([share or 0.0 for share in shares.values()])
        self._fixed = fixed / fixed.sum() if fixed.any() else None
        self.good, self.bad = np.ones(len(shares)), np.ones(len(shares))

    def quotas(self, n: int, generator: np.random.Generator, names: Collection[Origin]) -> dict[Origin, int]:
        """How many of n proposals each operator is to make.

        Args:
            names: of those that make them.
        """
        at_work = np.array([name in names for name in self.names])
        among = [name for name in self.names if name in names]
        if self._fixed is not None:
            # The whole parts add up to n once each sum of shares is rounded.
            fixed = self._fixed[at_work]
            ends = np.rint(np.cumsum(fixed / fixed.sum()) * n).astype(int)
            return dict(zip(among, np.diff(ends, prepend=0).tolist(), strict=True))
        rates = generator.beta(self.good, self.bad)[at_work]
        shares = _FLOOR / len(among) + (1 - _FLOOR) * rates / rates.sum()
        counts = generator.multinomial(n, shares / shares.sum())
        return dict(zip(among, counts.tolist(), strict=True))

    def learn(self, outcomes: Mapping[Origin, tuple[float, int]]) -> None:
        """Take in a step: of each operator, how many could have been good, and how many joined the best."""
        self.good, self.bad = 1 + _MEMORY * (self.good - 1), 1 + _MEMORY * (self.bad - 1)
        for i, name in enumerate(self.names):
            tried, joined = outcomes.get(name, (0, 0))
            self.good[i] += joined
            self.bad[i] += max(tried - joined, 0)

    def state(self) -> dict[str, Any]:
        """The counts."""
        return {"good": self.good.copy(), "bad": self.bad.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to counts."""
        self.good, self.bad = state["good"].copy(), state["bad"].copy()
