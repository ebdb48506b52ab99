"""A run of the loop: what it needs, opened; what it leaves behind, written."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import torch

from moldesign.assets import corpus_path, home, prior_path, shipped
from moldesign.chem.neighbours import NearestNeighbours
from moldesign.errors import CheckpointError, MoldesignError, ResourceError, RewardError, UsageError
from moldesign.files import sha256
from moldesign.language import corpus
from moldesign.policy.checkpoint import Provenance, load_policy, save_policy
from moldesign.policy.devices import device_facts
from moldesign.policy.policy import Policy
from moldesign.policy.threads import settle_threads
from moldesign.records import figures, structures
from moldesign.records.candidates import (
    NEAREST_FOR,
    Kept,
    Nearest,
    best_first,
    candidates_table,
    with_nearest,
    write_csv,
)
from moldesign.records.columns import component_columns
from moldesign.records.journal import EventLog, StepsJournal
from moldesign.records.ledger import Ledger, LedgerRow
from moldesign.records.run import RunDirectory
from moldesign.records.timeline import Timeline
from moldesign.rewards import trust
from moldesign.rewards.component import PYTHON, front_points
from moldesign.rewards.executors import ObjectivePool, open_evaluator
from moldesign.rewards.fronts import hypervolume_curve, on_front
from moldesign.rewards.loading import load_objective
from moldesign.rewards.objective import Objective
from moldesign.rewards.oracle import Evaluation, Oracle, Status
from moldesign.rl.checkpoints import KEPT, Checkpoints
from moldesign.rl.recipes import check_prior
from moldesign.rl.settings import OptimizeSettings
from moldesign.rl.steps import StepReport
from moldesign.settings import build

if TYPE_CHECKING:
    from moldesign.rewards.cluster import DaskPool

#: What a run that is taken up may be given other values of.
LIMITS = ("budget", "max_steps", "max_hours", "target", "patience", "workers")

#: Of the loop; docs/optimize.md says what each is.
PHASES = ("draw", "score", "wait", "read", "weigh", "step", "remember")


def default_device() -> torch.device:
    """The first CUDA device where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Run:
    """Agent, prior, oracle and records of one run. Made by `open`, ended by `finish` and by its `with` block.

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
        agent: Policy,
        prior: Policy,
        provenance: Provenance,
        objective: Objective,
        evaluator: Objective | ObjectivePool | DaskPool,
        settings: OptimizeSettings,
        directory: RunDirectory,
        scratch: tempfile.TemporaryDirectory[str] | None,
        on_step: Callable[[StepReport], None],
        export: dict[str, Any],
        clock: Timeline | None,
        saved: dict[str, Any] | None = None,
    ) -> None:
        self.agent, self.prior, self.provenance, self.settings = agent, prior, provenance, settings
        self.objective, self._evaluator = objective, evaluator
        self.oracle = Oracle(evaluator, budget=settings.budget, book=self)
        self.stopped_by = ""
        self.clock = clock or Timeline(PHASES)
        self.timeline = pd.DataFrame()
        self.candidates = pd.DataFrame()
        self.ledger = pd.DataFrame()
        self.hypervolume = pd.DataFrame()
        self.path = None if scratch else directory.path
        self._directory, self._scratch, self._on_step = directory, scratch, on_step
        self._export = export
        self.saved = saved
        self._step = 0 if saved is None else saved["watch"]["step"]
        with contextlib.ExitStack() as opened:
            self._ledger = opened.enter_context(Ledger(directory.ledger, self.oracle.labels))
            self._steps = opened.enter_context(StepsJournal(directory.steps, keep=self._step))
            self._log = opened.enter_context(EventLog(directory.log))
            self._records = opened.pop_all()
        self._checkpoints = Checkpoints(directory.checkpoint)
        self._finished = False
        self._last_checkpoint = time.monotonic()

    @classmethod
    def open(
        cls,
        objective: Any,
        *,
        prior: str | Path,
        out: str | Path | None,
        settings: OptimizeSettings,
        progress: bool | Callable[[StepReport], None],
        export: dict[str, Any] | None = None,
        clock: Timeline | None = None,
    ) -> Self:
        """A run ready for its first step. All that can be wrong is found before a file is written.

        Args:
            export: what `finish` is to be called with when an error ends the run.
            clock: what measures the phases of the loop; None for a new one.

        Raises:
            UsageError, CheckpointError, RewardError: as `optimize`.
        """
        settle_threads()
        resolved = load_objective(objective)
        with _evaluating(resolved, settings.workers) as evaluator:
            # The prior stays as it is; the agent begins as its copy.
            policy, provenance = load_policy(prior_path(prior), device=default_device())
            check_prior(settings, policy)
            scratch = tempfile.TemporaryDirectory(prefix="moldesign-") if out is None else None
            directory = RunDirectory.create(Path(scratch.name) / "run" if scratch else Path(str(out)))
            try:
                _check_room(directory.path, policy)
                directory.write_config(_config(prior, settings, resolved))
                directory.write_environment(
                    seed=settings.seed,
                    threads=torch.get_num_threads(),
                    trusted=trust.trusted(),
                    inputs=[prior_path(prior), resolved.spec()],
                    device=device_facts(),
                )
                run = cls(
                    policy.clone(),
                    policy,
                    provenance,
                    resolved,
                    evaluator,
                    settings,
                    directory,
                    scratch,
                    _watcher(progress),
                    export or {},
                    clock,
                )
                with run._closed_on_error():
                    run._log.write("started", prior=str(prior), components=list(run.oracle.labels))
            except BaseException:
                # Nothing is scored yet: as if it had never been begun.
                directory.discard()
                raise
        return run

    @classmethod
    def reopen(
        cls,
        path: str | Path,
        *,
        objective: Any,
        progress: bool | Callable[[StepReport], None],
        export: dict[str, Any] | None = None,
        limits: Mapping[str, Any] | None = None,
    ) -> Self:
        """The run in a directory, ready for the step after its last checkpoint, or for its first.

        What the ledger holds beyond that was paid already: it is not paid again when it is asked for.

        Raises:
            UsageError, CheckpointError, RewardError, RunLocked: as `resume`.
        """
        settle_threads()
        directory = RunDirectory.open(path)
        try:
            config = directory.read_config()
            settings = _settings(directory, config, limits or {})
            resolved = _objective(directory, config, objective)
            saved = Checkpoints(directory.checkpoint).newest(_tell)
            prior = config["prior"]
            _check_inputs(directory, prior_path(prior))
            with _evaluating(resolved, settings.workers) as evaluator:
                policy, provenance = load_policy(prior_path(prior), device=default_device())
                _check_room(directory.path, policy)
                run = cls(
                    policy.clone(),
                    policy,
                    provenance,
                    resolved,
                    evaluator,
                    settings,
                    directory,
                    None,
                    _watcher(progress),
                    export or {},
                    None,
                    saved,
                )
                with run._closed_on_error():
                    run._take_up()
                    directory.write_config(_config(prior, settings, resolved))
        except BaseException:
            directory.close()
            raise
        return run

    def _take_up(self) -> None:
        """Give the oracle what the ledger holds, and forget what was under way when the run died."""
        lost = self._ledger.reserved()
        self._ledger.release(lost)
        state = self.oracle.state() if self.saved is None else self.saved["oracle"]
        self.oracle.restore((_evaluation(row) for row in self._ledger.rows()), state)
        if self.saved is not None:
            self.clock.restore(self.saved["clock"])
        calls, paid = self.oracle.calls, self.oracle.paid
        self._log.write("resumed", step=self._step, calls=calls, paid=paid, under_way=len(lost))

    @contextlib.contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._records.close()
            raise

    def record_step(self, report: StepReport, state: Callable[[], dict[str, Any]]) -> None:
        """Write a row of steps.csv, tell who watches, and keep the state now and then."""
        self._step = report.step
        with self.clock.phase("remember"):
            self._steps.write(asdict(report))
        self._on_step(report)
        due = time.monotonic() - self._last_checkpoint >= 60 * self.settings.checkpoint_minutes
        if due and self._scratch is None:
            self._keep(state)

    def _keep(self, state: Callable[[], dict[str, Any]]) -> None:
        """Write a checkpoint: the state, and the agent as a policy file."""
        self._checkpoints.save(self._step, {**state(), "clock": self.clock.state()})
        self._save_agent()
        self._last_checkpoint = time.monotonic()

    def say(self, what: str) -> None:
        """Put something that happened into log.jsonl, and on stderr."""
        self._log.write("guard", what=what)
        sys.stderr.write(f"{what}\n")

    def stop(self, reason: str, state: Callable[[], dict[str, Any]] | None = None) -> None:
        """End the loop: keep why, where its time went, and the state that a longer run would go on from."""
        self.stopped_by = reason
        if state is not None and self._scratch is None:
            self._keep(state)
        pool = self._evaluator if isinstance(self._evaluator, ObjectivePool) else None
        at_work = sum(component.seconds for component in self.oracle.tally.components)
        self.timeline = self.clock.table(self._step, workers_s=at_work / pool.workers if pool else None)
        if self._scratch is None:
            write_csv(self.timeline, self._directory.timeline)

    def finish(self) -> None:
        """Write candidates, learning curve and agent; fill `candidates` and `ledger`."""
        # Who interrupts does not want to wait for the search of the nearest; who goes on gets it at the end.
        quick = {"nearest_for": 0} if self.stopped_by == "interrupted" else {}
        self._export_as(**{**self._export, **quick})

    def _export_as(self, *, sdf: bool = False, nearest_for: int | None = NEAREST_FOR) -> None:
        """As `finish`.

        Args:
            sdf: write candidates.sdf too.
            nearest_for: how many of the best get their nearest training molecule; None for all.
        """
        self._finished = True
        self._save_agent()
        self.ledger = self._ledger.read()
        self.hypervolume = self._front_curve()
        ranked = best_first(self.ledger)
        smiles = ranked["smiles"].tolist()
        kept = Kept(nearest_for, drawings=sdf and self._scratch is None)
        self.candidates = candidates_table(
            ranked,
            self.oracle.labels,
            agent_nll=self.agent.nll(smiles),
            prior_nll=self.prior.nll(smiles),
            front=self._on_front(ranked),
            kept=kept,
        )
        # The search takes up to a minute: what was found is on the disk before it.
        self._write_candidates()
        if nearest_for != 0 and len(self.candidates):
            search, missing = training_search(self.provenance)
            if missing:
                self._log.write("nearest training molecules incomplete", missing=missing)
                sys.stderr.write(f"nearest training molecules: {missing}\n")
            if search is not None:
                self.candidates = with_nearest(self.candidates, search, kept.fingerprints)
                self._write_candidates()
        if self._scratch is None:
            if sdf:
                structures.write_sdf(self.candidates, self._directory.structures, kept.blocks)
            write_csv(self._component_costs(), self._directory.components)
            if self.objective.several:
                write_csv(self.hypervolume, self._directory.hypervolume)
            if len(self.candidates):
                figures.draw_learning_curve(self.ledger, self._directory.learning_curve)
        self._log.write("finished", reason=self.stopped_by, calls=self.oracle.calls, steps=self._step)

    def _front_curve(self) -> pd.DataFrame:
        scored = self.ledger[self.ledger["score"] > 0]
        curve = (
            hypervolume_curve(self._desirabilities(scored), scored["call"]) if self.objective.several else []
        )
        return pd.DataFrame(curve, columns=["calls", "front", "hypervolume"])

    def _on_front(self, rows: pd.DataFrame) -> np.ndarray | None:
        """Which rows (n,) are on the Pareto front; None for one objective. A score of 0 is not on it."""
        if not self.objective.several:
            return None
        member = (rows["score"] > 0).to_numpy(copy=True)
        member[member] = on_front(self._desirabilities(rows[member]))
        return member

    def _desirabilities(self, rows: pd.DataFrame) -> np.ndarray:
        """(n, k) of the k components of role score, penalties and filters in them."""
        labels = self.objective.labels
        columns = component_columns(labels)
        shaped = {
            label: rows[name].to_numpy(dtype=np.float64)
            for label, (_, name) in zip(labels, columns, strict=True)
        }
        return front_points(self.objective.components, shaped)

    def _component_costs(self) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "component": one.label,
                "valued": one.valued,
                "asked": one.asked,
                "failed": one.failed,
                "hit_rate": one.hit_rate,
                "milliseconds": one.milliseconds,
            }
            for one in self.oracle.tally.components
        )

    def _write_candidates(self) -> None:
        if self._scratch is None:
            write_csv(self.candidates, self._directory.candidates)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None and not self._finished:
                if not isinstance(error, RewardError):
                    self.collect()
                if self.oracle.calls:
                    # What was paid for is exported whatever went wrong; the error goes on its way after.
                    self.stop(type(error).__name__)
                    self.finish()
        finally:
            self._records.close()
            if not isinstance(self._evaluator, Objective):
                self._evaluator.close()
            self._directory.close()
            if self._scratch is not None:
                self._scratch.cleanup()

    def collect(self) -> None:
        """Wait for what workers have in hand, and record it."""
        if self.oracle.in_hand:
            sys.stderr.write(f"{self.oracle.in_hand} molecules are still being scored; Ctrl-C leaves them\n")
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
        self._directory.checkpoint.mkdir(exist_ok=True)
        save_policy(self.agent, self._directory.checkpoint / "agent.safetensors", provenance)


@contextlib.contextmanager
def _evaluating(objective: Objective, workers: str) -> Iterator[Objective | ObjectivePool | DaskPool]:
    """What scores molecules; closed if the block ends with an error."""
    evaluator = open_evaluator(objective, workers)
    try:
        if isinstance(evaluator, ObjectivePool):
            evaluator.start()  # meanwhile the prior is read
        yield evaluator
    except BaseException:
        if not isinstance(evaluator, Objective):
            evaluator.close()
        raise


def _config(prior: str | Path, settings: OptimizeSettings, objective: Objective) -> dict[str, Any]:
    """What config.toml says."""
    return {"prior": str(prior), "settings": settings.model_dump(), "objective": objective.spec()}


def _settings(
    directory: RunDirectory, config: Mapping[str, Any], limits: Mapping[str, Any]
) -> OptimizeSettings:
    """The settings of a run that is taken up, with other limits.

    Raises:
        UsageError: a setting that would make it another run.
    """
    for name in limits:
        if name not in LIMITS:
            raise UsageError(f"{name}: a run goes on as it began; {', '.join(LIMITS)} may change")
    return build(OptimizeSettings, {**config["settings"], **limits}, where=str(directory.config))


def _objective(directory: RunDirectory, config: Mapping[str, Any], given: Any) -> Objective:
    """The objective of a run that is taken up.

    Raises:
        UsageError: it is Python or a command, and was not given again; or it is another one.
    """
    stored = config["objective"]
    if given is None:
        if _holds_python(stored):
            raise UsageError(f"{directory.path}: its objective is Python or a command; give it again")
        return Objective.from_table(
            stored, directory.config.read_text(encoding="utf-8"), str(directory.config)
        )
    return load_objective(given)


def _check_inputs(directory: RunDirectory, prior: Path) -> None:
    """Say which files have changed since the run began.

    Raises:
        CheckpointError: one of them is the prior: the run would be another one.
    """
    facts = directory.read_environment()
    if facts.get("inputs", {}).get(str(prior), "") not in ("", sha256(prior)):
        raise CheckpointError(f"{prior}: not the prior that the run began with; put that one back")
    now = trust.trusted()
    for path, digest in facts.get("trusted", {}).items():
        if now.get(path, digest) != digest:
            _tell(f"{path}: has changed since the run began; what it scores may have too")


def _holds_python(stored: Any) -> bool:
    """Whether an objective as plain data has a reward that is code."""
    if isinstance(stored, Mapping):
        return stored.get("reward") == PYTHON or any(map(_holds_python, stored.values()))
    return isinstance(stored, list) and any(map(_holds_python, stored))


def _check_room(path: Path, policy: Policy) -> None:
    """Raise ResourceError unless the disk has room for the checkpoints of a run."""
    weights = sum(parameter.numel() for parameter in policy.network.parameters())
    # Weights and the two moments of the optimizer, and as much again in each state that the guard keeps; the
    # last ones, and the one that is being written.
    needed = 4 * weights * 3 * 3 * (KEPT + 1) + 2**24
    free = shutil.disk_usage(path).free
    if free < needed:
        raise ResourceError(
            f"{path}: a run needs {needed / 2**20:,.0f} MiB and {free / 2**20:,.0f} are free; "
            "free some disk space"
        )


def _evaluation(row: LedgerRow) -> Evaluation:
    """What the ledger says of a call, as the oracle said it."""
    status: Status = "failed" if row.status == "failed" else "scored"
    return Evaluation(row.smiles, status, row.score, row.raw, row.shaped, row.reason, row.call)


def _watcher(progress: bool | Callable[[StepReport], None]) -> Callable[[StepReport], None]:
    """What gets each step's report."""
    return progress if callable(progress) else _print_step if progress else _ignore


def _tell(what: str) -> None:
    sys.stderr.write(f"{what}\n")


def training_search(provenance: Provenance) -> tuple[Nearest | None, str]:
    """The search for the nearest of the molecules that a prior and its ancestors were trained on.

    Returns:
        the search, None if no such molecule is here; and what is missing, in words, empty if nothing is.
    """
    sources = {(name, stage.column): None for stage in provenance.lineage() for name in stage.corpora}
    if not sources:
        return None, "the prior does not say what it was trained on"
    smiles: list[str] = []
    missing: list[str] = []
    # RDKit wrote the shipped corpora; others are taken for training as they stand.
    canonical = True
    for name, column in sources:
        try:
            path = corpus_path(name)
            smiles.extend(corpus.load(path, column))
            canonical &= shipped(path)
        except MoldesignError as error:
            missing.append(str(error))
    search = NearestNeighbours(smiles, canonical=canonical, cache=home() / "fingerprints") if smiles else None
    return search, "; ".join(missing)


def _ignore(_: StepReport) -> None:
    pass


def _print_step(report: StepReport) -> None:
    if report.step % 10 == 0:
        sys.stderr.write(
            f"step {report.step}: {report.calls} calls, mean score {report.mean_score:.3f}, "
            f"ten best {report.top10_mean:.3f}, valid {report.valid:.0%}\n"
        )
