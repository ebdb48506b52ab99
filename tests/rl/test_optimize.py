"""The loop: short real runs."""

from __future__ import annotations

import math
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from moldesign.assets import prior_path
from moldesign.chem import molecules
from moldesign.errors import CheckpointError, RewardError, UsageError
from moldesign.policy import inference, recurrence
from moldesign.policy.checkpoint import Provenance, load_policy, read_provenance
from moldesign.policy.policy import Policy
from moldesign.rewards.objective import Objective
from moldesign.rewards.oracle import Asked as Batch
from moldesign.rewards.oracle import Oracle
from moldesign.rl.exports import training_search
from moldesign.rl.optimize import optimize
from moldesign.rl.run import PHASES, Run
from moldesign.rl.steps import StepReport
from moldesign.rl.updates import Update

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
        "learning_curve.png", "ledger.sqlite", "log.jsonl", "steps.csv", "timeline.csv",
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
        content.append([(tmp_path / str(i) / name).read_bytes() for name in ("candidates.csv", "steps.csv")])
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


def test_so_many_of_the_best_are_candidates(small_prior: Path) -> None:
    whole, _ = small_run(small_prior)
    some, _ = small_run(small_prior, export={**QUICK, "best": 7})
    assert len(some.ledger) == 60
    pd.testing.assert_frame_equal(some.candidates, whole.candidates.head(7))


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
        (
            {"objective": "qed", "estimator": "reinforce", "overlap": True},
            UsageError,
            "choose an estimator that allows it: dap, ahc",
        ),
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


# -- overlap -----------------------------------------------------------------------------------------


def many_oxygens(smiles: list[str]) -> list[float]:
    """The share of oxygen among the letters."""
    return [text.upper().count("O") / len(text) for text in smiles]


def test_a_policy_learns_from_batches_that_it_drew_a_step_before(small_prior: Path) -> None:
    run, _ = small_run(
        small_prior, many_oxygens, budget=600, overlap=True, learning_rate=0.02, diversity=False
    )
    scores = run.ledger["score"]
    assert len(scores) == 600
    # The standard error of each mean is about 0.02.
    assert scores[-150:].mean() > scores[:150].mean() + 0.15


def test_with_overlap_nothing_depends_on_who_scores_or_how_fast(small_prior: Path, tmp_path: Path) -> None:
    ledgers = []
    ways: dict[str, dict[str, Any]] = {
        "here": {"overlap": True},
        "workers": {"overlap": True, "workers": 2},
        "after the step": {},
    }
    for name, changes in ways.items():
        # Few letters and a fast learner: batches in flight share molecules.
        run, reports = small_run(
            small_prior, "qed", budget=150, learning_rate=0.05, out=tmp_path / name, **changes
        )
        assert run.stopped_by == "budget spent"
        assert run.ledger["call"].tolist() == list(range(1, 151))
        assert run.ledger["smiles"].is_unique
        assert reports[-1].calls == 150
        assert [report.step for report in reports] == list(range(1, len(reports) + 1))
        assert any(report.new < report.unique for report in reports)
        ledgers.append(run.ledger.drop(columns="time"))
    pd.testing.assert_frame_equal(ledgers[0], ledgers[1])
    for file in ("candidates.csv", "steps.csv"):
        assert (tmp_path / "here" / file).read_bytes() == (tmp_path / "workers" / file).read_bytes()
    # The first two batches are the untrained agent's with overlap, the first one without.
    first = ledgers[0]["smiles"][ledgers[0]["step"] == 1].tolist()
    assert first == ledgers[2]["smiles"][ledgers[2]["step"] == 1].tolist()
    agent, _ = load_policy(small_prior)
    untrained = {molecules.canonical(text) for text in agent.decode(agent.draw(64, seed=0))}
    assert set(ledgers[0]["smiles"][ledgers[0]["step"] <= 2]) == untrained - {None}
    assert set(ledgers[2]["smiles"][ledgers[2]["step"] <= 2]) != untrained - {None}


def in_order(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a run asks of the oracle and when it learns, as it happens."""
    events: list[str] = []

    def tell(owner: type, name: str, event: str) -> None:
        method = getattr(owner, name)

        def told(*arguments: Any, **options: Any) -> Any:
            events.append(event)
            return method(*arguments, **options)

        monkeypatch.setattr(owner, name, told)

    tell(Oracle, "submit", "submit")
    tell(Batch, "result", "result")
    tell(Update, "step", "step")
    return events


def test_scorers_have_the_next_batch_before_this_one_is_waited_for_and_none_after_the_last(
    small_prior: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = in_order(monkeypatch)
    small_run(small_prior, budget=None, max_steps=3)
    assert events == ["submit", "result", "step"] * 3
    events.clear()
    run, reports = small_run(small_prior, budget=None, max_steps=3, overlap=True)
    assert events == "submit submit result step submit result step result step".split()
    assert run.stopped_by == "steps done"
    assert len(reports) == 3


def test_what_is_in_flight_when_a_target_is_reached_is_recorded_and_learned_from(small_prior: Path) -> None:
    reports: list[StepReport] = []
    run = optimize(
        length,
        prior=small_prior,
        batch_size=32,
        overlap=True,
        target=0.01,
        progress=reports.append,
        export=QUICK,
    )
    assert run.stopped_by == "target reached"
    # The step at which it ended, and that of the batch which was drawn before.
    assert [report.step for report in reports] == [1, 2]
    assert not math.isnan(reports[-1].loss)
    assert set(run.ledger["step"]) == {1, 2}
    assert reports[-1].calls == len(run.ledger)


def test_what_workers_have_in_hand_when_a_run_is_interrupted_is_recorded(small_prior: Path) -> None:
    reports: list[StepReport] = []
    run = optimize(
        "qed",
        prior=small_prior,
        batch_size=32,
        workers=2,
        overlap=True,
        should_stop=lambda: len(reports) == 2,
        progress=reports.append,
        export=QUICK,
    )
    assert (run.stopped_by, len(reports)) == ("interrupted", 2)
    assert set(run.ledger["step"]) == {1, 2, 3}
    assert reports[-1].calls < len(run.ledger) == run.oracle.calls


def test_what_workers_have_in_hand_is_waited_for_when_an_error_ends_the_run(
    small_prior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(report: StepReport) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        optimize(
            "qed", prior=small_prior, out=tmp_path / "run", progress=interrupt, batch_size=16, workers=2,
            overlap=True, export=QUICK,
        )  # fmt: skip
    agent, _ = load_policy(small_prior)
    drawn = {molecules.canonical(text) for text in agent.decode(agent.draw(32, seed=0))} - {None}
    assert set(pd.read_csv(tmp_path / "run" / "candidates.csv")["smiles"]) == drawn
    assert len(pd.read_csv(tmp_path / "run" / "timeline.csv")) == len(PHASES) + 2
    assert "molecules are still being scored" in capsys.readouterr().err


# -- time and work -----------------------------------------------------------------------------------


def test_the_timeline_adds_up(small_prior: Path, tmp_path: Path) -> None:
    started = time.perf_counter()
    run, reports = small_run(small_prior, "qed", workers=2, out=tmp_path / "run")
    whole = time.perf_counter() - started
    table = run.timeline
    assert table["phase"].tolist() == [*PHASES, "other", "workers"]
    phases = table[table["phase"] != "workers"]
    assert 0 < phases["seconds"].sum() < whole
    assert phases["share"].sum() == pytest.approx(1.0)
    np.testing.assert_allclose(table["milliseconds_a_step"], 1000 * table["seconds"] / len(reports))
    seconds = table.set_index("phase")["seconds"]
    assert (seconds.drop("other") > 0).all()
    assert seconds["workers"] == sum(one.seconds for one in run.oracle.tally.components) / 2
    written = pd.read_csv(tmp_path / "run" / "timeline.csv")
    pd.testing.assert_frame_equal(written, table, rtol=1e-5)


@pytest.mark.parametrize("replay_size", [0, 8])
def test_a_step_reads_a_drawn_molecule_once_each(
    small_prior: Path, monkeypatch: pytest.MonkeyPatch, replay_size: int
) -> None:
    texts, parsed, passes, computed = [0], [0], [0], [0]
    counts: list[tuple[int, ...]] = []
    from_smiles, read, submit = Chem.MolFromSmiles, Policy.read, Oracle.submit
    levels = recurrence.levels

    def counted(text: str, **options: Any) -> Any:
        parsed[0] += not options  # why an invalid one is none is asked with an option
        return from_smiles(text, **options)

    def counted_pass(policy: Policy, tokens: Any, *reading: Any, **wanted: Any) -> Any:
        passes[0] += 1
        return read(policy, tokens, *reading, **wanted)

    def counted_levels(*arguments: Any) -> Any:
        computed[0] += 1
        return levels(*arguments)

    def counted_texts(oracle: Oracle, smiles: list[str], *origins: list[str]) -> Batch:
        texts[0] += sum(bool(text) for text in smiles)
        return submit(oracle, smiles, *origins)

    monkeypatch.setattr(Chem, "MolFromSmiles", counted)
    monkeypatch.setattr(Policy, "read", counted_pass)
    for module in (recurrence, inference):
        monkeypatch.setattr(module, "levels", counted_levels)
    monkeypatch.setattr(Oracle, "submit", counted_texts)
    optimize(
        "qed",
        prior=small_prior,
        batch_size=32,
        max_steps=4,
        replay_size=replay_size,
        diversity_min_score=0.0,
        progress=lambda report: counts.append((report.replayed, texts[0], parsed[0], passes[0], computed[0])),
        export=QUICK,
    )
    # Oracle, objective and scaffold memory share what was read of a text. Agent and prior read a batch once,
    # and only the prior computes its layers for that: the agent did when it drew. After the first step, and
    # every tenth, the agent is read once more: how far has it gone?
    layers = load_policy(small_prior)[0].network.architecture.layers
    assert counts[-1] == (replay_size, texts[0], texts[0], 4 * 2 + 1, 5 * layers)
    assert texts[0] > 0
