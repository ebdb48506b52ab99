"""A model of the score: Gaussian processes over Tanimoto similarities, whose hyper-parameters are fixed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moldesign.chem.fingerprints import Kind
from moldesign.chem.molecules import Mol
from moldesign.search.kernels import features, tanimoto

#: Variance of what the kernel cannot explain, beside a variance of 1 of what it can.
NOISE = 0.01
#: Of the variance of the scores: below it they count as all alike.
_LEAST_SD = 1e-3
#: Of the evidence for a process what is left of it a batch later.
_MEMORY = 0.95
#: Deviations beyond which a score is no more of a surprise.
_FAR = 5.0


@dataclass(frozen=True)
class Posterior:
    """What a surrogate expects of m molecules, in units of the score.

    Attributes:
        mean: (m,). sd: (m,), of the score without noise.
        covariance: (m, m) in units of the variance of the scores; None unless asked for.
    """

    mean: Tensor
    sd: Tensor
    covariance: Tensor | None = None


class Process:
    """A Gaussian process of mean 0 and variance 1 over one kind of features.

    Rasmussen & Williams 2006, Gaussian processes for machine learning, algorithm 2.1. New points extend the
    Cholesky factor: n^2 operations for each, not n^3 in all.

    Attributes:
        rows: (n, WIDTH) features of its points.
        factor: (n, n) lower triangle L, L L^T = K + NOISE I.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.rows = features([], kind)
        self.factor = torch.zeros((0, 0))

    def add(self, rows: Tensor) -> None:
        """Take in points, as one block."""
        n, m = len(self.rows), len(rows)
        cross = self._solve(tanimoto(self.rows, rows))
        own = tanimoto(rows, rows) - cross.T @ cross
        grown = torch.zeros((n + m, n + m))
        grown[:n, :n] = self.factor
        grown[n:, :n] = cross.T
        grown[n:, n:] = _factor(own)
        self.factor, self.rows = grown, torch.cat([self.rows, rows])

    def expect(self, rows: Tensor, targets: Tensor, *, covariance: bool = False) -> Posterior:
        """What targets (n,) of its points say of other molecules, in units of the targets."""
        similar = tanimoto(self.rows, rows)
        weights = self._solve(targets[:, None])
        solved = self._solve(similar)
        mean = (solved.T @ weights)[:, 0]
        variance = (1.0 - (solved * solved).sum(0)).clamp(min=1e-6)
        between = tanimoto(rows, rows) - solved.T @ solved if covariance else None
        return Posterior(mean, variance.sqrt(), between)

    def _solve(self, right: Tensor) -> Tensor:
        solved: Tensor = torch.linalg.solve_triangular(self.factor, right, upper=False)
        return solved


def _factor(covariance: Tensor) -> Tensor:
    """(m, m) lower triangle of a covariance with NOISE, or with as much more as rounding makes necessary."""
    own = torch.eye(len(covariance))
    factor, failed = torch.linalg.cholesky_ex(covariance + NOISE * own)
    if int(failed):
        lowest = float(torch.linalg.eigvalsh(covariance.double())[0])
        factor = torch.linalg.cholesky(covariance + (2 * abs(lowest) + NOISE) * own)
    return torch.as_tensor(factor)


class Surrogate:
    """Processes over several kinds of features, each trusted as far as it has foretold scores of late.

    Attributes:
        smiles, scores: its points, in the order in which they came.
        trust: (kinds,) weights of the processes, which sum to 1.

    Args:
        most: points beyond which it forgets; a quarter of them stay of the best, and a quarter of the others
            by chance.
    """

    def __init__(self, kinds: Sequence[Kind], *, most: int) -> None:
        self.processes = [Process(kind) for kind in kinds]
        self.most = most
        self.smiles: list[str] = []
        self.scores: list[float] = []
        self._blocks: list[int] = []
        self._evidence = torch.zeros(len(kinds))

    def __len__(self) -> int:
        return len(self.smiles)

    @property
    def trust(self) -> Tensor:
        """(kinds,) weights of the processes, which sum to 1."""
        return torch.softmax(self._evidence, 0)

    def add(
        self,
        smiles: Sequence[str],
        mols: Sequence[Mol],
        scores: Sequence[float],
        generator: np.random.Generator,
    ) -> None:
        """Take in molecules that were scored, after seeing how well each process had foretold them."""
        if not len(smiles):
            return
        rows = [features(mols, process.kind) for process in self.processes]
        if self.smiles:
            self._judge(rows, scores)
        self._take(rows, smiles, scores)
        if len(self) > self.most:
            self._forget(generator)

    def expect(self, mols: Sequence[Mol], *, covariance: bool = False) -> Posterior:
        """What it expects of molecules: the mean and the deviation of the mixture of its processes.

        Args:
            covariance: whether that of the molecules is wanted too: of the process trusted most.
        """
        targets, mean, sd = self._targets()
        each = [
            process.expect(features(mols, process.kind), targets, covariance=covariance)
            for process in self.processes
        ]
        trust = self.trust
        means, variances = torch.stack([one.mean for one in each]), torch.stack([one.sd**2 for one in each])
        centre = trust @ means
        variance = trust @ (variances + means**2) - centre**2
        first = each[int(trust.argmax())]
        return Posterior(mean + sd * centre, sd * variance.clamp(min=1e-12).sqrt(), first.covariance)

    def state(self) -> dict[str, Any]:
        """Its points in their blocks: the factors, which come of them, are made again to the bit."""
        return {
            "smiles": self.smiles,
            "scores": self.scores,
            "blocks": self._blocks,
            "evidence": self._evidence.clone(),
        }

    def restore(self, state: Mapping[str, Any], read: Callable[[str], Mol]) -> None:
        """Go back to a state.

        Args:
            read: the molecule of a SMILES.
        """
        smiles, scores, first = state["smiles"], state["scores"], 0
        for size in state["blocks"]:
            block = smiles[first : first + size]
            mols = [read(text) for text in block]
            rows = [features(mols, process.kind) for process in self.processes]
            self._take(rows, block, scores[first : first + size])
            first += size
        self._evidence = state["evidence"].clone()

    def _take(self, rows: Sequence[Tensor], smiles: Sequence[str], scores: Sequence[float]) -> None:
        for process, own in zip(self.processes, rows, strict=True):
            process.add(own)
        self.smiles.extend(smiles)
        self.scores.extend(scores)
        self._blocks.append(len(smiles))

    def _judge(self, rows: Sequence[Tensor], scores: Sequence[float]) -> None:
        """Add what each process had foretold of the scores, in nats a molecule, to its evidence."""
        targets, mean, sd = self._targets()
        # After scores all alike any other is a thousand deviations away, which says nothing of the features.
        wanted = ((torch.tensor(scores, dtype=torch.float32) - mean) / sd).clamp(-_FAR, _FAR)
        for i, (process, own) in enumerate(zip(self.processes, rows, strict=True)):
            found = process.expect(own, targets)
            variance = found.sd**2 + NOISE
            log_density = -0.5 * ((wanted - found.mean) ** 2 / variance + (2 * math.pi * variance).log())
            self._evidence[i] = _MEMORY * self._evidence[i] + float(log_density.mean())

    def _targets(self) -> tuple[Tensor, float, float]:
        """(n,) scores of its points at mean 0 and deviation 1, and what these were."""
        scores = torch.tensor(self.scores, dtype=torch.float32)
        mean = float(scores.mean())
        sd = max(float(scores.std(correction=0)), _LEAST_SD)
        return (scores - mean) / sd, mean, sd

    def _forget(self, generator: np.random.Generator) -> None:
        order = np.argsort(-np.array(self.scores), kind="stable")
        quarter = self.most // 4
        others = generator.choice(order[quarter:], quarter, replace=False)
        keep = np.sort(np.concatenate([order[:quarter], others]))
        rows = [process.rows[torch.from_numpy(keep)] for process in self.processes]
        smiles, scores = [self.smiles[i] for i in keep], [self.scores[i] for i in keep]
        self.processes = [Process(process.kind) for process in self.processes]
        self.smiles, self.scores, self._blocks = [], [], []
        self._take(rows, smiles, scores)
