"""THE loop: draw, score, weigh, step, remember."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moldesign.policy.trajectories import Sequences
from moldesign.records.timeline import Timeline
from moldesign.rewards.oracle import Asked
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
    clock: Timeline | None = None,
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
        clock: a Timeline(PHASES) of one's own, to look at while the loop runs.
        settings: the fields of OptimizeSettings: budget, seed, estimator, batch_size, ...

    Raises:
        UsageError: an unknown name or setting, or settings that exclude each other.
        CheckpointError: the prior cannot be read, or `out` exists.
        RewardError: the objective cannot score. NonFiniteTrainingError: see Update.
    """
    chosen = OptimizeSettings.of(**settings)
    estimator = estimators.chosen(chosen)
    run = Run.open(
        objective, prior=prior, out=out, settings=chosen, progress=progress, export=export, clock=clock
    )
    with run:
        agent, oracle, phase = run.agent, run.oracle, run.clock.phase
        update = Update(agent.network, learning_rate=chosen.learning_rate, clip_norm=chosen.clip_norm)
        replay = ReplayMemory(chosen.replay_capacity)
        scaffolds = ScaffoldMemory(chosen.bucket_size, chosen.diversity_min_score)
        baseline = baselines.BASELINES[chosen.baseline]()
        generator = np.random.default_rng([chosen.seed, 1])
        preference = Preference(run.objective, chosen.seed)
        watch = Watch(chosen, oracle, should_stop)
        in_flight: deque[tuple[Sequences, Asked]] = deque()

        while True:
            with phase("weigh"):
                preference.begin_step(watch.progress)
                preference.revalue(replay, oracle.recall)
                again = replay.draw(chosen.replay_size, generator)

            # Draw. With overlap one batch ahead: scorers have it while the one before is learned from.
            while len(in_flight) <= chosen.overlap and not watch.stop_reason(len(in_flight)):
                with phase("draw"):
                    drawn = agent.draw(
                        chosen.batch_size,
                        seed=chosen.seed,
                        first_index=(watch.step + len(in_flight)) * chosen.batch_size,
                        temperature=chosen.temperature,
                        along=estimators.remembered_tokens(again, agent.device),
                    )
                    written = agent.decode(drawn)
                with phase("score"):
                    in_flight.append((drawn, oracle.submit(written)))
            if not in_flight:
                break
            drawn, asked = in_flight.popleft()

            # Score; while workers do, read what was drawn and what is remembered.
            with phase("read"):
                log_probs, prior_log_probs = estimators.read(agent, run.prior, drawn, again)
                nll = -log_probs.detach()[: len(drawn)].sum(1).mean()
            with phase("wait"):
                asked.wait()
            with phase("score"):
                evaluations = asked.result()

            # Weigh. What failed, or found the budget spent, has no reward and no part in the step; what is
            # no molecule earns nothing, or as little as the worst of the batch where scores go below 0.
            with phase("weigh"):
                worth = preference.rewards(evaluations)
                valid = np.array([one.status != "invalid" for one in evaluations])
                rows = np.flatnonzero(~valid | np.isfinite(worth)).tolist()
                found = [(i, evaluations[i].smiles) for i in rows if valid[i]]
                rewards, valid = worth[rows], valid[rows]
                rewards[~valid] = np.min(rewards[valid], initial=0.0)
                shares = np.ones(len(rows))
                if chosen.diversity:
                    molecules = [(smiles, asked.mols[i]) for i, smiles in found]
                    shares[valid] = scaffolds.shares(molecules, rewards[valid])
                    rewards *= shares
                if not rows and not again:
                    # Every new molecule failed: nothing to learn from.
                    run.record_step(
                        watch.take_in(evaluations, agent_nll=float(nll), scaffolds=len(scaffolds.counts))
                    )
                    continue
                rollout = estimators.roll_out(log_probs, prior_log_probs, rows, rewards, again)
                penalised = advantages.kl_penalised(rollout, chosen.kl_coefficient)
                rollout = advantages.weighed(rollout, penalised, baseline)

            with phase("step"):
                loss = estimator.loss(rollout, chosen)
                norm = update.step(loss)

            with phase("remember"):
                as_written = estimators.as_written(drawn.tokens, prior_log_probs)
                replay.add(
                    Remembered(smiles, float(reward), *as_written[i], share=float(share))
                    for (i, smiles), reward, share in zip(found, rewards[valid], shares[valid], strict=True)
                )
            numbers = torch.stack([loss.detach(), nll, estimators.prior_kl(rollout)]).tolist()
            run.record_step(
                watch.take_in(
                    evaluations,
                    loss=numbers[0],
                    gradient_norm=norm,
                    agent_nll=numbers[1],
                    prior_kl=numbers[2],
                    scaffolds=len(scaffolds.counts),
                    replayed=len(again),
                )
            )
        run.stop(watch.stop_reason())
        run.finish(**(export or {}))
    return run
