"""The benchmark objectives give what the packages that define them give.

The values are those of guacamol 0.5.5 and TDC 1.1.14; fixtures/make_*_values.py tell how they came about.
"""

import csv
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from moldesign.chem.molecules import Mol, read
from moldesign.rewards.guacamol import REFERENCES
from moldesign.rewards.loading import load_objective
from moldesign.rewards.objectives import GUACAMOL, PMO, READY_MADE
from moldesign.rewards.reward import Values
from moldesign.rewards.scoring import score

FIXTURES = Path(__file__).parent / "fixtures"


@cache
def published(suite: str) -> dict[str, Values]:
    with (FIXTURES / f"{suite}_values.csv").open(encoding="ascii") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["smiles"] for row in rows] == smiles()
    tasks = [column for column in rows[0] if column not in ("smiles", "why")]
    return {task: np.array([float(row[task]) for row in rows]) for task in tasks}


@cache
def smiles() -> list[str]:
    with (FIXTURES / "guacamol_values.csv").open(encoding="ascii") as handle:
        return [row["smiles"] for row in csv.DictReader(handle)]


@cache
def molecules() -> list[Mol]:
    return [read(one) for one in smiles()]


def test_the_suites_have_twenty_tasks_each() -> None:
    assert tuple(published("guacamol")) == GUACAMOL
    assert tuple(published("tdc")) == PMO
    assert len(set(GUACAMOL)) == len(set(PMO)) == 20
    assert {*GUACAMOL, *PMO} <= set(READY_MADE)
    for name in (*GUACAMOL, *PMO):
        description = READY_MADE[name]().description
        assert ("GuacaMol" in description) == (name in GUACAMOL)
        assert ("PMO" in description) == (name in PMO)


@pytest.mark.parametrize("name", sorted({*GUACAMOL, *PMO}))
def test_every_value_is_the_published_one(name: str) -> None:
    scores = load_objective(name).evaluate(molecules())
    assert scores.reasons == [None] * len(molecules())
    for suite in ("guacamol", "tdc"):
        if name in published(suite):
            theirs = published(suite)[name]
            np.testing.assert_allclose(scores.score, theirs, rtol=0, atol=1e-9)
            # The molecules put the task to the test.
            assert theirs.max() > 0.36
            assert np.unique(theirs[theirs > 1e-4].round(4)).size > 10


def test_the_hops_do_not_depend_on_which_is_asked_first() -> None:
    # In TDC the first one called leaves its scaffold SMARTS behind for the other.
    quinazoline = read(REFERENCES["hop_start"])
    orders = (("deco_hop", "scaffold_hop"), ("scaffold_hop", "deco_hop"))
    for order in orders:
        values = {name: load_objective(name).evaluate([quinazoline]).score[0] for name in order}
        # Similarity 1; both decorations and the scaffold are there: (1 + 0 + 0 + 1) / 4 and (1 + 1 + 0) / 3.
        assert values == pytest.approx({"deco_hop": 1 / 2, "scaffold_hop": 2 / 3}, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "formula"), [("isomers_c7h8n2o2", "COc1ccc(cn1)C(N)=O"), ("isomers_c11h24", "CCCCCC(C)CCCC")]
)
def test_an_isomer_scores_1(name: str, formula: str) -> None:
    assert load_objective(name).evaluate([read(formula)]).score[0] == 1


def test_perindopril_by_hand() -> None:
    # It is like itself, and has none of the two aromatic rings.
    found = load_objective("perindopril_mpo").evaluate([read(REFERENCES["perindopril"])]).score[0]
    assert found == pytest.approx(math.sqrt(math.exp(-0.5 * (2 / 0.5) ** 2)), abs=1e-12)


@pytest.mark.parametrize("name", ["deco_hop", "valsartan_smarts", "isomers_c11h24", "qed"])
def test_what_is_no_molecule_has_no_score(name: str) -> None:
    # GuacaMol gives -1, TDC 0.
    table = score(name, ["CCO", "C1CC", "not a molecule"])
    assert np.isnan(table["score"]).tolist() == [False, True, True]
