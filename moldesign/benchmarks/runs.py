"""Runs of a benchmark, each with a file of its own: what is there is not run again, so one that was cut short
goes on where it was.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from moldesign.errors import MoldesignError, ResourceError, UsageError
from moldesign.records.files import write_error, write_text

#: Calls from one point of a curve to the next.
EVERY = 100


class Task(Protocol):
    """A run that is to be there."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    def path(self, folder: Path) -> Path:
        """Where its figures are, once it is done."""

    def measure(self) -> dict[str, Any]:
        """Its figures."""

    def said(self, figures: Mapping[str, Any]) -> str:
        """They in a few words."""


def perform(
    tasks: Sequence[Task],
    folder: Path,
    *,
    jobs: int,
    threads: int,
    tell: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Run each task that has no file in the folder, and write it; what went wrong with those that failed.

    A run that fails (its training is no longer finite, ...) keeps no other from running.

    Args:
        jobs: runs at a time, each in a process of its own; 1: within this one.
        threads: of torch, for each run.

    Raises:
        ResourceError: a process was killed, such as for its memory.
        UsageError: a file cannot be written.
    """
    left = [task for task in tasks if not task.path(folder).exists()]
    failures: list[str] = []

    def done(outcome: tuple[str, bool], number: int) -> None:
        line, ended_well = outcome
        tell(f"{number} of {len(left)}: {line}")
        if not ended_well:
            failures.append(line)

    if jobs == 1:
        torch.set_num_threads(threads)
        for number, task in enumerate(left, 1):
            done(_perform_one(task, folder), number)
        return failures
    # Spawned: a fork of a process in which torch has threads may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(threads,))
    try:
        futures: list[Future[tuple[str, bool]]] = [pool.submit(_perform_one, task, folder) for task in left]
        for number, future in enumerate(as_completed(futures), 1):
            done(future.result(), number)
    except BrokenProcessPool:
        raise ResourceError(
            "a process was killed, for its memory perhaps: ask for fewer --jobs, and what is done is kept"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
    return failures


def _begin(threads: int) -> None:
    """Set up a process for runs, which ends with the one that started it, however that one ends."""
    torch.set_num_threads(threads)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        # A run takes minutes and listens to nobody: without this, a killed benchmark goes on for hours.
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _perform_one(task: Task, folder: Path) -> tuple[str, bool]:
    """Run a task and write its file; a line that says what came of it, and whether it ended well."""
    path = task.path(folder)
    try:
        figures = task.measure()
    except MoldesignError as error:
        return f"{task.name}: {error}", False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path.parent, error) from None
    write_text(path, json.dumps(figures) + "\n")
    return f"{task.name}: {task.said(figures)}", True


def require_same(path: Path, figures: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Pass if a run that is there is what one of now would be.

    Raises:
        UsageError: it has other settings, another budget, ...: they do not compare.
    """
    for key, value in wanted.items():
        if figures.get(key) != value:
            raise UsageError(
                f"{path}: a run with {key} {figures.get(key)}, not {value}; remove it, or name another folder"
            )


def auc(calls: Sequence[int], best: Sequence[float], budget: int) -> float:
    """The area under a curve of the best found over the calls, by trapezoids, as a share of the budget.

    The curve begins at (0, 0); what a run left of its budget counts at what it ended with. Gao et al. 2022,
    Sample efficiency matters, section 2.2, and its code, which looks every 100 calls.

    Args:
        calls: rising, of each point. best: at each point.
    """
    x, y = [0, *calls], [0.0, *best]
    return float(np.trapezoid(y, x) + (budget - x[-1]) * y[-1]) / budget
