"""Replay: molecules that were written before, learned from again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moldesign.search.ranks import rank_weights

# What a remembered molecule has a value of for each of its tokens.
_ARRAYS = ("tokens", "prior_log_probs", "drawing_log_probs")


@dataclass(frozen=True)
class Remembered:
    """A molecule worth repeating.

    Attributes:
        smiles: canonical; what tells molecules apart.
        reward: after the diversity discount.
        tokens: (T,) as the policy wrote it, which may be another form than the canonical one; the end
            token included, no padding.
        prior_log_probs: (T,) nats; of each token under the prior. The prior stays as it is, so it
            reads a molecule once.
        drawing_log_probs: (T,) nats; of each token under the policy that wrote it, when it did.
        share: what the diversity discount left of the reward.
    """

    smiles: str
    reward: float
    tokens: NDArray[np.int64] = field(compare=False)
    prior_log_probs: NDArray[np.float32] = field(compare=False)
    drawing_log_probs: NDArray[np.float32] = field(compare=False)
    share: float = 1.0


class ReplayMemory:
    """Molecules to learn from again.

    Attributes:
        rows: best first, equal rewards in order of arrival; or newest first where the recent are kept.

    Args:
        capacity: how many are kept.
        keep: "best": each molecule once, and none that is worth nothing; "recent": whatever was written last,
            as often as it was: a sample of the policies that wrote it, as importance weights need it.
        weights: what a draw goes by: "reward", "rank" or "uniform".
        repeats: whether a draw may have a row several times. Without, one of few rows has nearly all of them.
    """

    def __init__(
        self, capacity: int, *, keep: str = "best", weights: str = "reward", repeats: bool = False
    ) -> None:
        self.capacity, self.keep, self.weights, self.repeats = capacity, keep, weights, repeats
        self.rows: list[Remembered] = []

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, molecules: Iterable[Remembered]) -> None:
        """Take in what is to be kept, and forget what is beyond the capacity."""
        if self.keep == "recent":
            self.rows = [*reversed([*molecules]), *self.rows][: self.capacity]
            return
        known = {row.smiles for row in self.rows}
        for molecule in molecules:
            if molecule.reward > 0 and molecule.smiles not in known:
                known.add(molecule.smiles)
                self.rows.append(molecule)
        self._sort()
        del self.rows[self.capacity :]

    def revalue(self, rewards: Sequence[float]) -> None:
        """Give each molecule, in the order of `rows`, a new reward."""
        self.rows = [replace(row, reward=reward) for row, reward in zip(self.rows, rewards, strict=True)]
        self._sort()

    def purge(self, wanted: Callable[[str], bool]) -> None:
        """Forget the molecules whose SMILES is not wanted."""
        self.rows = [row for row in self.rows if wanted(row.smiles)]

    def draw(self, n: int, generator: np.random.Generator) -> list[Remembered]:
        """n rows, by their weights; without repeats different ones, which may be fewer."""
        if not self.repeats:
            n = min(n, len(self.rows))
        if n == 0 or not self.rows:
            return []
        weights = self._weights()
        chosen = generator.choice(len(self.rows), size=n, replace=self.repeats, p=weights / weights.sum())
        return [self.rows[i] for i in chosen]

    def state(self) -> dict[str, Any]:
        """The rows, as lists, and arrays that hold one behind the other."""
        rows = self.rows
        return {
            "smiles": [row.smiles for row in rows],
            "rewards": [row.reward for row in rows],
            "shares": [row.share for row in rows],
            "lengths": [len(row.tokens) for row in rows],
            **{
                name: np.concatenate([getattr(row, name) for row in rows]) if rows else np.zeros(0)
                for name in _ARRAYS
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to rows."""
        ends = np.cumsum(state["lengths"], dtype=np.int64)[:-1]
        arrays = {name: np.split(state[name], ends) for name in _ARRAYS}
        self.rows = [
            Remembered(smiles, reward, share=share, **{name: parts[i] for name, parts in arrays.items()})
            for i, (smiles, reward, share) in enumerate(
                zip(state["smiles"], state["rewards"], state["shares"], strict=True)
            )
        ]

    def _weights(self) -> NDArray[np.float64]:
        n = len(self.rows)
        if self.weights == "uniform":
            return np.ones(n)
        rewards = np.array([row.reward for row in self.rows], dtype=np.float64)
        if self.weights == "rank":
            rank = np.argsort(np.argsort(-rewards, kind="stable"), kind="stable")
            return rank_weights(n)[rank]
        # Not below a billionth of the best: a share that rounds to zero could not be drawn at all.
        top = rewards.max()
        return np.asarray(np.maximum(rewards / top, 1e-9) if top > 0 else np.ones(n))

    def _sort(self) -> None:
        if self.keep == "best":
            self.rows.sort(key=lambda row: -row.reward)
