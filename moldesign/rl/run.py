"""A run of the loop: what it works with, and what it keeps of what happens."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from moldesign.errors import CheckpointError, MoldesignError, RewardError, one_line
from moldesign.policy.checkpoint import Provenance, save_policy
from moldesign.policy.policy import Policy
from moldesign.records.candidates import write_csv
from moldesign.records.files import make_folder
from moldesign.records.journal import EventLog, StepsJournal
from moldesign.records.ledger import Ledger, LedgerRow
from moldesign.records.run import RunDirectory
from moldesign.records.timeline import Timeline
from moldesign.rewards.executors import ObjectivePool
from moldesign.rewards.objective import Objective
from moldesign.rewards.oracle import Evaluation, Oracle, Status
from moldesign.rl.checkpoints import Checkpoints
from moldesign.rl.exports import Exports
from moldesign.rl.settings import OptimizeSettings
from moldesign.rl.steps import StepReport
from moldesign.text import tell

if TYPE_CHECKING:
    from moldesign.rewards.cluster import DaskPool

#: Of the loop; docs/optimize.md says what each is.
PHASES = ("draw", "score", "wait", "read", "weigh", "step", "remember")


class Run:
    """Agent, prior, oracle and records of one run. `opening` makes it, its `with` block ends it.

    Attributes:
        candidates: every scored molecule, best first (docs/candidates.md); there after `finish`.
        ledger: every oracle call in order, failures included; there after `finish`.
        hypervolume: calls, size of the front found by then, what it dominates; empty for one objective.
        timeline: seconds of each phase of the loop (docs/optimize.md); there after `stop`.
        clock: what measures them while the loop runs.
        stopped_by: why the run ended.
        saved: the state to go on from; None for a run that begins.
        path: the run directory; None for a run without files.
    """

    def __init__(
        self,
        directory: RunDirectory,
        prior: Policy,
        provenance: Provenance,
        objective: Objective,
        evaluator: Objective | ObjectivePool | DaskPool,
        settings: OptimizeSettings,
        on_step: Callable[[StepReport], None],
        export: Mapping[str, Any] | None = None,
        *,
        clock: Timeline | None = None,
        saved: dict[str, Any] | None = None,
    ) -> None:
        # The prior stays as it is; the agent begins as its copy.
        self.agent, self.prior, self.provenance, self.settings = prior.clone(), prior, provenance, settings
        self.objective, self._evaluator = objective, evaluator
        self.oracle = Oracle(evaluator, budget=settings.budget, book=self)
        self.stopped_by = ""
        self.clock = clock or Timeline(PHASES)
        self.timeline = pd.DataFrame()
        self.candidates = pd.DataFrame()
        self.ledger = pd.DataFrame()
        self.hypervolume = pd.DataFrame()
        self.path = directory.path if directory.lasting else None
        self._directory, self._on_step, self._export = directory, on_step, dict(export or {})
        self.saved = saved
        self._step = 0 if saved is None else saved["watch"]["step"]
        #: The step whose state is on the disk.
        self._kept = None if saved is None else self._step
        with contextlib.ExitStack() as opened:
            self._ledger = opened.enter_context(Ledger(directory.ledger, self.oracle.labels))
            self._steps = opened.enter_context(StepsJournal(directory.steps, keep=self._step))
            self._log = opened.enter_context(EventLog(directory.log))
            self._records = opened.pop_all()
        self._exports = Exports(directory, objective, self.agent, prior, provenance, self._log)
        self._checkpoints = Checkpoints(directory.checkpoint)
        self._finished = False
        self._last_checkpoint = time.monotonic()

    @contextlib.contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Close the records if the block ends with an error."""
        try:
            yield
        except BaseException:
            self._records.close()
            raise

    def begin(self, prior: str) -> None:
        """Note that the run begins, and from which prior."""
        self._log.write("started", prior=prior, components=list(self.oracle.labels))

    def take_up(self) -> None:
        """Give the oracle what the ledger holds, and forget what was under way when the run died."""
        lost = self._ledger.reserved()
        self._ledger.release(lost)
        rows = self._ledger.rows()
        state = self.oracle.state() if self.saved is None else self.saved["oracle"]
        known = state["calls"] + len(state["ahead"])
        if len(rows) < known:
            raise CheckpointError(
                f"{self._ledger.path}: holds {len(rows)} calls, and the checkpoint knows of {known}; "
                "was it copied without the files beside it (-wal)?"
            )
        try:
            self.oracle.restore((_evaluation(row) for row in rows), state)
        except ValueError as error:
            raise CheckpointError(f"{self._ledger.path}: not what a run has written ({error})") from None
        if self.saved is not None:
            self.clock.restore(self.saved["clock"])
        calls, paid = self.oracle.calls, self.oracle.paid
        self._log.write("resumed", step=self._step, calls=calls, paid=paid, under_way=len(lost))

    def record_step(self, report: StepReport, state: Callable[[], dict[str, Any]]) -> None:
        """Write a row of steps.csv, tell who watches, and keep the state now and then."""
        self._step = report.step
        with self.clock.phase("remember"):
            self._steps.write(asdict(report))
        self._on_step(report)
        due = time.monotonic() - self._last_checkpoint >= 60 * self.settings.checkpoint_minutes
        if due and self._directory.lasting:
            self._keep(state)

    def _keep(self, state: Callable[[], dict[str, Any]]) -> None:
        """Write a checkpoint: the state, and the agent as a policy file. One that is there stays as it is."""
        if self._kept == self._step:
            return
        self._checkpoints.save(self._step, {**state(), "clock": self.clock.state()})
        self._save_agent()
        self._last_checkpoint = time.monotonic()
        self._kept = self._step

    def say(self, what: str) -> None:
        """Put something that happened into log.jsonl, and on stderr."""
        self._log.write("guard", what=what)
        tell(what)

    def stop(self, reason: str, state: Callable[[], dict[str, Any]] | None = None) -> None:
        """End the loop: keep why, where its time went, and the state that a longer run would go on from."""
        self.stopped_by = reason
        if state is not None and self._directory.lasting:
            self._keep(state)
        pool = self._evaluator if isinstance(self._evaluator, ObjectivePool) else None
        at_work = sum(component.seconds for component in self.oracle.tally.components)
        self.timeline = self.clock.table(self._step, workers_s=at_work / pool.workers if pool else None)
        if self._directory.lasting:
            write_csv(self.timeline, self._directory.timeline)

    def finish(self) -> None:
        """Write candidates, learning curve and agent; fill `candidates` and `ledger`."""
        self._finished = True
        self._save_agent()
        self.ledger = self._ledger.read()
        self.hypervolume = self._exports.hypervolume(self.ledger)
        self._exports.components(self.oracle.tally.components)
        # Who interrupts does not want to wait for the search of the nearest; who goes on gets it at the end.
        quick = {"nearest_for": 0} if self.stopped_by == "interrupted" else {}
        self.candidates = self._exports.candidates(self.ledger, **{**self._export, **quick})
        self._log.write("finished", reason=self.stopped_by, calls=self.oracle.calls, steps=self._step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # A run that could not be taken up is left as it was.
            if error is not None and not self._finished and not isinstance(error, CheckpointError):
                self._rescue(error)
        finally:
            # Each of them, whatever becomes of the others: a disk that is full refuses the last line too.
            with contextlib.ExitStack() as last:
                last.callback(self._directory.close)
                if not isinstance(self._evaluator, Objective):
                    last.callback(self._evaluator.close)
                last.callback(self._records.close)

    def _rescue(self, error: BaseException) -> None:
        """Export what was paid for whatever went wrong; the error goes on its way after, and no other."""
        try:
            if not isinstance(error, RewardError):
                self.collect()
            if self.oracle.calls:
                self.stop(type(error).__name__)
                self.finish()
        except Exception as second:
            tell(f"what was found is in the ledger, and could not be exported: {one_line(str(second))}")

    def collect(self) -> None:
        """Wait for what workers have in hand, and record it."""
        if self.oracle.in_hand:
            tell(f"{self.oracle.in_hand} molecules are still being scored; Ctrl-C leaves them")
            with contextlib.suppress(MoldesignError, KeyboardInterrupt):
                self.oracle.collect()

    # What the oracle writes down: see `Book`.

    def reserve(self, smiles: Sequence[str]) -> None:
        """Keep which molecules are about to be scored."""
        with self.clock.phase("remember"):
            self._ledger.reserve(smiles, step=self._step + 1)

    def record(self, paid: Sequence[Evaluation]) -> None:
        """Keep what was scored."""
        with self.clock.phase("remember"):
            self._ledger.add(paid, step=self._step + 1)

    def release(self, smiles: Sequence[str]) -> None:
        """Forget what was to be scored and will not be."""
        self._ledger.release(smiles)

    def _save_agent(self) -> None:
        provenance = self.provenance.model_copy(update={"name": f"agent of {self.provenance.name}"})
        make_folder(self._directory.checkpoint)
        save_policy(self.agent, self._directory.checkpoint / "agent.safetensors", provenance)


def _evaluation(row: LedgerRow) -> Evaluation:
    """What the ledger says of a call, as the oracle said it."""
    status: Status = "failed" if row.status == "failed" else "scored"
    return Evaluation(row.smiles, status, row.score, row.raw, row.shaped, row.reason, row.call, row.origin)
