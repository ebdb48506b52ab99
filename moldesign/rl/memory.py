"""Replay: the best molecules so far, drawn again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray


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
        share: what the diversity discount left of the reward.
    """

    smiles: str
    reward: float
    tokens: NDArray[np.int64] = field(compare=False)
    prior_log_probs: NDArray[np.float32] = field(compare=False)
    share: float = 1.0


class ReplayMemory:
    """The `capacity` best molecules, each once, best first; equal rewards in order of arrival."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.rows: list[Remembered] = []

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, molecules: Iterable[Remembered]) -> None:
        """Take in what beats the worst; a molecule that is known, or worth nothing, is left out."""
        known = {row.smiles for row in self.rows}
        for molecule in molecules:
            if molecule.reward > 0 and molecule.smiles not in known:
                known.add(molecule.smiles)
                self.rows.append(molecule)
        self.rows.sort(key=lambda row: -row.reward)
        del self.rows[self.capacity :]

    def revalue(self, rewards: Sequence[float]) -> None:
        """Give each molecule, in the order of `rows`, a new reward."""
        self.rows = [replace(row, reward=reward) for row, reward in zip(self.rows, rewards, strict=True)]
        self.rows.sort(key=lambda row: -row.reward)

    def draw(self, n: int, generator: np.random.Generator) -> list[Remembered]:
        """Up to n different molecules, with probability proportional to reward."""
        n = min(n, len(self.rows))
        if n == 0:
            return []
        # Not below a billionth of the best: a share that rounds to zero could not be drawn at all.
        rewards = np.array([row.reward for row in self.rows])
        weights = np.maximum(rewards / rewards.max(), 1e-9)
        chosen = generator.choice(len(self.rows), size=n, replace=False, p=weights / weights.sum())
        return [self.rows[i] for i in chosen]
