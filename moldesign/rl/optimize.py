"""THE loop: draw, score, weigh, step, remember."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from moldesign.records.timeline import Timeline
from moldesign.rl.course import Course
from moldesign.rl.memory import Remembered
from moldesign.rl.opening import open_run, reopen_run
from moldesign.rl.presets import settings_of
from moldesign.rl.rollout import as_remembered, rewarded
from moldesign.rl.run import Run
from moldesign.rl.settings import OptimizeSettings
from moldesign.rl.steps import StepReport


def optimize(
    objective: Any,
    *,
    prior: str | Path = "druglike",
    out: str | Path | None = None,
    progress: bool | Callable[[StepReport], None] = False,
    should_stop: Callable[[], bool] = lambda: False,
    export: dict[str, Any] | None = None,
    clock: Timeline | None = None,
    preset: str | None = None,
    **settings: Any,
) -> Run:
    """Optimise molecules; the run, with `candidates` (best first) and `ledger` (every call) as tables.

    Args:
        objective: a ready-made name ("qed"), a path to TOML, an Objective, or a callable that takes
            a list of SMILES and gives a float for each (NaN or None for one that it could not score).
        prior: the name of a shipped prior, or a path to a policy file.
        out: the run directory to make; None keeps the tables in memory and writes no files.
        progress: True for a line on stderr now and then, or a callable that gets each step's report.
        should_stop: asked once a step; True ends the run, everything found so far exported.
        export: options of `Exports.candidates` (sdf, nearest_for, best).
        clock: a Timeline(PHASES) of one's own, to look at while the loop runs.
        preset: settings that belong together, by name (`moldesign.rl.presets`).
        settings: the fields of OptimizeSettings, which go before those of the preset: budget, seed,
            estimator, batch_size, ...

    Raises:
        UsageError: an unknown name or setting, or settings that exclude each other.
        CheckpointError: the prior cannot be read, or `out` exists.
        RewardError: the objective cannot score. NonFiniteTrainingError: see Update.
    """
    chosen = OptimizeSettings.of(**{**(settings_of(preset) if preset else {}), **settings})
    run = open_run(
        objective, prior=prior, out=out, settings=chosen, progress=progress, export=export, clock=clock
    )
    return _loop(run, should_stop)


def resume(
    path: str | Path,
    *,
    objective: Any = None,
    progress: bool | Callable[[StepReport], None] = False,
    should_stop: Callable[[], bool] = lambda: False,
    export: dict[str, Any] | None = None,
    **limits: Any,
) -> Run:
    """Go on with the run in a directory, killed or interrupted or done, and give what `optimize` gives.

    On the same machine type and build the continuation is, to the bit, the run that was never interrupted.
    What was scored is not scored again, save what scorers had in hand when the run died.

    Args:
        objective: of a run whose objective was Python or a command: the same again; others are in the files.
        limits: budget, max_steps, max_hours, target, patience: other ones than the run had, or workers.

    Raises:
        CheckpointError: no run, or not one that this version or these files can go on with.
        RunLocked: another process works in it. And as `optimize`.
    """
    run = reopen_run(path, objective=objective, progress=progress, export=export, limits=limits)
    return _loop(run, should_stop)


def _loop(run: Run, should_stop: Callable[[], bool]) -> Run:
    """THE loop, up to the exports."""
    with run:
        course, phase, chosen = Course(run, should_stop), run.clock.phase, run.settings
        method, replay, scaffolds = course.method, course.replay, course.scaffolds
        preference, watch, in_flight = course.preference, course.watch, course.in_flight

        while True:
            # Who interrupts leaves between two steps, with what is in flight kept for the next time.
            reason = watch.stop_reason(len(in_flight))
            if reason and (not in_flight or watch.interrupted):
                break
            with course.attempt():
                with phase("weigh"):
                    preference.begin_step(watch.progress)
                    preference.revalue(replay, run.oracle.recall)
                    again = method.recall(replay, course.generator)

                # Draw. With overlap one batch ahead: scorers have it while the one before is learned from.
                while len(in_flight) <= chosen.overlap and not watch.limit(len(in_flight)):
                    with phase("draw"):
                        drawn, written, origins = course.draw(again)
                    with phase("score"):
                        course.send(drawn, written, origins)
                if not in_flight:
                    break
                drawn, asked = in_flight.popleft()

                # Score; while workers do, read what was drawn and what is remembered.
                with phase("read"):
                    rollout = method.read(drawn, again)
                    as_written = as_remembered(rollout, len(drawn))
                    nll = -method.mean(rollout, rollout.log_probs)
                with phase("wait"):
                    asked.wait()
                with phase("score"):
                    evaluations = asked.result()
                    course.take_in(evaluations)

                # Weigh. What failed, or found the budget spent, has no reward and no part in the step. What
                # is no molecule earns nothing, or as little as the worst of the batch if scores go below 0.
                with phase("weigh"):
                    worth = preference.rewards(evaluations)
                    valid = np.array([one.status != "invalid" for one in evaluations])
                    rows = np.flatnonzero(~valid | np.isfinite(worth)).tolist()
                    rewards, valid, shares = worth[rows], valid[rows], np.ones(len(rows))
                    rewards[~valid] = np.min(rewards[valid], initial=0.0)
                    # What was drawn to see what it earns, and not to learn from, is no find.
                    sampled = [i for i in rows if i < rollout.drawn]
                    if chosen.diversity:
                        found = [(evaluations[i].smiles, asked.mols[i]) for i in sampled if i in asked.mols]
                        kept = np.flatnonzero(valid[: len(sampled)])
                        shares[kept] = scaffolds.shares(found, rewards[kept])
                        rewards *= shares
                    rollout = rewarded(rollout, rows, rewards, again)
                    if not len(rollout):
                        # Every new molecule failed: nothing to learn from.
                        report = watch.take_in(
                            evaluations, agent_nll=float(nll), scaffolds=len(scaffolds.counts)
                        )
                        run.record_step(report, course.state)
                        continue

                with phase("step"):
                    learned = method.learn(rollout)

                with phase("remember"):
                    batch = [
                        Remembered(evaluations[i].smiles, float(reward), *as_written[i], share=float(share))
                        for i, reward, share in zip(sampled, rewards, shares, strict=False)
                    ]
                    replay.add(batch)
                    if chosen.purge:
                        replay.purge(scaffolds.earns)
                with phase("step"):
                    method.rehearse(batch, replay)
                report = watch.take_in(
                    evaluations,
                    loss=learned.loss,
                    gradient_norm=learned.gradient_norm,
                    agent_nll=float(nll),
                    prior_kl=float(method.mean(rollout, rollout.log_probs - rollout.prior_log_probs)),
                    scaffolds=len(scaffolds.counts),
                    replayed=len(again),
                    facts=learned.facts,
                )
                report = replace(report, rolled_back=course.guard.look(report))
                run.record_step(report, course.state)
        run.stop(watch.stop_reason(), course.state)
        run.collect()
        run.finish()
    return run
