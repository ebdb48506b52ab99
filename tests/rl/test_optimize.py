"""The loop: short real runs."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from moldesign.assets import prior_path
from moldesign.chem import molecules
from moldesign.errors import CheckpointError, RewardError, UsageError
from moldesign.policy.checkpoint import Provenance, load_policy, read_provenance
from moldesign.rewards.objective import Objective
from moldesign.rl.optimize import optimize
from moldesign.rl.run import Run, training_search
from moldesign.rl.steps import StepReport

#: Leaves the search for the nearest training molecule out.
QUICK = {"nearest_for": 0}


def length(smiles: list[str]) -> list[float]:
    """1 from twenty characters on."""
    return [min(1.0, len(text) / 20) for text in smiles]


class Asked:
    """Scores by length, and keeps what it was asked."""

    def __init__(self) -> None:
        self.smiles: list[str] = []

    def __call__(self, smiles: list[str]) -> list[float | None]:
        self.smiles.extend(smiles)
        return [None if "=" in text else score for text, score in zip(smiles, length(smiles), strict=True)]


def small_run(prior: Path, objective: Any = length, **settings: Any) -> tuple[Run, list[StepReport]]:
    reports: list[StepReport] = []
    chosen = {"budget": 60, "batch_size": 32, "export": QUICK, **settings}
    return optimize(objective, prior=prior, progress=reports.append, **chosen), reports


@pytest.fixture(scope="module")
def asked_run(
    small_prior: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, list[StepReport], Asked]:
    asked = Asked()
    out = tmp_path_factory.mktemp("asked") / "run"
    return *small_run(small_prior, asked, budget=100, out=out), asked


def oxygens(smiles: list[str]) -> list[float]:
    """1 from six oxygens on."""
    return [min(1.0, text.upper().count("O") / 6) for text in smiles]


@pytest.mark.parametrize("estimator", ["dap", "reinforce"])
def test_the_shipped_prior_learns_what_scores(estimator: str) -> None:
    run = optimize(oxygens, estimator=estimator, budget=600, export=QUICK)
    scores = run.ledger["score"]
    assert len(scores) == 600
    # The standard error of each mean is about 0.02.
    assert scores[-150:].mean() > scores[:150].mean() + 0.1


def test_the_budget_is_spent_to_the_call_and_never_exceeded(
    asked_run: tuple[Run, list[StepReport], Asked],
) -> None:
    run, reports, asked = asked_run
    assert run.stopped_by == "budget spent"
    assert len(asked.smiles) == len(set(asked.smiles)) == 100
    assert [molecules.canonical(text) for text in asked.smiles] == asked.smiles
    assert run.ledger["smiles"].tolist() == asked.smiles
    assert run.ledger["call"].tolist() == list(range(1, 101))
    assert reports[-1].calls == 100
    assert all(before.calls <= after.calls for before, after in pairwise(reports))


def test_what_fails_is_in_the_ledger_and_no_candidate(asked_run: tuple[Run, list[StepReport], Asked]) -> None:
    run, reports, asked = asked_run
    failed = run.ledger[run.ledger["status"] == "failed"]
    assert set(failed["smiles"]) == {text for text in asked.smiles if "=" in text}
    assert 0 < len(failed) < 100
    assert failed["score"].isna().all()
    assert failed["reason"].str.len().gt(0).all()
    assert sum(report.failed for report in reports) == len(failed)
    assert set(run.candidates["smiles"]) == set(asked.smiles) - set(failed["smiles"])


def test_candidates_are_best_first_and_described(asked_run: tuple[Run, list[StepReport], Asked]) -> None:
    run, _, _ = asked_run
    table = run.candidates
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    assert table["score"].is_monotonic_decreasing
    assert table["score"].tolist() == length(table["smiles"].tolist())
    assert run.path is not None
    # The likelihoods are those of the policies in the files.
    agent, provenance = load_policy(run.path / "checkpoint" / "agent.safetensors")
    assert provenance.name == "agent of small"
    known = table[table["agent_nll"].notna()]
    assert len(known) > 0
    assert agent.nll(known["smiles"].tolist()).tolist() == pytest.approx(
        known["agent_nll"].tolist(), abs=1e-3
    )
    assert run.prior.nll(known["smiles"].tolist()).tolist() == pytest.approx(
        known["prior_nll"].tolist(), abs=1e-3
    )
    assert (known["agent_nll"] != known["prior_nll"]).any(), "the agent has moved, the prior has not"


def test_the_run_directory_holds_what_the_run_says(asked_run: tuple[Run, list[StepReport], Asked]) -> None:
    run, reports, _ = asked_run
    assert run.path is not None
    names = {path.name for path in run.path.iterdir() if not path.name.startswith(".")}
    assert names == {
        "candidates.csv", "checkpoint", "components.csv", "config.toml", "environment.json",
        "learning_curve.png", "ledger.sqlite", "log.jsonl", "steps.csv",
    }  # fmt: skip
    steps = pd.read_csv(run.path / "steps.csv")
    assert steps["calls"].tolist() == [report.calls for report in reports]
    assert len(pd.read_csv(run.path / "candidates.csv")) == len(run.candidates)


@pytest.mark.parametrize("estimator", ["dap", "reinforce"])
def test_one_seed_gives_the_same_bytes_and_another_seed_others(
    small_prior: Path, tmp_path: Path, estimator: str
) -> None:
    content = []
    for i, seed in enumerate([4, 4, 5]):
        small_run(small_prior, budget=100, estimator=estimator, seed=seed, out=tmp_path / str(i))
        content.append((tmp_path / str(i) / "candidates.csv").read_bytes())
    assert content[0] == content[1]
    assert content[0] != content[2]


@pytest.mark.parametrize("name", ["druglike", "zinc250k"])
def test_the_molecules_a_shipped_prior_was_trained_on_are_at_hand(name: str) -> None:
    search, missing = training_search(read_provenance(prior_path(name))[2])
    assert search is not None
    assert missing == ""


def test_nearest_is_sought_in_all_that_a_prior_was_trained_on(tmp_path: Path) -> None:
    # Kekule forms, which a search that takes them for canonical would find far from their aromatic ones.
    (tmp_path / "old.csv").write_text("id,structure\n1,C1=CC=CC=C1O\n2,CCO\n")
    (tmp_path / "new.smi").write_text("C1=CN=CC=C1\n")
    old = Provenance(corpora=[str(tmp_path / "old.csv")], column="structure")
    tuned = Provenance(corpora=[str(tmp_path / "new.smi")], parent=old)
    search, missing = training_search(tuned)
    assert search is not None
    assert missing == ""
    smiles, similarity = search([molecules.read("c1ccccc1O"), molecules.read("c1ccncc1")])
    assert smiles == ["C1=CC=CC=C1O", "C1=CN=CC=C1"]
    assert np.asarray(similarity).tolist() == [1.0, 1.0]
    (tmp_path / "old.csv").unlink()
    search, missing = training_search(tuned)
    assert search is not None
    assert "old.csv: does not exist" in missing
    # A corpus known by a name that is not here any more, such as one that was fetched elsewhere.
    search, missing = training_search(Provenance(corpora=["elsewhere"]))
    assert search is None
    assert "no corpus named 'elsewhere'" in missing
    assert training_search(Provenance()) == (None, "the prior does not say what it was trained on")


def test_the_end_of_a_run_tells_why_there_is_no_nearest_molecule(
    small_prior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = small_run(small_prior, budget=20, out=tmp_path / "run", export={"nearest_for": 5})
    assert (run.candidates["nearest_training_smiles"] == "").all()
    assert "does not say what it was trained on" in capsys.readouterr().err
    assert "does not say what it was trained on" in (tmp_path / "run" / "log.jsonl").read_text()


def test_without_a_folder_nothing_is_written(
    small_prior: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run, _ = small_run(small_prior)
    assert run.path is None
    assert list(tmp_path.iterdir()) == []
    assert len(run.ledger) == len(run.candidates) == 60


def test_steps_end_a_run_without_a_budget(small_prior: Path) -> None:
    run, reports = small_run(small_prior, budget=None, max_steps=2)
    assert run.stopped_by == "steps done"
    assert [report.step for report in reports] == [1, 2]


def test_replayed_molecules_join_from_the_second_step_on(small_prior: Path) -> None:
    _, reports = small_run(small_prior, budget=None, max_steps=3, replay_size=7)
    assert [report.replayed for report in reports] == [0, 7, 7]


def test_invalid_molecules_are_never_better_than_valid_ones(small_prior: Path) -> None:
    # Scores below nothing, all alike: were what is no molecule worth 0, there would be something to learn.
    _, reports = small_run(
        small_prior,
        lambda smiles: [-1.0] * len(smiles),
        estimator="reinforce",
        kl_coefficient=0.0,
        diversity=False,
    )
    assert any(report.valid < 1 for report in reports)
    assert [report.gradient_norm for report in reports] == [0.0] * len(reports)


def test_batches_without_any_score_are_passed_over(small_prior: Path) -> None:
    scored: list[str] = []

    def only_the_first(smiles: list[str]) -> list[float | None]:
        scored.extend(smiles)
        return [1.0 if text == scored[0] else None for text in smiles]

    run, reports = small_run(small_prior, only_the_first, budget=20, batch_size=2, replay_size=0)
    assert run.ledger["status"].value_counts().to_dict() == {"failed": 19, "scored": 1}
    assert run.candidates["smiles"].tolist() == scored[:1]
    assert any(math.isnan(report.loss) for report in reports)
    assert not all(math.isnan(report.loss) for report in reports)


def test_a_broken_objective_ends_the_run_and_keeps_what_was_paid(small_prior: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(RewardError, match="failed for each of the last 32 molecules.*ZeroDivisionError"):
        small_run(small_prior, lambda smiles: [1 / 0 for _ in smiles], out=out, budget=32, batch_size=64)
    table = pd.read_csv(out / "candidates.csv")
    assert len(table) == 0
    assert (out / "checkpoint" / "agent.safetensors").is_file()


def test_ctrl_c_in_python_exports_what_was_found(small_prior: Path, tmp_path: Path) -> None:
    def interrupt(report: StepReport) -> None:
        if report.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        optimize(
            length, prior=small_prior, out=tmp_path / "run", progress=interrupt, batch_size=16, export=QUICK
        )
    assert len(pd.read_csv(tmp_path / "run" / "candidates.csv")) > 5


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"objective": "qde"}, UsageError, "did you mean 'qed'"),
        ({"objective": "qed", "prior": "drglike"}, UsageError, "did you mean 'druglike'"),
        (
            {"objective": "qed", "prior": Path("none.safetensors")},
            CheckpointError,
            "none.safetensors: no such file",
        ),
        ({"objective": "qed", "sede": 1}, UsageError, "did you mean 'seed'"),
        ({"objective": length, "workers": 2}, UsageError, "Python function cannot be sent"),
    ],
)
def test_what_is_wrong_is_said_before_a_file_is_written(
    small_prior: Path, tmp_path: Path, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        optimize(**{"prior": small_prior, "out": tmp_path / "run", **arguments})
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_in_use_is_left_alone(small_prior: Path, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="exists and is not empty"):
        small_run(small_prior, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


TWO_AIMS = [
    {"reward": "qed"},
    {"reward": "tpsa", "shaping": {"kind": "linear", "zero": 20, "one": 120}},
    {"reward": "heavy_atoms", "role": "filter", "shaping": {"kind": "step", "low": 6}},
]


@pytest.mark.parametrize(
    "several",
    [
        {"combination": "pareto"},
        {"combination": "chebyshev", "weighting": {"kind": "drawn"}},
        {"combination": "arithmetic_mean", "weighting": {"kind": "schedule", "final": {"tpsa": 5.0}}},
    ],
)
def test_several_objectives_leave_a_front(small_prior: Path, tmp_path: Path, several: dict[str, Any]) -> None:
    objective = Objective.model_validate({"components": TWO_AIMS, **several})
    contents = []
    for name in ("run", "again"):
        small_run(small_prior, objective, budget=150, out=tmp_path / name)
        contents.append((tmp_path / name / "candidates.csv").read_bytes())
    assert contents[0] == contents[1]
    table = pd.read_csv(tmp_path / "run" / "candidates.csv")
    points = table[["qed_score", "tpsa_score"]].to_numpy()
    for row, point in enumerate(points):
        better = np.logical_and((points >= point).all(axis=1), (points > point).any(axis=1))
        dominated = (better & (table["score"] > 0).to_numpy()).any()
        assert table["front"][row] == (table["score"][row] > 0 and not dominated)
    curve = pd.read_csv(tmp_path / "run" / "hypervolume.csv")
    assert curve["hypervolume"].is_monotonic_increasing
    assert curve["hypervolume"].iloc[-1] > curve["hypervolume"].iloc[0] > 0
    assert curve["front"].iloc[-1] == table["front"].sum()


def test_one_objective_has_no_front(asked_run: tuple[Run, list[StepReport], Asked]) -> None:
    run, _, _ = asked_run
    assert run.candidates["front"].isna().all()


def test_the_components_are_accounted_for(small_prior: Path, tmp_path: Path) -> None:
    objective = Objective.model_validate({"components": TWO_AIMS})
    run, _ = small_run(small_prior, objective, budget=100, out=tmp_path / "run")
    costs = pd.read_csv(tmp_path / "run" / "components.csv", index_col="component")
    big = run.ledger["heavy_atoms_raw"] >= 6
    # The filter is asked first, and the others are spared what it stops.
    assert costs["asked"]["heavy_atoms"] == len(run.ledger)
    assert costs["asked"]["tpsa"] == big.sum()
    assert costs["hit_rate"]["heavy_atoms"] == pytest.approx(big.mean(), abs=1e-5)
    assert (run.ledger.loc[~big, "score"] == 0).all()
    assert (costs["milliseconds"] > 0).all()
