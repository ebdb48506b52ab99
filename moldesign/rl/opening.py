"""How a run begins, or goes on: everything that can be wrong is found before a molecule is scored."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from moldesign.assets import prior_path
from moldesign.errors import CheckpointError, ResourceError, UsageError
from moldesign.files import sha256
from moldesign.policy.checkpoint import load_policy
from moldesign.policy.devices import device_facts
from moldesign.policy.policy import Policy
from moldesign.policy.threads import settle_threads
from moldesign.records.run import RunDirectory
from moldesign.records.timeline import Timeline
from moldesign.rewards import trust
from moldesign.rewards.component import PYTHON
from moldesign.rewards.executors import ObjectivePool, open_evaluator
from moldesign.rewards.loading import load_objective
from moldesign.rewards.objective import Objective
from moldesign.rl.checkpoints import KEPT, Checkpoints
from moldesign.rl.recipes import check_prior
from moldesign.rl.run import Run
from moldesign.rl.settings import OptimizeSettings
from moldesign.rl.steps import StepReport
from moldesign.search.chemistry import strict
from moldesign.settings import build
from moldesign.text import tell

if TYPE_CHECKING:
    from moldesign.rewards.cluster import DaskPool

#: What a run that is taken up may be given other values of.
LIMITS = ("budget", "max_steps", "max_hours", "target", "patience", "workers")


def open_run(
    objective: Any,
    *,
    prior: str | Path,
    out: str | Path | None,
    settings: OptimizeSettings,
    progress: bool | Callable[[StepReport], None],
    export: Mapping[str, Any] | None = None,
    clock: Timeline | None = None,
) -> Run:
    """A run ready for its first step. All that can be wrong is found before a file is written.

    Args:
        export: options of `Exports.candidates`.
        clock: what measures the phases of the loop; None for a new one.

    Raises:
        UsageError, CheckpointError, RewardError: as `optimize`.
    """
    settle_threads()
    resolved = load_objective(objective)
    if settings.chemistry == "strict":
        resolved = strict(resolved)
    with _evaluating(resolved, settings.workers) as evaluator:
        policy, provenance = load_policy(prior_path(prior), device=default_device())
        check_prior(settings, policy)
        directory = RunDirectory.temporary() if out is None else RunDirectory.create(out)
        try:
            _check_room(directory, policy)
            directory.write_config(_config(prior, settings, resolved))
            directory.write_environment(
                seed=settings.seed,
                threads=torch.get_num_threads(),
                trusted=trust.trusted(),
                prior=sha256(prior_path(prior)),
                inputs=[prior_path(prior), resolved.spec()],
                device=device_facts(),
            )
            watcher = _watcher(progress)
            run = Run(
                directory, policy, provenance, resolved, evaluator, settings, watcher, export, clock=clock
            )
            with run.closed_on_error():
                run.begin(str(prior))
        except BaseException:
            # Nothing is scored yet: as if it had never been begun.
            directory.discard()
            raise
    return run


def reopen_run(
    path: str | Path,
    *,
    objective: Any,
    progress: bool | Callable[[StepReport], None],
    export: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
) -> Run:
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
        if settings.chemistry == "strict":
            resolved = strict(resolved)
        saved = Checkpoints(directory.checkpoint).newest(tell)
        prior = config["prior"]
        _check_inputs(directory, prior_path(prior))
        with _evaluating(resolved, settings.workers) as evaluator:
            policy, provenance = load_policy(prior_path(prior), device=default_device())
            _check_room(directory, policy)
            watcher = _watcher(progress)
            run = Run(
                directory, policy, provenance, resolved, evaluator, settings, watcher, export, saved=saved
            )
            with run.closed_on_error():
                run.take_up()
                # Limits may be new.
                directory.write_config(_config(prior, settings, resolved))
    except BaseException:
        directory.close()
        raise
    return run


def default_device() -> torch.device:
    """The first CUDA device where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


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
    # Where a run was begun its prior may have lain elsewhere: it is the same if its content is.
    inputs = facts.get("inputs") or {}
    known = facts.get("prior") or inputs.get(str(prior), "")
    if known not in ("", sha256(prior)):
        raise CheckpointError(f"{prior}: not the prior that the run began with; put that one back")
    now = trust.trusted()
    for path, digest in (facts.get("trusted") or {}).items():
        if now.get(path, digest) != digest:
            tell(f"{path}: has changed since the run began; what it scores may have too")


def _holds_python(stored: Any) -> bool:
    """Whether an objective as plain data has a reward that is code."""
    if isinstance(stored, Mapping):
        return stored.get("reward") == PYTHON or any(map(_holds_python, stored.values()))
    return isinstance(stored, list) and any(map(_holds_python, stored))


def _check_room(directory: RunDirectory, policy: Policy) -> None:
    """Raise ResourceError unless the disk has room for what a run will write."""
    weights = 4 * sum(parameter.numel() for parameter in policy.network.parameters())
    needed = weights + 2**24
    if directory.lasting:
        # Weights and the two moments of the optimizer, and as much again in each state that the guard keeps;
        # the last ones, and the one that is being written.
        there = sum(path.stat().st_size for path in directory.checkpoint.glob("step-*"))
        needed += max(weights * 3 * 3 * (KEPT + 1) - there, 0)
    free = shutil.disk_usage(directory.path).free
    if free < needed:
        raise ResourceError(
            f"{directory.path}: a run needs {needed / 2**20:,.0f} MiB and {free / 2**20:,.0f} are free; "
            "free some disk space"
        )


def _watcher(progress: bool | Callable[[StepReport], None]) -> Callable[[StepReport], None]:
    """What gets each step's report."""
    return progress if callable(progress) else _print_step if progress else _ignore


def _ignore(_: StepReport) -> None:
    pass


def _print_step(report: StepReport) -> None:
    if report.step % 10 == 0:
        tell(
            f"step {report.step}: {report.calls} calls, mean score {report.mean_score:.3f}, "
            f"ten best {report.top10_mean:.3f}, valid {report.valid:.0%}"
        )
