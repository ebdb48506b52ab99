"""An objective evaluated by a pool of worker processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any

import numpy as np

from moldesign.chem.molecules import Mol, read
from moldesign.errors import RewardError, UsageError
from moldesign.rewards.objective import Objective, Scores, smiles_of

_objective: Objective | None = None


def _prepare(spec: dict[str, Any]) -> None:
    global _objective
    # A terminal sends Ctrl-C to every process; the run decides when its workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _objective = Objective.model_validate(spec)


def _leave_with_parent() -> None:
    """End this worker when the run is gone, also one that was killed and could not say so."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _evaluate(smiles: list[str]) -> Scores:
    if _objective is None:
        raise RuntimeError("the worker was not prepared")
    return _objective.evaluate([read(one) for one in smiles])


class ObjectivePool:
    """An objective with the same answers, computed by persistent worker processes.

    A worker that dies is replaced; its molecules are then evaluated one by one, and the one that
    kills a worker is failed. Workers are spawned: a script that makes a pool needs the
    `if __name__ == "__main__":` guard.

    Args:
        objective: one that TOML describes wholly.
        workers: processes.
    """

    def __init__(self, objective: Objective, workers: int) -> None:
        if workers < 1:
            raise ValueError(f"a pool needs a worker, not {workers}")
        if not objective.portable:
            raise UsageError(
                "a Python function cannot be sent to worker processes, nor a command; use one worker"
            )
        self._objective = objective
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the components."""
        return self._objective.labels

    @property
    def finished(self) -> bool:
        """Whether the objective wants no more calls."""
        return self._objective.finished

    def __enter__(self) -> ObjectivePool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def evaluate(self, mols: Sequence[Mol]) -> Scores:
        """As Objective.evaluate; a molecule that kills a worker is failed with that reason."""
        if not mols:
            return self._objective.evaluate(mols)
        smiles = smiles_of(mols)
        # Four chunks a batch at least: fewer leave workers idle at the end, more cost messages.
        size = max(1, -(-len(smiles) // max(4, self._workers)))
        chunks = [smiles[start : start + size] for start in range(0, len(smiles), size)]
        futures = [self._submit(chunk) for chunk in chunks]
        parts = []
        for chunk, future in zip(chunks, futures, strict=True):
            try:
                if future is None:
                    raise BrokenProcessPool
                parts.append(future.result())
            except BrokenProcessPool:
                parts.extend(self._alone(one) for one in chunk)
        return self._joined(parts)

    def _submit(self, chunk: list[str]) -> Future[Scores] | None:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_prepare,
                initargs=(self._objective.spec(),),
            )
        # A worker may start here, with SIGINT held back: Ctrl-C would end it before it ignores that.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return self._pool.submit(_evaluate, chunk)
        except BrokenProcessPool:
            return None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _alone(self, smiles: str) -> Scores:
        """The scores of one molecule, with nothing else in the pool, so that a death is its own."""
        for _ in range(2):
            future = self._submit([smiles])
            try:
                if future is not None:
                    return future.result()
            except BrokenProcessPool:
                self._renew()
                return self._failed("killed the worker process")
            self._renew()  # broken before: by another molecule
        raise RewardError("worker processes cannot be started")

    def _renew(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _failed(self, reason: str) -> Scores:
        nan = {label: np.full(1, np.nan) for label in self.labels}
        return Scores(np.full(1, np.nan), nan, dict(nan), [reason])

    def _joined(self, parts: Sequence[Scores]) -> Scores:
        return Scores(
            score=np.concatenate([part.score for part in parts]),
            raw={label: np.concatenate([part.raw[label] for part in parts]) for label in self.labels},
            shaped={label: np.concatenate([part.shaped[label] for part in parts]) for label in self.labels},
            reasons=[reason for part in parts for reason in part.reasons],
        )
