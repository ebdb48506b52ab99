"""What a run knows of its course: a report a step, and the rules that end it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moldesign.rewards.oracle import Evaluation, Oracle
from moldesign.rl.settings import OptimizeSettings

# With nothing new to score for so many steps the policy has collapsed, and a budget would never end.
_STALE_STEPS = 50
_TOP = 100
_INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class StepReport:
    """One row of steps.csv (docs/optimize.md). Shares are of the batch drawn; NaN where there is nothing."""

    step: int
    calls: int
    mean_score: float
    best_score: float
    top10_mean: float
    valid: float
    unique: float
    new: float
    failed: int
    loss: float
    gradient_norm: float
    agent_nll: float
    prior_kl: float
    replayed: int
    scaffolds: int
    entropy: float = math.nan
    advantage_mean: float = math.nan
    advantage_std: float = math.nan
    effective_sample_size: float = math.nan
    explained_variance: float = math.nan
    clip_fraction: float = math.nan
    epochs: float = math.nan
    step_kl: float = math.nan
    gradient_variance: float = math.nan
    log_z: float = math.nan
    rolled_back: bool = False


class Watch:
    """Counts steps, keeps the 100 best scores, and says when the run is over, and why."""

    def __init__(self, settings: OptimizeSettings, oracle: Oracle, should_stop: Callable[[], bool]) -> None:
        self.settings, self.oracle, self._should_stop = settings, oracle, should_stop
        self.step = 0
        self._best: list[float] = []
        self._steps_without_gain = 0
        self._stale_steps = 0
        self._reason = ""
        self._started = time.monotonic()

    @property
    def top10_mean(self) -> float:
        """Mean score of the ten best molecules; NaN before the first."""
        return float(np.mean(self._best[:10])) if self._best else math.nan

    @property
    def progress(self) -> float:
        """Share of the calls, steps or hours that is done, 0 to 1: the largest of those with a limit."""
        shares = [0.0]
        if self.settings.budget is not None:
            shares.append(self.oracle.calls / self.settings.budget)
        if self.settings.max_steps is not None:
            shares.append(self.step / self.settings.max_steps)
        if self.settings.max_hours is not None:
            shares.append((time.monotonic() - self._started) / (3600 * self.settings.max_hours))
        return min(1.0, max(shares))

    @property
    def interrupted(self) -> bool:
        """Whether the reason is that somebody wants it so, and no limit."""
        return self._reason == _INTERRUPTED

    def stop_reason(self, in_flight: int = 0) -> str:
        """Why the run is over, in words; empty while it is not. A reason, once there, stays.

        Args:
            in_flight: batches that are drawn already, and no step yet.
        """
        if not self._reason and self._should_stop():
            self._reason = _INTERRUPTED
        return self._reason or self.limit(in_flight)

    def limit(self, in_flight: int = 0) -> str:
        """As `stop_reason`, but for who interrupts: why no batch is to be drawn any more."""
        self._reason = self._reason or self._limit_now(in_flight)
        return self._reason

    def _limit_now(self, in_flight: int) -> str:
        settings = self.settings
        if self.oracle.spent:
            return "budget spent"
        if settings.max_steps is not None and self.step + in_flight >= settings.max_steps:
            return "steps done"
        if settings.max_hours is not None and time.monotonic() - self._started > 3600 * settings.max_hours:
            return "time over"
        if settings.target is not None and len(self._best) >= 10 and self.top10_mean >= settings.target:
            return "target reached"
        if settings.patience is not None and self._steps_without_gain >= settings.patience:
            return "plateau"
        if self._stale_steps >= _STALE_STEPS:
            return f"nothing new in {_STALE_STEPS} steps"
        return ""

    def state(self) -> dict[str, Any]:
        """Counts, best scores, and the seconds since the start."""
        return {
            "step": self.step,
            "best": self._best,
            "steps_without_gain": self._steps_without_gain,
            "stale_steps": self._stale_steps,
            "seconds": time.monotonic() - self._started,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state: the hours until then count."""
        self.step = state["step"]
        self._best = [*state["best"]]
        self._steps_without_gain = state["steps_without_gain"]
        self._stale_steps = state["stale_steps"]
        self._started = time.monotonic() - state["seconds"]

    def take_in(
        self,
        evaluations: Sequence[Evaluation],
        *,
        agent_nll: float,
        scaffolds: int,
        loss: float = math.nan,
        gradient_norm: float = math.nan,
        prior_kl: float = math.nan,
        replayed: int = 0,
        facts: Mapping[str, Any] | None = None,
    ) -> StepReport:
        """The report of a step, its batch accounted for. The defaults are those of a step not taken.

        Args:
            facts: further fields of the report.
        """
        paid = [e for e in evaluations if e.status in ("scored", "failed")]
        valid = [e for e in evaluations if e.status != "invalid"]
        scores = [e.score for e in evaluations if e.status in ("scored", "repeat") and math.isfinite(e.score)]
        total = sum(self._best)
        full = len(self._best) == _TOP
        self._best = sorted([*self._best, *(e.score for e in paid if e.status == "scored")], reverse=True)
        del self._best[_TOP:]
        gained = not full or sum(self._best) > total
        self._steps_without_gain = 0 if gained else self._steps_without_gain + 1
        self._stale_steps = 0 if paid else self._stale_steps + 1
        self.step += 1
        n = len(evaluations)
        return StepReport(
            step=self.step,
            calls=self.oracle.calls,
            mean_score=float(np.mean(scores)) if scores else math.nan,
            best_score=self._best[0] if self._best else math.nan,
            top10_mean=self.top10_mean,
            valid=len(valid) / n,
            unique=len({e.smiles for e in valid}) / n,
            new=len(paid) / n,
            failed=sum(e.status == "failed" for e in paid),
            loss=loss,
            gradient_norm=gradient_norm,
            agent_nll=agent_nll,
            prior_kl=prior_kl,
            replayed=replayed,
            scaffolds=scaffolds,
            **(facts or {}),
        )
