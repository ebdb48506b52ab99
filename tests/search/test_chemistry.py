from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from moldesign.chem.molecules import read
from moldesign.language.corpus import load
from moldesign.language.occurrences import shipped_occurrences
from moldesign.rewards.objective import Objective
from moldesign.search.chemistry import KNOWN_RINGS, has_known_rings, is_known, is_sound, known_ring, strict


@pytest.mark.parametrize(
    ("smiles", "sound"),
    [
        ("CC(=O)Nc1ccc(C)cc1", True),
        ("CCN(CC)CCO", True),
        ("O=[N+]([O-])c1ccccc1", False),  # nitro
        ("O=C1NC(=S)SC1=Cc1ccccc1", False),  # rhodanine
        ("CCOOOCC", False),  # no alert, and nobody's chain
        ("C1CC1=C1CC2CC3CC1C23", False),  # nobody's ring system
    ],
)
def test_what_is_sound(smiles: str, sound: bool) -> None:
    assert is_sound(read(smiles)) is sound


@pytest.mark.parametrize(
    ("smiles", "rings", "known"),
    [
        ("CC(=O)Nc1ccc(C)cc1", True, True),
        ("CCS(=O)(=O)N1CCOCC1", True, True),
        ("C[NH+](C)CCc1ccccc1", True, True),  # charges that protons explain are none
        ("O=[N+]([O-])c1ccccc1", True, True),  # an alert is no stranger
        ("CCOOOCC", True, False),
        ("CC(=O)N(CCl)C1=CC(O)N1c1ccccc1", False, False),
        ("C1CC1=C1CC2CC3CC1C23", False, False),
        ("c1ccc2oosc2c1", False, False),
    ],
)
def test_what_is_known(smiles: str, rings: bool, known: bool) -> None:
    assert has_known_rings(read(smiles)) is rings
    assert is_known(read(smiles)) is known


def test_nearly_all_that_is_known_chemistry_is_known() -> None:
    molecules = [read(smiles) for smiles in load("zinc250k")[::500]]
    assert np.mean([is_known(mol) for mol in molecules]) > 0.95


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


def test_rings_are_drawn_by_the_root_of_how_common_they_are() -> None:
    generator = np.random.default_rng(0)
    counts = shipped_occurrences("ring_systems").counts
    drawn = Counter(known_ring(generator) for _ in range(40_000))
    assert min(counts[ring] for ring in drawn) >= KNOWN_RINGS
    benzene, indole = "c1ccccc1", "c1ccc2[nH]ccc2c1"
    assert drawn[benzene] / drawn[indole] == pytest.approx((counts[benzene] / counts[indole]) ** 0.5, rel=0.2)
