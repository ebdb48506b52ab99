"""Rules of thumb of medicinal chemistry as rewards."""

from __future__ import annotations

from collections.abc import Callable

from moldesign.chem import rules
from moldesign.chem.molecules import Mol
from moldesign.rewards.entry import Entry
from moldesign.rewards.reward import per_molecule
from moldesign.rewards.shaping import Linear


def _violations(value: Callable[[Mol], float], paper: str, limits: int, cost_us: float) -> Entry:
    return Entry(
        f"Number of {paper}, 0 to {limits}",
        "count",
        lambda _: per_molecule(value),
        group="rules",
        direction="smaller",
        cost_us=cost_us,
    )


ENTRIES: dict[str, Entry] = {
    "lipinski_violations": _violations(
        rules.lipinski_violations,
        "Lipinski's limits broken: MW 500, log P 5, 5 NH and OH, 10 N and O",
        4,
        180,
    ),
    "veber_violations": _violations(
        rules.veber_violations, "Veber's limits broken: 10 rotatable bonds, TPSA 140", 2, 62
    ),
    "ghose_violations": _violations(
        rules.ghose_violations,
        "Ghose's ranges left: log P -0.4 to 5.6, MR 40 to 130, MW 160 to 480, 20 to 70 atoms",
        4,
        180,
    ),
    "egan_violations": _violations(
        rules.egan_violations, "Egan's limits broken: TPSA 131.6, log P 5.88", 2, 230
    ),
    "cns_mpo": Entry(
        "Desirability for the central nervous system (Wager 2010); its log D and pKa are rough estimates",
        "0 to 6",
        lambda _: per_molecule(rules.cns_mpo),
        group="rules",
        direction="larger",
        shaping=Linear(zero=0.0, one=6.0),
        cost_us=700,
    ),
}
