"""Ready-made objectives by name."""

from __future__ import annotations

from collections.abc import Callable

from moldesign.chem.fingerprints import Kind
from moldesign.rewards.objective import Component, Objective
from moldesign.rewards.shaping import DoubleSigmoid, Gaussian, Linear

ALBUTEROL = "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1"
CELECOXIB = "CC1=CC=C(C=C1)C1=CC(=NN1C1=CC=C(C=C1)S(N)(=O)=O)C(F)(F)F"
FEXOFENADINE = "CC(C)(C(=O)O)c1ccc(cc1)C(O)CCCN2CCC(CC2)C(O)(c3ccccc3)c4ccccc4"
MESTRANOL = "COc1ccc2[C@H]3CC[C@@]4(C)[C@@H](CC[C@@]4(O)C#C)[C@@H]3CCc2c1"
OSIMERTINIB = "COc1cc(N(C)CCN(C)C)c(NC(=O)C=C)cc1Nc2nccc(n2)c3cn(C)c4ccccc34"
THIOTHIXENE = "CN(C)S(=O)(=O)c1ccc2Sc3ccccc3C(=CCCN4CCN(C)CC4)c2c1"
TROGLITAZONE = "Cc1c(C)c2OC(C)(COc3ccc(CC4SC(=O)NC4=O)cc3)CCc2c(C)c1O"


def qed() -> Objective:
    """QED as it is."""
    return Objective(name="qed", description="QED as it is", components=[Component(reward="qed")])


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


def _similar(name: str, reference: str, fingerprint: Kind, full_at: float) -> Callable[[], Objective]:
    """Similarity to one molecule, full marks from `full_at` on.

    GuacaMol's rediscovery asks for 1, its similarity tasks for 0.75.
    """

    def objective() -> Objective:
        aim = "rediscover" if full_at == 1.0 else f"similarity of {full_at:g} to"
        component = Component(
            reward="similarity",
            parameters={"references": [reference], "fingerprint": fingerprint},
            shaping=Linear(zero=0.0, one=full_at) if full_at < 1.0 else None,
        )
        target = name.removesuffix("_similarity")
        return Objective(
            name=name, description=f"{aim} {target} ({fingerprint} counts)", components=[component]
        )

    return objective


def osimertinib_mpo() -> Objective:
    """GuacaMol's: like osimertinib but not too much, more polar, less greasy."""
    return Objective(
        name="osimertinib_mpo",
        description="like osimertinib but not too much, TPSA from 100, logP up to 1 (GuacaMol)",
        components=[
            Component(
                reward="similarity",
                label="like_osimertinib",
                parameters={"references": [OSIMERTINIB], "fingerprint": "fcfp4"},
                shaping=Linear(zero=0.0, one=0.8),
            ),
            Component(
                reward="similarity",
                label="not_too_like_osimertinib",
                parameters={"references": [OSIMERTINIB], "fingerprint": "ecfp6"},
                shaping=Gaussian(mean=0.85, sd=0.1, flat="below"),
            ),
            Component(reward="tpsa", shaping=Gaussian(mean=100, sd=10, flat="above")),
            Component(reward="logp", shaping=Gaussian(mean=1, sd=1, flat="below")),
        ],
    )


def fexofenadine_mpo() -> Objective:
    """GuacaMol's: like fexofenadine, more polar, less greasy."""
    return Objective(
        name="fexofenadine_mpo",
        description="like fexofenadine, TPSA from 90, logP up to 4 (GuacaMol)",
        components=[
            Component(
                reward="similarity",
                label="like_fexofenadine",
                parameters={"references": [FEXOFENADINE], "fingerprint": "atom_pair"},
                shaping=Linear(zero=0.0, one=0.8),
            ),
            Component(reward="tpsa", shaping=Gaussian(mean=90, sd=10, flat="above")),
            Component(reward="logp", shaping=Gaussian(mean=4, sd=1, flat="below")),
        ],
    )


#: GuacaMol's are of Brown et al., J. Chem. Inf. Model. 59, 1096 (2019).
READY_MADE: dict[str, Callable[[], Objective]] = {
    "qed": qed,
    "druglike": druglike,
    "lead_like": lead_like,
    "cns": cns,
    "celecoxib": _similar("celecoxib", CELECOXIB, "ecfp4", 1.0),
    "troglitazone": _similar("troglitazone", TROGLITAZONE, "ecfp4", 1.0),
    "thiothixene": _similar("thiothixene", THIOTHIXENE, "ecfp4", 1.0),
    "albuterol_similarity": _similar("albuterol_similarity", ALBUTEROL, "fcfp4", 0.75),
    "mestranol_similarity": _similar("mestranol_similarity", MESTRANOL, "atom_pair", 0.75),
    "osimertinib_mpo": osimertinib_mpo,
    "fexofenadine_mpo": fexofenadine_mpo,
}
