"""The guard: notices that a policy has collapsed, and takes it back to where it was well."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from moldesign.rl.methods import Method
from moldesign.rl.steps import StepReport

# What is looked at together, steps and molecules at least: one bad batch is chance, as are a few small ones.
_WINDOW, _WINDOW_MOLECULES = 4, 64
# What the first ones were like is known from so many molecules, of one batch if it has them: the agent that
# drew it is the prior yet, and a rate that is far too high needs no second step to ruin it.
_FIRST_MOLECULES = 32
# So far has the share of valid molecules to fall: of a prior that writes few there is no telling.
_FALL = 0.2
# A state is kept so many steps after the last: a copy of the weights and of the optimizer takes a while.
_EVERY = 10
# After a return the steps are halved, so that the same does not come of the same. So often at most.
_MOST = 5
# Of the way from the first mean score to the best score: who repeats what earns that much has arrived.
_ARRIVED = 0.95


class Guard:
    """Keeps the last good state of a method, and goes back to it when the policy has collapsed.

    Collapsed is a policy of whose molecules, over some steps, less than half as many are valid as at first;
    or that writes the same few again and again; or whose entropy an action is below a twentieth of what it
    was while most of what it writes is repeated. One that repeats the best there is, where nothing discounts
    that, has done what it was asked.

    A state is good once the molecules that were drawn after it were: what a step did to the policy shows in
    the next batch.

    Args:
        tell: gets a sentence when it goes back.
    """

    def __init__(self, method: Method, tell: Callable[[str], None]) -> None:
        self._method, self._tell = method, tell
        batch = method.settings.batch_size
        self._window = max(_WINDOW, math.ceil(_WINDOW_MOLECULES / batch))
        self._enough = math.ceil(_FIRST_MOLECULES / batch)
        self._recent: deque[StepReport] = deque(maxlen=self._window)
        self._first: dict[str, float] = {}
        self._good, self._good_step = method.state(), 0
        # What is to become good, and after which step that was.
        self._next: tuple[Any, int] | None = None
        self.returns = 0

    def look(self, report: StepReport) -> bool:
        """Whether it went back after this step."""
        self._recent.append(report)
        if not self._first:
            if len(self._recent) == self._enough:
                self._first = {
                    name: self._mean(name) for name in ("valid", "unique", "entropy", "mean_score")
                }
            return False
        if len(self._recent) < self._window:
            return False
        reason = self._reason()
        if reason and self.returns < _MOST:
            self.returns += 1
            self.go_back()
            slower = self._method.slow_down(0.5)
            # With the smaller steps: the next return is not to take them back.
            self._good = self._method.state()
            self._tell(
                f"step {report.step}: {reason}; back to the agent after step {self._good_step}, "
                f"{slower} from now on"
            )
            return True
        self._keep(report.step)
        return False

    def go_back(self) -> None:
        """Put the method back to its last good state."""
        self._method.restore(self._good)
        self._next = None
        self._recent.clear()

    def state(self) -> dict[str, Any]:
        """What was seen, and the states that are kept."""
        return {
            "recent": [asdict(report) for report in self._recent],
            "first": self._first,
            "good": self._good,
            "good_step": self._good_step,
            "next": self._next,
            "returns": self.returns,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._recent.clear()
        self._recent.extend(StepReport(**report) for report in state["recent"])
        self._first = dict(state["first"])
        self._good, self._good_step = state["good"], state["good_step"]
        self._next = state["next"]
        self.returns = state["returns"]

    def _keep(self, step: int) -> None:
        """Keep a state that has proved good, and then take the next one to be proved."""
        if not self._well():
            self._next = None
            return
        if self._next is not None and step - self._next[1] >= self._window:
            self._good, self._good_step = self._next
            self._next = None
        if self._next is None and step - self._good_step >= _EVERY:
            self._next = self._method.state(), step

    def _well(self) -> bool:
        """Whether the recent molecules are far from what a collapsed policy writes."""
        return (
            self._mean("valid") >= 0.8 * self._first["valid"]
            and self._mean("unique") >= 0.5 * self._first["unique"]
        )

    def _mean(self, name: str) -> float:
        """Of the recent steps that have it; NaN where none has."""
        found = [getattr(report, name) for report in self._recent]
        known = [value for value in found if not math.isnan(value)]
        return float(np.mean(known)) if known else math.nan

    def _reason(self) -> str:
        """Why the policy has collapsed, in words; empty while it has not."""
        valid, unique, entropy = (self._mean(name) for name in ("valid", "unique", "entropy"))
        if valid < min(0.5 * self._first["valid"], self._first["valid"] - _FALL):
            return f"only {valid:.0%} of its molecules are valid"
        if unique > 0.5 * self._first["unique"] or self._arrived():
            return ""
        if unique < 0.1 * self._first["unique"]:
            return f"only {unique:.0%} of its molecules are different ones"
        if entropy < 0.05 * self._first["entropy"]:
            return f"it has no choice left ({entropy:.3f} nats an action)"
        return ""

    def _arrived(self) -> bool:
        """Whether what it repeats is the best there is, and is worth something every time."""
        if self._method.settings.diversity:
            return False
        first = self._first["mean_score"]
        return self._mean("mean_score") - first >= _ARRIVED * (self._recent[-1].best_score - first)
