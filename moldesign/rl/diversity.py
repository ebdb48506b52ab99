"""Scaffold memory: a scaffold that has been found often enough earns less, then nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from moldesign.chem import scaffolds
from moldesign.chem.molecules import Mol, parse


class ScaffoldMemory:
    """Counts the good molecules of each Murcko scaffold and discounts crowded ones.

    The n-th good molecule of a scaffold keeps the share max(0, 1 - n / bucket_size) of its reward,
    n counting from 0: the linear form of Blaschke et al. 2020 (Memory-assisted reinforcement
    learning), which has no cliff. A molecule without rings is its own scaffold: all of them have
    the empty Murcko scaffold, and would otherwise share one bucket.

    Args:
        bucket_size: good molecules after which a scaffold earns nothing.
        min_reward: from here on a molecule is good and is counted.
    """

    def __init__(self, bucket_size: int, min_reward: float) -> None:
        self.bucket_size = bucket_size
        self.min_reward = min_reward
        self.counts: Counter[str] = Counter()

    def shares(self, molecules: Sequence[tuple[str, Mol]], rewards: np.ndarray) -> np.ndarray:
        """(n,) what each reward is to be multiplied by, the memory then holding these molecules too.

        Rows below min_reward are neither counted nor discounted.

        Args:
            molecules: each with its canonical SMILES.
        """
        out = np.ones(len(rewards))
        for row, (smiles, mol) in enumerate(molecules):
            if not rewards[row] >= self.min_reward:
                continue
            scaffold = scaffolds.murcko(mol) or smiles
            if rewards[row] > 0:  # a share of less than nothing would be more
                out[row] = max(0.0, 1.0 - self.counts[scaffold] / self.bucket_size)
            self.counts[scaffold] += 1
        return out

    def has_room(self, mol: Mol) -> bool:
        """Whether a molecule that was never found would earn anything."""
        scaffold = scaffolds.murcko(mol)
        return not scaffold or self.counts[scaffold] < self.bucket_size

    def earns(self, smiles: str) -> bool:
        """Whether another molecule of this one's scaffold would earn anything; the SMILES is canonical."""
        mol = parse(smiles)
        scaffold = (mol and scaffolds.murcko(mol)) or smiles
        return self.counts[scaffold] < self.bucket_size
