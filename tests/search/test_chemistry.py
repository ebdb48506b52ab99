from __future__ import annotations

from typing import Any

import pytest

from moldesign.chem.molecules import read
from moldesign.rewards.objective import Objective
from moldesign.search.chemistry import is_sound, strict


@pytest.mark.parametrize(
    ("smiles", "sound"),
    [
        ("CC(=O)Nc1ccc(C)cc1", True),
        ("CCN(CC)CCO", True),
        ("O=[N+]([O-])c1ccccc1", False),  # nitro
        ("O=C1NC(=S)SC1=Cc1ccccc1", False),  # rhodanine
        ("C1CC1=C1CC2CC3CC1C23", False),  # nobody's ring system
    ],
)
def test_what_is_sound(smiles: str, sound: bool) -> None:
    assert is_sound(smiles) is sound


def table(**filters: Any) -> Objective:
    alerts = [{"reward": "alerts", "role": "filter"}] if filters.get("alerts") else []
    return Objective.model_validate({"components": [{"reward": "qed"}, *alerts]})


def test_what_is_not_sound_scores_nothing_and_the_rest_as_before() -> None:
    mols = [read(smiles) for smiles in ("CC(=O)Nc1ccc(C)cc1", "O=[N+]([O-])c1ccccc1")]
    before, after = (objective.evaluate(mols).score.tolist() for objective in (table(), strict(table())))
    assert after == [before[0], 0.0]
    assert before[1] > 0


def test_a_filter_is_not_doubled() -> None:
    assert strict(table()).labels == ("qed", "strict_alerts", "strict_ring_systems")
    assert strict(table(alerts=True)).labels == ("qed", "alerts", "strict_ring_systems")
    assert strict(strict(table())).spec() == strict(table()).spec()
