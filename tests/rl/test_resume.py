"""A run that was ended at any moment and taken up again is the run that nothing happened to."""

from __future__ import annotations

import errno
import itertools
import json
import math
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import moldesign
from moldesign.benchmarks.reliability import differences
from moldesign.errors import CheckpointError, NonFiniteTrainingError, ResourceError, RewardError, UsageError
from moldesign.policy.checkpoint import Provenance, load_policy, save_policy
from moldesign.policy.policy import Policy
from moldesign.records.files import Appender, write_error
from moldesign.records.ledger import Ledger
from moldesign.records.run import RunDirectory, RunLocked
from moldesign.rewards.objective import Objective
from moldesign.rl.checkpoints import Checkpoints
from moldesign.rl.choices import ESTIMATORS
from moldesign.rl.methods import Method
from moldesign.rl.optimize import optimize, resume
from moldesign.rl.run import Run
from moldesign.rl.steps import StepReport

#: Leaves the search for the nearest training molecule out.
QUICK = {"nearest_for": 0}


class Lights(Exception):
    """They go out."""


def length(smiles: Sequence[str]) -> list[float]:
    """1 from twenty characters on."""
    return [min(1.0, len(text) / 20) for text in smiles]


class Counted:
    """Scores by length, and keeps what it was asked."""

    def __init__(self) -> None:
        self.smiles: list[str] = []

    def __call__(self, smiles: list[str]) -> list[float]:
        self.smiles += smiles
        return length(smiles)


def until(step: int) -> Any:
    """A watcher that ends the run after a step, before its state is kept."""

    def watch(report: StepReport) -> None:
        if report.step == step:
            raise Lights

    return watch


def run_until(step: int, objective: Any, out: Path, **settings: Any) -> None:
    with pytest.raises(Lights):
        optimize(objective, out=out, export=QUICK, progress=until(step), **settings)


def in_full_precision(path: Path, **options: Any) -> tuple[Policy, Provenance]:
    policy, provenance = load_policy(path, **options)
    return Policy(policy.network, policy.tokenizer, half_precision=False), provenance


SEARCH: dict[str, Any] = {
    "operators": "policy,prefix,crossover,recombination,edit",
    "acquisition": "ucb",
    "pool_size": 60,
    "fingerprints": "ecfp4,topological_torsion",
    "replay_rounds": 1,
    "replay_batch": 8,
    "replay_randomised": True,
}
SETTINGS: dict[str, dict[str, Any]] = {
    **{name: {"estimator": name} for name in ESTIMATORS if name != "exact"},
    "moving average, one after the other": {"estimator": "reinforce", "baseline": "moving-average"},
    "greedy, rewritten": {"estimator": "reinforce", "baseline": "greedy", "replay_randomised": True},
    "overlap": {"estimator": "tb", "overlap": True},
    "overlap, critic": {"estimator": "off-policy", "overlap": True, "baseline": "value"},
    "full precision": {"estimator": "ppo", "learning_rate": 0.01},
    "search": {**SEARCH, "estimator": "tb", "batch_growth": 0.2, "surrogate_points": 60},
    "search, overlap": {**SEARCH, "estimator": "dap", "overlap": True},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_continuation_is_the_run_that_was_never_interrupted(
    small_prior: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "full precision":
        monkeypatch.setattr("moldesign.rl.opening.load_policy", in_full_precision)
    settings: dict[str, Any] = {
        "prior": small_prior,
        "batch_size": 12,
        "seed": 3,
        "max_steps": 11,
        "bucket_size": 5,
        **SETTINGS[name],
    }
    optimize("qed", out=tmp_path / "whole", export=QUICK, **settings)
    # A state after every step: it goes on from 6. A state now and then: it goes on from the start.
    run_until(7, "qed", tmp_path / "often", checkpoint_minutes=0, **settings)
    assert [*(tmp_path / "often" / "checkpoint").glob("step-*")] != []
    resume(tmp_path / "often", export=QUICK)
    assert differences(tmp_path / "whole", tmp_path / "often") == []
    if name in ("dap", "overlap"):
        run_until(7, "qed", tmp_path / "seldom", **settings)
        resume(tmp_path / "seldom", export=QUICK)
        assert differences(tmp_path / "whole", tmp_path / "seldom") == []


@pytest.mark.parametrize("kind", ["drawn", "schedule", "pareto"])
def test_weights_that_move_go_on_where_they_were(small_prior: Path, tmp_path: Path, kind: str) -> None:
    ways: dict[str, dict[str, Any]] = {
        "drawn": {"weighting": {"kind": "drawn"}},
        "schedule": {"weighting": {"kind": "schedule", "final": {"mw": 5.0}}},
        "pareto": {"combination": "pareto"},
    }
    components = [
        {"reward": "qed"},
        {"reward": "mw", "shaping": {"kind": "gaussian", "mean": 100, "sd": 30}},
    ]
    objective = Objective.model_validate({"components": components, **ways[kind]})
    settings: dict[str, Any] = {
        "prior": small_prior,
        "batch_size": 12,
        "seed": 3,
        "max_steps": 12,
        "checkpoint_minutes": 0,
    }
    optimize(objective, out=tmp_path / "whole", export=QUICK, **settings)
    run_until(5, objective, tmp_path / "broken", **settings)
    resume(tmp_path / "broken", export=QUICK)
    assert differences(tmp_path / "whole", tmp_path / "broken") == []
    whole, broken = (pd.read_csv(tmp_path / name / "hypervolume.csv") for name in ("whole", "broken"))
    pd.testing.assert_frame_equal(whole, broken)


def test_nothing_is_scored_twice(small_prior: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"prior": small_prior, "batch_size": 12, "seed": 1, "budget": 70}
    whole, first, second = Counted(), Counted(), Counted()
    optimize(whole, out=tmp_path / "whole", export=QUICK, **settings)
    run_until(4, first, tmp_path / "broken", **settings)
    run = resume(tmp_path / "broken", objective=second, export=QUICK)
    assert [*first.smiles, *second.smiles] == whole.smiles
    assert len(first.smiles) > 10
    assert (run.stopped_by, len(run.ledger)) == ("budget spent", 70)
    costs = pd.read_csv(tmp_path / "broken" / "components.csv")
    assert costs["valued"].tolist() == [70]


def test_a_run_that_is_done_goes_on_with_a_larger_budget(small_prior: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"prior": small_prior, "batch_size": 10, "seed": 1, "estimator": "reinforce"}
    optimize("qed", out=tmp_path / "whole", max_steps=9, export=QUICK, **settings)
    optimize("qed", out=tmp_path / "more", max_steps=4, export=QUICK, **settings)
    assert resume(tmp_path / "more", export=QUICK).stopped_by == "steps done"
    assert resume(tmp_path / "more", max_steps=9, export=QUICK).stopped_by == "steps done"
    assert differences(tmp_path / "whole", tmp_path / "more") == []
    assert RunDirectory(tmp_path / "more").read_config()["settings"]["max_steps"] == 9
    events = [
        json.loads(line)["event"] for line in (tmp_path / "more" / "log.jsonl").read_text().splitlines()
    ]
    assert events.count("resumed") == 2


@pytest.mark.parametrize("overlap", [False, True])
def test_who_interrupts_goes_on_as_if_he_had_not(small_prior: Path, tmp_path: Path, overlap: bool) -> None:
    settings: dict[str, Any] = {
        "prior": small_prior,
        "batch_size": 12,
        "seed": 3,
        "max_steps": 9,
        "overlap": overlap,
    }
    optimize("qed", out=tmp_path / "whole", export=QUICK, **settings)
    answers = iter([False, False, False, True])
    run = optimize(
        "qed", out=tmp_path / "run", export=QUICK, should_stop=lambda: next(answers, False), **settings
    )
    assert run.stopped_by == "interrupted"
    assert len(pd.read_csv(tmp_path / "run" / "steps.csv")) == 3
    resume(tmp_path / "run", export=QUICK)
    assert differences(tmp_path / "whole", tmp_path / "run") == []


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    small_prior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings: dict[str, Any] = {
        "prior": small_prior,
        "batch_size": 12,
        "seed": 3,
        "max_steps": 8,
        "checkpoint_minutes": 0,
    }
    optimize("qed", out=tmp_path / "whole", export=QUICK, **settings)
    for name, damaged in (("one", 1), ("all", 2)):
        run_until(6, "qed", tmp_path / name, **settings)
        states = sorted((tmp_path / name / "checkpoint").glob("step-*"), reverse=True)
        assert [path.name for path in states] == ["step-00000005.safetensors", "step-00000004.safetensors"]
        for path in states[:damaged]:
            content = bytearray(path.read_bytes())
            content[-20] ^= 1
            path.write_bytes(content)
        resume(tmp_path / name, export=QUICK)
        assert capsys.readouterr().err.count("passed over") == damaged
        assert differences(tmp_path / "whole", tmp_path / name) == []


def test_what_the_scorers_had_when_the_run_died_is_scored_again_and_only_that(
    small_prior: Path, tmp_path: Path
) -> None:
    class Dying(Counted):
        def __call__(self, smiles: list[str]) -> list[float]:
            super().__call__(smiles)
            if len(self.smiles) > 30:
                raise Unplugged
            return length(smiles)

    class Unplugged(BaseException):
        """Not one that a run lives to see."""

    settings: dict[str, Any] = {"prior": small_prior, "batch_size": 12, "seed": 1, "budget": 60}
    whole, first, second = Counted(), Dying(), Counted()
    optimize(whole, out=tmp_path / "whole", export=QUICK, **settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "release", lambda *_: None)  # who is dead releases nothing
        with pytest.raises(Unplugged):
            optimize(first, out=tmp_path / "broken", export=QUICK, **settings)
    with Ledger.read_only(tmp_path / "broken" / "ledger.sqlite") as ledger:
        under_way, paid = ledger.reserved(), ledger.calls
    assert under_way
    assert [len(first.smiles), first.smiles[paid:]] == [paid + len(under_way), under_way]
    resume(tmp_path / "broken", objective=second, export=QUICK)
    assert [*first.smiles[:paid], *second.smiles] == whole.smiles
    assert differences(tmp_path / "whole", tmp_path / "broken") == []


# -- a disk that fails -------------------------------------------------------------------------------------


class Disk:
    """Fails at one of the moments at which a run writes: a sync, a line, a transaction."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.writes, self.fails_at = 0, 0
        fsync, append, transaction = os.fsync, Appender.append, Ledger._transaction

        def syncing(handle: int) -> None:
            self.write()
            fsync(handle)

        def appending(lines: Appender, line: str) -> None:
            try:
                self.write()
            except OSError as error:
                raise write_error(lines.path, error) from None
            append(lines, line)

        def transacting(ledger: Ledger) -> Any:
            if self.writes + 1 == self.fails_at:
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                self.writes += 1
                raise error
            self.write()
            return transaction(ledger)

        patch.setattr(os, "fsync", syncing)
        patch.setattr(Appender, "append", appending)
        patch.setattr(Ledger, "_transaction", transacting)

    def write(self) -> None:
        self.writes += 1
        if self.writes == self.fails_at:
            raise OSError(errno.ENOSPC, "No space left on device")


#: 1 for every write that there is, as `make bench-reliability` has it.
NTH = int(os.environ.get("MOLDESIGN_TEST_EVERY_NTH_WRITE", "6"))


def test_whichever_write_fails_nothing_is_lost(
    small_prior: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {
        "prior": small_prior, "batch_size": 8, "seed": 3, "max_steps": 3, "checkpoint_minutes": 0,
    }  # fmt: skip
    disk = Disk(monkeypatch)
    optimize("qed", out=tmp_path / "whole", export=QUICK, **settings)
    total, refused = disk.writes, 0
    assert total > 30
    for n in range(1, total + 1, NTH):
        disk.writes, disk.fails_at = 0, n
        out = tmp_path / str(n)
        try:
            with pytest.raises(ResourceError, match="No space left|disk is full"):
                optimize("qed", out=out, export=QUICK, **settings)
        except UsageError:  # before there was a run
            refused += 1
        disk.fails_at = 0
        if not (out / "config.toml").exists():
            refused += 1
            continue
        resume(out, export=QUICK)
        assert differences(tmp_path / "whole", out) == [], n
    assert refused < 3 + 12 / NTH


def test_a_clock_that_jumps_changes_nothing(
    small_prior: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"prior": small_prior, "batch_size": 12, "seed": 3, "max_steps": 5}
    optimize("qed", out=tmp_path / "whole", export=QUICK, **settings)
    hours = itertools.cycle([4e9, 0.0, 1e9, -5.0])
    monkeypatch.setattr("time.time", lambda: next(hours))
    run_until(3, "qed", tmp_path / "run", max_hours=1.0, **settings)
    run = resume(tmp_path / "run", export=QUICK)
    assert run.stopped_by == "steps done"
    assert differences(tmp_path / "whole", tmp_path / "run") == []


# -- what is there and is not what it was --------------------------------------------------------------


def small_settings(small_prior: Path) -> dict[str, Any]:
    return {"prior": small_prior, "batch_size": 12, "seed": 3, "max_steps": 6, "checkpoint_minutes": 0}


def test_a_ledger_that_has_lost_calls_is_not_taken_up(small_prior: Path, tmp_path: Path) -> None:
    run_until(4, "qed", tmp_path / "run", **small_settings(small_prior))
    (tmp_path / "run" / "ledger.sqlite").unlink()
    with pytest.raises(CheckpointError, match=r"holds 0 calls, and the checkpoint knows of \d+; .*-wal"):
        resume(tmp_path / "run", export=QUICK)


def test_a_state_that_lacks_something_is_refused_and_the_agent_stays(
    small_prior: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    run_until(4, "qed", out, **small_settings(small_prior))
    checkpoints = Checkpoints(out / "checkpoint")
    state = checkpoints.newest(print)
    assert state is not None
    del state["scaffolds"]
    checkpoints.save(4, state)
    agent = (out / "checkpoint" / "agent.safetensors").read_bytes()
    with pytest.raises(CheckpointError, match="its checkpoint is of another version"):
        resume(out, export=QUICK)
    assert (out / "checkpoint" / "agent.safetensors").read_bytes() == agent


def test_another_prior_is_noticed_wherever_it_lies(small_prior: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run_until(4, "qed", out, **small_settings(small_prior))
    moved, other = tmp_path / "moved.safetensors", tmp_path / "other.safetensors"
    moved.write_bytes(small_prior.read_bytes())
    policy, provenance = load_policy(small_prior)
    with torch.no_grad():
        policy.network.head.bias.add_(0.01)
    save_policy(policy, other, provenance)
    config = out / "config.toml"
    text = config.read_text()
    config.write_text(text.replace(str(small_prior), str(other)))
    with pytest.raises(CheckpointError, match="other.safetensors: not the prior that the run began with"):
        resume(out, export=QUICK)
    config.write_text(text.replace(str(small_prior), str(moved)))
    assert resume(out, export=QUICK).stopped_by == "steps done"


def test_the_state_of_a_run_that_is_done_stays_as_it_is(small_prior: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    optimize("qed", out=out, export=QUICK, **small_settings(small_prior))
    before = (out / "checkpoint" / "SHA256SUMS").read_text()
    resume(out, export=QUICK)
    assert (out / "checkpoint" / "SHA256SUMS").read_text() == before


# -- what goes wrong ---------------------------------------------------------------------------------------


def test_a_run_that_others_work_in_is_left_alone(small_prior: Path, tmp_path: Path) -> None:
    optimize("qed", prior=small_prior, out=tmp_path / "run", max_steps=1, batch_size=4, export=QUICK)
    with RunDirectory.open(tmp_path / "run"), pytest.raises(RunLocked, match="is working in this run"):
        resume(tmp_path / "run")


def test_what_would_make_it_another_run_is_refused(small_prior: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    optimize(length, prior=small_prior, out=run, max_steps=1, batch_size=4, export=QUICK)
    with pytest.raises(UsageError, match="sigma: a run goes on as it began; budget, max_steps"):
        resume(run, objective=length, sigma=3.0)
    with pytest.raises(UsageError, match="its objective is Python or a command; give it again"):
        resume(run)
    with pytest.raises(CheckpointError, match=r"holds the components length; the objective has qed"):
        resume(run, objective="qed")
    with pytest.raises(CheckpointError, match="there is no run here"):
        resume(tmp_path / "nowhere")
    # Nothing of that has locked or changed it.
    assert resume(run, objective=length, max_steps=2, export=QUICK).stopped_by == "steps done"


def test_with_another_prior_it_would_be_another_run(small_prior: Path, tmp_path: Path) -> None:
    prior = tmp_path / "mine.safetensors"
    prior.write_bytes(small_prior.read_bytes())
    settings: dict[str, Any] = {"batch_size": 4, "export": QUICK}
    optimize("qed", prior=prior, out=tmp_path / "run", max_steps=1, **settings)
    policy, provenance = load_policy(prior)
    with torch.no_grad():
        policy.network.head.bias[-1] += 1.0
    save_policy(policy, prior, provenance)
    with pytest.raises(CheckpointError, match=r"mine\.safetensors: not the prior that the run began with"):
        resume(tmp_path / "run", max_steps=2, export=QUICK)
    (tmp_path / "run" / "environment.json").unlink()  # nobody knows
    assert resume(tmp_path / "run", max_steps=2, export=QUICK).stopped_by == "steps done"


def test_out_of_memory_the_same_samples_come_in_smaller_batches(
    small_prior: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read = Method.read

    def hungry(self: Method, drawn: Any, again: Any) -> Any:
        if len(drawn) > 8:
            torch.empty(2**50)
        return read(self, drawn, again)

    monkeypatch.setattr(Method, "read", hungry)
    settings: dict[str, Any] = {
        "prior": small_prior,
        "seed": 1,
        "learning_rate": 1e-12,
        "estimator": "reinforce",
        "replay_size": 0,
    }
    counted = Counted()
    run = optimize(counted, max_steps=4, batch_size=32, export=QUICK, **settings)
    err = capsys.readouterr().err
    assert "step 1: out of memory; batches of 16 from now on" in err
    assert "batches of 8 from now on" in err
    monkeypatch.setattr(Method, "read", read)
    whole = Counted()
    optimize(whole, max_steps=1, batch_size=32, export=QUICK, **settings)
    assert counted.smiles == whole.smiles == run.ledger["smiles"].tolist()


def test_not_even_one_molecule_fits(small_prior: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Method, "read", lambda *_: torch.empty(2**50))
    with pytest.raises(ResourceError, match="out of memory for a single molecule"):
        optimize("qed", prior=small_prior, max_steps=2, batch_size=2, export=QUICK)


def test_weights_that_are_no_longer_finite_are_put_back(
    small_prior: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = Method.learn

    def spoilt(self: Method, rollout: Any) -> Any:
        if self.steps == 3:
            with torch.no_grad():
                next(self.agent.network.parameters()).fill_(math.nan)
            raise NonFiniteTrainingError("the weights are no longer finite")
        return learn(self, rollout)

    monkeypatch.setattr(Method, "learn", spoilt)
    with pytest.raises(NonFiniteTrainingError):
        optimize("qed", prior=small_prior, out=tmp_path / "run", max_steps=9, batch_size=8, export=QUICK)
    drawn = moldesign.sample(str(tmp_path / "run" / "checkpoint" / "agent.safetensors"), 20)
    assert drawn["valid"].any()


def test_a_full_disk_is_noticed_before_the_first_call(
    small_prior: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "moldesign.rl.opening.shutil.disk_usage", lambda _: type("Usage", (), {"free": 2**20})
    )
    asked = Counted()
    with pytest.raises(ResourceError, match=r"a run needs .* MiB and 1 are free; free some disk space"):
        optimize(asked, prior=small_prior, out=tmp_path / "run", max_steps=1)
    assert asked.smiles == []


def test_a_broken_objective_leaves_nothing_reserved(small_prior: Path, tmp_path: Path) -> None:
    def broken(smiles: list[str]) -> list[float]:
        raise RewardError("the licence has expired")

    with pytest.raises(RewardError):
        optimize(broken, prior=small_prior, out=tmp_path / "run", max_steps=1, batch_size=4)
    with Ledger.read_only(tmp_path / "run" / "ledger.sqlite") as ledger:
        assert (ledger.calls, ledger.reserved()) == (0, [])
