"""What an objective says of molecules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from moldesign.chem.molecules import Mol, to_smiles
from moldesign.rewards.reward import Values


@dataclass(frozen=True)
class Scores:
    """What an objective says of n molecules. NaN in `score`: failed, and `reasons` says why.

    A component is NaN where it failed, and where it was spared: the score was known to be 0, or the
    molecule to be failed, before it.
    """

    score: Values
    raw: Mapping[str, Values]
    shaped: Mapping[str, Values]
    reasons: Sequence[str | None]
    #: Seconds that each reward took, and how many molecules it was asked for; without those from the cache.
    seconds: Mapping[str, float] = field(default_factory=dict)
    asked: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def failed(cls, labels: Sequence[str], reasons: Sequence[str]) -> Scores:
        """The scores of molecules that all failed."""
        nan = {label: np.full(len(reasons), np.nan) for label in labels}
        return cls(np.full(len(reasons), np.nan), nan, dict(nan), list(reasons))

    @classmethod
    def joined(cls, parts: Sequence[Scores]) -> Scores:
        """The scores of several lots of molecules as one; there is at least one lot."""
        return cls(
            score=np.concatenate([part.score for part in parts]),
            raw=_columns([part.raw for part in parts]),
            shaped=_columns([part.shaped for part in parts]),
            reasons=[reason for part in parts for reason in part.reasons],
            seconds=_sums([part.seconds for part in parts]),
            asked={label: int(n) for label, n in _sums([part.asked for part in parts]).items()},
        )


def _columns(parts: Sequence[Mapping[str, Values]]) -> dict[str, Values]:
    return {label: np.concatenate([part[label] for part in parts]) for label in parts[0]}


def _sums(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for part in parts:
        for label, value in part.items():
            sums[label] = sums.get(label, 0) + value
    return sums


class Pending(Protocol):
    """Scores that are on their way.

    A `concurrent.futures.Future` says that workers have them in hand; anything else scores in this
    process when the result is asked for.
    """

    def result(self) -> Scores: ...


class Evaluator(Protocol):
    """What an oracle needs of an objective; a pool of workers has it too.

    Several batches may be submitted before the result of the first is asked for.
    """

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def finished(self) -> bool: ...

    def submit(self, mols: Sequence[Mol], smiles: Sequence[str]) -> Pending: ...


def smiles_of(mols: Sequence[Mol]) -> list[str]:
    """Canonical isomeric SMILES of molecules: what travels to other processes."""
    return [to_smiles(mol) for mol in mols]
