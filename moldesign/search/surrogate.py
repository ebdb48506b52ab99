"""A model of the score: Gaussian processes over similarities of molecules, all hyper-parameters fixed."""

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
from moldesign.search.choices import Targets
from moldesign.search.kernels import Features, features, kernels

#: Variance of what the kernel cannot explain, beside a variance of 1 of what it can.
NOISE = 0.003
#: Deviation of the scores below which they count as all alike.
_LEAST_SD = 1e-3
#: Of the evidence for a process what is left of it a batch later.
_MEMORY = 0.95
#: Deviations beyond which a score is no more of a surprise.
_FAR = 5.0


@dataclass(frozen=True)
class Posterior:
    """What a surrogate expects of m molecules, in units of its targets.

    Attributes:
        mean: (m,). sd: (m,), of the target without noise.
        covariance: (m, m) in units of the variance of the targets; None unless asked for.
    """

    mean: Tensor
    sd: Tensor
    covariance: Tensor | None = None

    def joined(self, others: Posterior) -> Posterior:
        """What is expected of these and of others, without a covariance."""
        return Posterior(torch.cat([self.mean, others.mean]), torch.cat([self.sd, others.sd]))


class Processes:
    """Gaussian processes of mean 0 and variance 1 over one kind of fingerprints, each with its properties.

    Rasmussen & Williams 2006, Gaussian processes for machine learning, algorithm 2.1. New points extend the
    Cholesky factors: n^2 operations for each, not n^3 in all.

    Attributes:
        rows: what the kernels see of the n points.
        factors: of each (n, n) lower triangle L, L L^T = K + NOISE I.

    Args:
        properties: what these have of each kernel; see `kernels`.
    """

    def __init__(self, kind: Kind, properties: Sequence[float]) -> None:
        self.kind, self.properties = kind, tuple(properties)
        self.rows = features([], kind)
        self.factors = [torch.zeros((0, 0)) for _ in self.properties]

    def add(self, rows: Features) -> None:
        """Take in points, as one block."""
        n, m = len(self.rows), len(rows)
        between, within = self._similar(self.rows, rows), self._similar(rows, rows)
        for i, (factor, similar, own) in enumerate(zip(self.factors, between, within, strict=True)):
            cross = _solve(factor, similar)
            grown = torch.zeros((n + m, n + m))
            grown[:n, :n] = factor
            grown[n:, :n] = cross.T
            grown[n:, n:] = _factor(own - cross.T @ cross)
            self.factors[i] = grown
        self.rows = self.rows.joined(rows)

    def expect(self, rows: Features, targets: Tensor, *, covariance: int | None = None) -> list[Posterior]:
        """What targets (n,) of the points say of other molecules, by each process, in units of the targets.

        Args:
            covariance: the process whose covariance is wanted too.
        """
        found = []
        for i, (factor, similar) in enumerate(zip(self.factors, self._similar(self.rows, rows), strict=True)):
            weights = _solve(factor, targets[:, None])
            solved = _solve(factor, similar)
            mean = (solved.T @ weights)[:, 0]
            variance = (1.0 - (solved * solved).sum(0)).clamp(min=1e-6)
            between = None
            if i == covariance:
                (within,) = kernels(rows, rows, [self.properties[i]])
                between = within - solved.T @ solved
            found.append(Posterior(mean, variance.sqrt(), between))
        return found

    def _similar(self, first: Features, second: Features) -> list[Tensor]:
        return kernels(first, second, self.properties)


def _solve(factor: Tensor, right: Tensor) -> Tensor:
    solved: Tensor = torch.linalg.solve_triangular(factor, right, upper=False)
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
    """Processes over several kernels, each trusted as far as it has foretold scores of late.

    Attributes:
        smiles, scores: its points, in the order in which they came.
        trust: (processes,) their weights, which sum to 1.

    Args:
        kinds: of fingerprints. properties: what these have of a kernel, see `kernels`: there is a process for
            each with each kind.
        targets: what of the scores it looks at; see `Targets`.
        most: points beyond which it forgets; a quarter of them stay of the best, and a quarter of the others
            by chance.
    """

    def __init__(
        self,
        kinds: Sequence[Kind],
        *,
        most: int,
        properties: Sequence[float] = (0.0,),
        targets: Targets = "scores",
    ) -> None:
        self.processes = [Processes(kind, properties) for kind in kinds]
        self.most, self.kind_of_targets = most, targets
        self.smiles: list[str] = []
        self.scores: list[float] = []
        self._blocks: list[int] = []
        self._evidence = torch.zeros(len(kinds) * len(properties))

    def __len__(self) -> int:
        return len(self.smiles)

    @property
    def trust(self) -> Tensor:
        """(processes,) their weights, which sum to 1."""
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
        rows = self.features(mols)
        if self.smiles:
            self._judge(rows, scores)
        self._take(rows, smiles, scores)
        if len(self) > self.most:
            self._forget(generator)

    def features(self, mols: Sequence[Mol]) -> list[Features]:
        """What there is to see of molecules: of each kind of fingerprints, with the properties."""
        return [features(mols, one.kind) for one in self.processes]

    def expect(self, seen: Sequence[Features], *, covariance: bool = False) -> Posterior:
        """What it expects of molecules: the mean and the deviation of the mixture of its processes.

        Args:
            seen: their `features`.
            covariance: whether that of the molecules is wanted too: of the process trusted most.
        """
        targets = self.targets()
        trust = self.trust
        first = int(trust.argmax())
        each = self._expect(seen, targets, covariance=first if covariance else None)
        means, variances = torch.stack([one.mean for one in each]), torch.stack([one.sd**2 for one in each])
        mean = trust @ means
        variance = trust @ (variances + means**2) - mean**2
        return Posterior(mean, variance.clamp(min=1e-12).sqrt(), each[first].covariance)

    def targets(self) -> Tensor:
        """(n,) what it looks at of the scores of its points, at mean 0 and deviation 1."""
        return self._of_targets(torch.tensor(self.scores, dtype=torch.float32))

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
            rows = self.features([read(text) for text in block])
            self._take(rows, block, scores[first : first + size])
            first += size
        self._evidence = state["evidence"].clone()

    def _expect(
        self, seen: Sequence[Features], targets: Tensor, *, covariance: int | None = None
    ) -> list[Posterior]:
        """What each process expects, with the covariance of one."""
        found: list[Posterior] = []
        for processes, rows in zip(self.processes, seen, strict=True):
            wanted = None if covariance is None else covariance - len(found)
            found.extend(processes.expect(rows, targets, covariance=wanted))
        return found

    def _take(self, rows: Sequence[Features], smiles: Sequence[str], scores: Sequence[float]) -> None:
        for processes, own in zip(self.processes, rows, strict=True):
            processes.add(own)
        self.smiles.extend(smiles)
        self.scores.extend(scores)
        self._blocks.append(len(smiles))

    def _judge(self, rows: Sequence[Features], scores: Sequence[float]) -> None:
        """Add what each process had foretold of the scores, in nats a molecule, to its evidence."""
        targets = self.targets()
        # After scores all alike any other is a thousand deviations away, which says nothing of the features.
        wanted = self._of_targets(torch.tensor(scores, dtype=torch.float32)).clamp(-_FAR, _FAR)
        for i, found in enumerate(self._expect(rows, targets)):
            variance = found.sd**2 + NOISE
            log_density = -0.5 * ((wanted - found.mean) ** 2 / variance + (2 * math.pi * variance).log())
            self._evidence[i] = _MEMORY * self._evidence[i] + float(log_density.mean())

    def _of_targets(self, scores: Tensor) -> Tensor:
        """(m,) the targets of scores (m,), by mean, deviation and ranks of those of its points."""
        known = torch.tensor(self.scores, dtype=torch.float32)
        standard = (scores - known.mean()) / known.std(correction=0).clamp(min=_LEAST_SD)
        if self.kind_of_targets == "scores":
            return standard
        normal = normal_scores(scores, known)
        return normal if self.kind_of_targets == "ranks" else (standard + normal) / 2

    def _forget(self, generator: np.random.Generator) -> None:
        order = np.argsort(-np.array(self.scores), kind="stable")
        quarter = self.most // 4
        others = generator.choice(order[quarter:], quarter, replace=False)
        keep = np.sort(np.concatenate([order[:quarter], others]))
        rows = [processes.rows.rows(torch.from_numpy(keep)) for processes in self.processes]
        smiles, scores = [self.smiles[i] for i in keep], [self.scores[i] for i in keep]
        self.processes = [Processes(one.kind, one.properties) for one in self.processes]
        self.smiles, self.scores, self._blocks = [], [], []
        self._take(rows, smiles, scores)


def normal_scores(scores: Tensor, known: Tensor) -> Tensor:
    """(m,) the quantiles of a standard normal at the ranks of scores (m,) among those known (n,).

    Of equals the middle rank counts. Beasley et al. 2009, Rank-based inverse normal transformations.
    """
    ordered = known.sort().values
    ranks = (torch.searchsorted(ordered, scores) + torch.searchsorted(ordered, scores, right=True)) / 2
    return torch.as_tensor(torch.special.ndtri((ranks + 0.5) / (len(known) + 1)))
