"""Where an objective is evaluated: in this process, by a pool of worker processes, or on a cluster."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Self

from moldesign.chem.molecules import Mol
from moldesign.errors import UsageError
from moldesign.rewards.crew import LIFETIME, Crew
from moldesign.rewards.objective import Objective
from moldesign.rewards.scores import Scores, smiles_of
from moldesign.rewards.workers import MEMORY_MB, Setup

if TYPE_CHECKING:
    from moldesign.rewards.cluster import DaskPool


def open_evaluator(objective: Objective, workers: int | str = 1) -> Objective | ObjectivePool | DaskPool:
    """What evaluates the objective with so many workers: itself in this process, or a pool to be closed.

    Args:
        workers: processes on this machine; or the address of a Dask scheduler, `tcp://host:8786`, or
            the `.json` file that it wrote. With 1 an objective that may hang or crash gets one
            worker; any other is evaluated in this process.

    Raises:
        UsageError: workers that are none, or several for an objective with a Python function.
        RewardError: no such scheduler, or Dask is not installed.
    """
    if isinstance(workers, str):
        if "://" in workers or workers.endswith(".json"):
            from moldesign.rewards.cluster import DaskPool

            return DaskPool(objective, workers)
        if not workers.isdecimal():
            raise UsageError(f"workers are a number or the address of a Dask scheduler, not '{workers}'")
        workers = int(workers)
    if workers < 1:
        raise UsageError(f"at least 1 worker is needed, not {workers}")
    if workers == 1 and not (objective.isolated and objective.portable):
        return objective
    return ObjectivePool(objective, workers)


class ObjectivePool:
    """An objective with the same answers, computed by worker processes that each built it once.

    A molecule that takes longer than the objective's limit, needs more memory than a worker may
    have, or ends its worker is failed with that reason, and costs nothing but a new worker: the others
    of its chunk are evaluated again, one by one.

    Args:
        objective: one that TOML describes wholly.
        workers: processes.
        memory_mb: of each worker.
        lifetime: molecules after which a worker is replaced.

    Raises:
        UsageError: an objective with a Python function, or a command of the command line.
    """

    def __init__(
        self, objective: Objective, workers: int = 1, *, memory_mb: int = MEMORY_MB, lifetime: int = LIFETIME
    ) -> None:
        if workers < 1:
            raise ValueError(f"a pool needs a worker, not {workers}")
        self._objective = objective
        #: How many processes score.
        self.workers = workers
        self._crew = Crew(Setup.of(objective, memory_mb), workers, lifetime)
        # Also where nobody closes: when the pool is forgotten, and at the end of the interpreter.
        self._finalize = weakref.finalize(self, self._crew.close)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the components."""
        return self._objective.labels

    @property
    def finished(self) -> bool:
        """Whether the objective wants no more calls."""
        return self._crew.finished

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that are running or starting."""
        return self._crew.pids()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start all workers, without waiting until they are ready. The first batch would do it too."""
        self._crew.start()

    def close(self) -> None:
        """End the workers, in two seconds at most; batches that are not done are cancelled."""
        self._finalize()

    def evaluate(self, mols: Sequence[Mol], smiles: Sequence[str] | None = None) -> Scores:
        """As Objective.evaluate; what hangs, crashes or takes too much memory fails alone.

        Args:
            smiles: the canonical isomeric SMILES of the molecules, if known: they need not be written.
        """
        scores = self.submit(mols, smiles)
        try:
            return scores.result()
        except BaseException:
            scores.cancel()
            raise

    def submit(self, mols: Sequence[Mol], smiles: Sequence[str] | None = None) -> Future[Scores]:
        """As `evaluate`, without waiting: the scores come while this process does something else."""
        if not mols:
            nothing: Future[Scores] = Future()
            nothing.set_result(self._objective.evaluate(mols))
            return nothing
        return self._crew.submit(smiles_of(mols) if smiles is None else smiles)
