from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from moldesign.chem.molecules import read
from moldesign.chem.scaffolds import murcko
from moldesign.rewards.objective import Objective
from moldesign.rl.methods import Method
from moldesign.rl.optimize import optimize
from moldesign.rl.run import Run
from moldesign.search.chemistry import is_sound
from moldesign.search.choices import ORIGINS

SEARCH: dict[str, Any] = {
    "estimator": "tb",
    "operators": ",".join(ORIGINS),
    "acquisition": "ucb",
    "pool_size": 150,
    "batch_size": 16,
    "budget": 160,
    "diversity": False,
}
LIKENESS = {
    "reward": "similarity",
    "parameters": {"references": ["CCOCCN(CC)C(=O)CC(C)O"], "fingerprint": "ecfp4"},
}


def searched(small_prior: Path, **settings: Any) -> Run:
    return optimize(
        Objective.model_validate({"components": [LIKENESS]}),
        prior=small_prior,
        export={"nearest_for": 0},
        **{**SEARCH, **settings},
    )


@pytest.fixture(scope="module")
def run(small_prior: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return searched(small_prior, out=tmp_path_factory.mktemp("runs") / "run")


def test_what_proposed_a_molecule_is_on_record(run: Run) -> None:
    assert run.path is not None
    table = pd.read_csv(run.path / "candidates.csv")
    assert {"policy", "crossover", "edit"} <= {*table["origin"]} <= {*ORIGINS}
    by_call = run.ledger.set_index("call")["origin"]
    assert table["origin"].tolist() == by_call.loc[table["call"]].tolist()
    # Before there are molecules to breed from the policy is alone.
    assert {*by_call.head(16)} == {"policy"}


def test_every_call_is_spent_on_another_molecule(run: Run) -> None:
    assert run.stopped_by == "budget spent"
    assert run.ledger["smiles"].nunique() == len(run.ledger) == 160


def test_a_search_finds_more_than_the_policy_alone(small_prior: Path, run: Run) -> None:
    alone = searched(small_prior, operators="policy", acquisition="none")
    best = [np.sort(one.ledger["score"])[-10:].mean() for one in (alone, run)]
    assert best[1] > best[0] + 0.1


def test_a_batch_grows_with_the_calls(small_prior: Path) -> None:
    found = searched(small_prior, batch_growth=0.2, budget=120)
    sizes = found.ledger.groupby("step").size().tolist()
    assert sizes[0] == 8
    assert sizes == sorted(sizes[:-1]) + sizes[-1:]
    assert max(sizes) == 16


def test_the_agent_learns_from_what_others_proposed(small_prior: Path) -> None:
    learned = {"learning_rate": 0.02, "replay_rounds": 4, "replay_batch": 32}
    run = searched(small_prior, operators="crossover,edit", **learned)
    # Molecules that it never wrote have become likelier than they were, the good ones more than the bad.
    others = run.candidates[run.candidates["origin"].isin(["crossover", "edit"])]
    gain = others["prior_nll"] - others["agent_nll"]
    half = len(others) // 2
    assert gain.head(half).mean() > max(1.0, gain.tail(half).mean())


def test_further_steps_are_of_so_many_remembered_molecules(
    small_prior: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    loss = Method.loss

    def watched(method: Method, rollout: Any) -> Any:
        sizes.append(len(rollout))
        return loss(method, rollout)

    monkeypatch.setattr(Method, "loss", watched)
    settings: dict[str, Any] = {"replay_size": 0, "replay_rounds": 2, "replay_batch": 5, "budget": 64}
    searched(small_prior, **settings)
    assert sizes.count(5) >= 6
    assert {*sizes} <= {5, 8, 16}


def test_strict_chemistry_spends_no_call_on_what_is_not_sound(small_prior: Path) -> None:
    found = searched(small_prior, chemistry="strict", budget=60)
    assert len(found.ledger) >= 40
    assert all(is_sound(read(smiles)) for smiles in found.ledger["smiles"])
    assert "strict_alerts" in found.oracle.labels


def crowded(run: Run, bucket_size: int) -> list[str]:
    """What was scored although so many of its scaffold had been, in the steps before."""
    counts: Counter[str] = Counter()
    found = []
    for _, step in run.ledger.groupby("step"):
        of_step = [(smiles, murcko(read(smiles))) for smiles in step["smiles"]]
        found += [smiles for smiles, scaffold in of_step if scaffold and counts[scaffold] >= bucket_size]
        counts.update(scaffold for _, scaffold in of_step)
    return found


@pytest.mark.parametrize("diversity", [False, True])
def test_no_call_is_spent_on_a_scaffold_that_earns_nothing(diversity: bool) -> None:
    settings = {**SEARCH, "budget": 48, "batch_size": 8, "pool_size": 40, "diversity": diversity}
    run = optimize(
        Objective.model_validate(
            {"components": [{**LIKENESS, "parameters": {"references": ["Cc1ccccc1O"]}}]}
        ),
        prior="druglike",
        bucket_size=2,
        diversity_min_score=0.0,
        export={"nearest_for": 0},
        **settings,
    )
    assert bool(crowded(run, 2)) == (not diversity)
