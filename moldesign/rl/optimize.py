"""THE loop: draw, score, weigh, step, remember."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from moldesign.rl import advantages, baselines, estimators
from moldesign.rl.diversity import ScaffoldMemory
from moldesign.rl.memory import Remembered, ReplayMemory
from moldesign.rl.preferences import Preference
from moldesign.rl.run import Run
from moldesign.rl.settings import OptimizeSettings
from moldesign.rl.steps import StepReport, Watch
from moldesign.rl.updates import Update


def optimize(
    objective: Any,
    *,
    prior: str | Path = "druglike",
    out: str | Path | None = None,
    progress: bool | Callable[[StepReport], None] = False,
    should_stop: Callable[[], bool] = lambda: False,
    export: dict[str, Any] | None = None,
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
        export: options of `Run.finish` (sdf, nearest_for).
        settings: the fields of OptimizeSettings: budget, seed, estimator, batch_size, ...

    Raises:
        UsageError: an unknown name or setting. CheckpointError: the prior cannot be read, or `out`
            exists. RewardError: the objective cannot score. NonFiniteTrainingError: see Update.
    """
    run = Run.open(
        objective,
        prior=prior,
        out=out,
        settings=OptimizeSettings.of(**settings),
        progress=progress,
        export=export,
    )
    with run:
        agent, oracle, settings_ = run.agent, run.oracle, run.settings
        update = Update(agent.network, learning_rate=settings_.learning_rate, clip_norm=settings_.clip_norm)
        replay = ReplayMemory(settings_.replay_capacity)
        scaffolds = ScaffoldMemory(settings_.bucket_size, settings_.diversity_min_score)
        baseline = baselines.BASELINES[settings_.baseline]()
        estimator = estimators.ESTIMATORS[settings_.estimator]
        generator = np.random.default_rng([settings_.seed, 1])
        preference = Preference(run.objective, settings_.seed)
        watch = Watch(settings_, oracle, should_stop)

        while not watch.stop_reason():
            # Draw.
            drawn = agent.sample(
                settings_.batch_size,
                seed=settings_.seed,
                first_index=watch.step * settings_.batch_size,
                temperature=settings_.temperature,
            )
            written = agent.decode(drawn)

            # Score; while workers do, read what was drawn and what is remembered.
            preference.begin_step(watch.progress)
            asked = oracle.submit(written)
            preference.revalue(replay, oracle.recall)
            again = replay.draw(settings_.replay_size, generator)
            log_probs = estimators.read(agent, run.prior, drawn.tokens, again)
            evaluations = asked.result()

            # Weigh. What failed, or found the budget spent, has no reward and no part in the step; what is
            # no molecule earns nothing, or as little as the worst of the batch where scores go below 0.
            worth = preference.rewards(evaluations)
            rows = [i for i, e in enumerate(evaluations) if e.status == "invalid" or math.isfinite(worth[i])]
            valid = np.array([evaluations[i].status != "invalid" for i in rows], dtype=bool)
            rewards = worth[rows]
            rewards[~valid] = np.min(rewards[valid], initial=0.0)
            shares = np.ones(len(rows))
            if settings_.diversity:
                molecules = [evaluations[i].smiles for i, ok in zip(rows, valid, strict=True) if ok]
                shares[valid] = scaffolds.shares(molecules, rewards[valid])
                rewards *= shares
            if not rows and not again:
                # Every new molecule failed: nothing to learn from.
                nll = float(drawn.nll.mean())
                run.record_step(watch.take_in(evaluations, agent_nll=nll, scaffolds=len(scaffolds.counts)))
                continue
            rollout = estimators.roll_out(log_probs, rows, rewards, again)
            penalised = advantages.kl_penalised(rollout, settings_.kl_coefficient)
            rollout = advantages.weighed(rollout, penalised, baseline)

            # Step.
            loss = estimator.loss(rollout, settings_)
            norm = update.step(loss)

            # Remember.
            replay.add(
                Remembered(evaluations[i].smiles, written[i], float(reward), float(share))
                for i, reward, share, ok in zip(rows, rewards, shares, valid, strict=True)
                if ok
            )
            run.record_step(
                watch.take_in(
                    evaluations,
                    agent_nll=float(drawn.nll.mean()),
                    scaffolds=len(scaffolds.counts),
                    loss=float(loss.detach()),
                    gradient_norm=norm,
                    prior_kl=float(estimators.prior_kl(rollout)),
                    replayed=len(again),
                )
            )
        run.stopped_by = watch.stop_reason()
        run.finish(**(export or {}))
    return run
