"""The steps of a run as TensorBoard events."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from moldesign.policy.board import summary_writer
from moldesign.rl.steps import StepReport


class Board:
    """Writes each report of a run, a scalar a column of steps.csv, to a folder: a `progress` of `optimize`.

    The folder is made with the first report, when the run directory is there.

    Raises:
        UsageError: the package tensorboard is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._class = folder, summary_writer()
        self._writer: Any = None

    def __call__(self, report: StepReport) -> None:
        if self._writer is None:
            # A run that goes on from a checkpoint takes the steps after it again.
            self._writer = self._class(str(self._folder), purge_step=report.step)
        for name, value in asdict(report).items():
            if name != "step" and math.isfinite(value):
                self._writer.add_scalar(name, float(value), report.step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()
