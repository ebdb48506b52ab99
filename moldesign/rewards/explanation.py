"""An objective as it works on molecules that the user knows: a dry run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moldesign.rewards.advice import Warn, edges, warnings
from moldesign.rewards.component import Role
from moldesign.rewards.known import Known, Place, places
from moldesign.rewards.objective import Objective
from moldesign.rewards.reward import Values


@dataclass(frozen=True)
class Summary:
    """One component, or group, over the molecules that it could value; NaN where there is none."""

    label: str
    #: The group that it is in; "" outside of groups.
    group: str
    #: Name in the catalogue; the combination of a group.
    reward: str
    unit: str
    role: Role
    #: None for a filter or a penalty, which has no weight.
    weight: float | None
    raw_min: float
    raw_median: float
    raw_max: float
    shaped_mean: float
    #: Shares of molecules with a desirability of (nearly) 0 and (nearly) 1.
    at_zero: float
    at_one: float
    #: Molecules without a value.
    failed: int


@dataclass(frozen=True)
class Explanation:
    """An objective as it works on known molecules."""

    components: Sequence[Summary]
    warnings: Sequence[Warn]


def explain(objective: Objective, known: Known) -> Explanation:
    """What the objective's components are for these molecules, and warnings; nothing is computed anew."""
    components = [_summary(place, known) for place in places(objective)]
    return Explanation(components, warnings(objective, known))


def _summary(place: Place, known: Known) -> Summary:
    node = place.node
    raw, shaped = _finite(known.raw[node.label]), _finite(known.shaped[node.label])
    at_zero, at_one = edges(shaped)
    return Summary(
        label=node.label,
        group=place.group,
        reward=place.reward,
        unit=place.unit,
        role=node.role,
        weight=node.weight if node.role == "score" else None,
        raw_min=float(raw.min()) if len(raw) else np.nan,
        raw_median=float(np.median(raw)) if len(raw) else np.nan,
        raw_max=float(raw.max()) if len(raw) else np.nan,
        shaped_mean=float(shaped.mean()) if len(shaped) else np.nan,
        at_zero=at_zero,
        at_one=at_one,
        failed=len(known) - len(shaped),
    )


def _finite(values: Values) -> Values:
    return values[np.isfinite(values)]
