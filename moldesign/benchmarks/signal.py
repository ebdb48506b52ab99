"""How much of an estimate is gradient and how much is noise, on a real prior."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moldesign.policy.checkpoint import load_policy
from moldesign.rewards.loading import load_objective
from moldesign.rewards.oracle import Oracle
from moldesign.rl.methods import Method
from moldesign.rl.rollout import rewarded
from moldesign.rl.settings import OptimizeSettings

#: Batches that a critic and a moving average learn from before the first that counts.
WARM_UP = 10


@dataclass(frozen=True)
class Signal:
    """Of many estimates of one gradient, each from an own batch.

    Attributes:
        ratio: |mean|^2 over the summed variance of an estimate, corrected for their number; negative where
            chance hides the mean.
        calls: oracle calls of an estimate.
        seconds: of an estimate, scoring left out.
    """

    name: str
    ratio: float
    calls: float
    seconds: float = field(compare=False)


def signal(
    name: str,
    settings: Mapping[str, Any],
    *,
    prior: Path,
    objective: str,
    estimates: int,
    batch: int,
    seed: int = 0,
    tell: Callable[[Signal], None] = lambda _: None,
) -> Signal:
    """The signal of an estimator at the start of a run: the agent is the prior, and nothing is remembered.

    |mean|^2 is estimated by the mean of g_i . g_j over i != j, which has no bias.
    """
    chosen = OptimizeSettings.of(**settings, batch_size=batch, seed=seed, replay_size=0)
    policy, _ = load_policy(prior)
    method = Method(chosen, policy.clone(), policy)
    oracle = Oracle(load_objective(objective))
    parameters = list(method.agent.network.parameters())
    total: Tensor | None = None
    squares, seconds, calls = 0.0, 0.0, 0
    warm_up = WARM_UP if method.critic is not None or chosen.baseline == "moving-average" else 0
    for i in range(warm_up + estimates):
        started = time.perf_counter()
        drawn = method.draw(first_index=i * batch, again=[])
        written = method.agent.decode(drawn)
        before, scoring = oracle.calls, time.perf_counter()
        evaluations = oracle(written)
        scored = time.perf_counter() - scoring
        rewards = np.array([0.0 if one.status == "invalid" else one.score for one in evaluations])
        rollout = rewarded(method.read(drawn, []), range(len(rewards)), np.nan_to_num(rewards), [])
        if method.recipe.weigh is not None:
            rollout = method.recipe.weigh(method, rollout)
        method.steps += 1  # as if it were taken
        gradient = torch.autograd.grad(method.loss(rollout), parameters)
        if i < warm_up:
            continue
        flat = torch.cat([part.flatten() for part in gradient])
        total = flat if total is None else total + flat
        squares += float(flat.double() @ flat.double())
        seconds += time.perf_counter() - started - scored
        calls += oracle.calls - before
    assert total is not None
    pairs = (float(total.double() @ total.double()) - squares) / (estimates * (estimates - 1))
    noise = squares / estimates - pairs
    found = Signal(name, pairs / noise, calls / estimates, seconds / estimates)
    tell(found)
    return found


#: Name and settings of what is measured.
SETTINGS: dict[str, dict[str, Any]] = {
    "reinforce, no baseline": {"estimator": "reinforce", "baseline": "none"},
    "reinforce, moving average": {"estimator": "reinforce", "baseline": "moving-average"},
    "reinforce, leave-one-out": {"estimator": "reinforce", "baseline": "leave-one-out"},
    "reinforce, least variance": {"estimator": "reinforce", "baseline": "least-variance"},
    "reinforce, greedy": {"estimator": "reinforce", "baseline": "greedy"},
    "reinforce, value": {"estimator": "reinforce", "baseline": "value"},
    "a2c": {"estimator": "a2c"},
    "ppo, first epoch": {"estimator": "ppo"},
    "trpo, surrogate": {"estimator": "trpo"},
    "group, divided": {"estimator": "group"},
    "dap": {"estimator": "dap"},
    "ahc": {"estimator": "ahc"},
    "hill-climb": {"estimator": "hill-climb"},
    "tb": {"estimator": "tb"},
    "without-replacement": {"estimator": "without-replacement"},
    "rao-blackwell": {"estimator": "rao-blackwell"},
}
