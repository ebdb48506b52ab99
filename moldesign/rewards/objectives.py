"""Ready-made objectives by name."""

from __future__ import annotations

from collections.abc import Callable

from moldesign.rewards.component import Component
from moldesign.rewards.guacamol import BENCHMARKS, GUACAMOL, PMO
from moldesign.rewards.objective import Objective
from moldesign.rewards.shaping import DoubleSigmoid, Linear

__all__ = ["GUACAMOL", "PMO", "READY_MADE"]


def druglike() -> Objective:
    """QED from 0.4 to 0.95 and SA from 4.5 down to 1.5, straight ramps; no PAINS or BRENK alert."""
    return Objective(
        name="druglike",
        description="high QED, easy synthesis, no structural alert",
        components=[
            Component(reward="qed", shaping=Linear(zero=0.4, one=0.95)),
            Component(reward="sa", shaping=Linear(zero=4.5, one=1.5)),
            Component(reward="alerts", role="filter"),
        ],
    )


def lead_like() -> Objective:
    """Small and polar enough to grow: 200 to 350 g/mol, logP -1 to 3, at most 7 rotatable bonds."""
    return Objective(
        name="lead_like",
        description="room to grow: MW 200 to 350, logP -1 to 3, at most 7 rotatable bonds, easy synthesis",
        components=[
            Component(reward="mw", shaping=DoubleSigmoid(low=200, high=350, coef_si=10, coef_se=10)),
            Component(reward="logp", shaping=DoubleSigmoid(low=-1, high=3)),
            Component(reward="sa", shaping=Linear(zero=5.0, one=1.5)),
            Component(reward="rotatable_bonds", role="penalty", shaping=Linear(zero=11, one=7)),
            Component(reward="alerts", role="filter"),
        ],
    )


def cns() -> Objective:
    """What passes into the brain: TPSA 20 to 80, logP 2 to 4, MW below 360, at most one donor."""
    return Objective(
        name="cns",
        description="passes into the brain: TPSA 20 to 80, logP 2 to 4, MW at most 360, few donors",
        components=[
            Component(reward="tpsa", shaping=DoubleSigmoid(low=20, high=80, coef_si=20, coef_se=20)),
            Component(reward="logp", shaping=DoubleSigmoid(low=2, high=4)),
            Component(reward="mw", shaping=Linear(zero=500, one=360)),
            Component(reward="hbd", shaping=Linear(zero=3.5, one=0.5)),
            Component(reward="sa", shaping=Linear(zero=5.0, one=1.5)),
            Component(reward="alerts", role="filter"),
        ],
    )


READY_MADE: dict[str, Callable[[], Objective]] = {
    "druglike": druglike,
    "lead_like": lead_like,
    "cns": cns,
    **BENCHMARKS,
}
