"""Learning curves of the estimators: what is measured, and that runs are kept."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moldesign.benchmarks import learning
from moldesign.benchmarks.learning import (
    TUNED,
    Task,
    grid,
    main,
    rows,
    student_tail,
    summarise,
    welch,
)
from moldesign.benchmarks.runs import auc, perform
from moldesign.errors import ResourceError, UsageError
from moldesign.rl.choices import ESTIMATORS
from moldesign.rl.settings import OptimizeSettings

CALLS = 64
TIMES = ("seconds", "milliseconds_a_call")


def arguments(out: Path, prior: Path, *more: str) -> list[str]:
    small = ["--objectives", "qed", "--seeds", "0,1", "--calls", str(CALLS), "--prior", str(prior)]
    return ["--out", str(out), *small, *more]


def files(out: Path) -> dict[str, dict[str, Any]]:
    """Name -> content of every run, without what it cost."""
    found = {}
    for path in sorted((out / "qed").iterdir()):
        content = json.loads(path.read_text())
        assert all(content.pop(key) > 0 for key in TIMES)
        found[path.name] = content
    return found


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, small_prior: Path) -> Path:
    """A folder with the runs of two rows and of the prior, two seeds each."""
    out = tmp_path_factory.mktemp("learning")
    plot = str(out / "curves.png")
    assert main(arguments(out, small_prior, "--estimators", "dap,reinforce-value", "--plot", plot)) == 0
    return out


def test_every_estimator_but_the_enumeration_has_a_row() -> None:
    found = rows()
    assert {settings["estimator"] for settings in found.values()} == set(ESTIMATORS) - {"exact"}
    assert OptimizeSettings.of(**found["prior"]).learning_rate < 1e-9
    assert set(learning.TUNED) <= set(found)
    for settings in found.values():
        OptimizeSettings.of(**settings)


def test_what_is_tuned_goes_for_the_variants_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(learning.TUNED, "reinforce", {"learning_rate": 1e-4, "baseline": "none"})
    found = rows()
    assert found["reinforce"] == {"estimator": "reinforce", "learning_rate": 1e-4, "baseline": "none"}
    assert found["reinforce-value"] == {
        "estimator": "reinforce",
        "learning_rate": 1e-4,
        "baseline": "value",
    }
    assert found["prior"]["learning_rate"] < 1e-9


def test_the_area_under_a_curve_worked_by_hand() -> None:
    # 100 * (0 + 0.4) / 2 + 100 * (0.4 + 0.6) / 2 = 70.
    assert auc([100, 200], [0.4, 0.6], 200) == pytest.approx(70 / 200)
    # It ends half-way: 200 more calls at 0.6.
    assert auc([100, 200], [0.4, 0.6], 400) == pytest.approx((70 + 120) / 400)
    # A last point that is not a hundred after the one before.
    assert auc([100, 150], [0.4, 0.6], 150) == pytest.approx((20 + 25) / 150)
    assert auc([], [], 100) == 0.0


@pytest.mark.parametrize(
    ("t", "degrees", "p"),
    # From tables, and of 1 degree, Cauchy's distribution, by its formula.
    [(2.132, 4, 0.05), (1.860, 8, 0.05), (3.365, 5, 0.01), (-2.132, 4, 0.95), (0.0, 3.3, 0.5), (1, 1, 0.25)],
)
def test_the_tail_of_students_distribution(t: float, degrees: float, p: float) -> None:
    assert student_tail(t, degrees) == pytest.approx(p, abs=5e-5)


def test_welch_by_hand() -> None:
    # Means 4 and 2, variances 4 and 1: t = 2 / sqrt(5/3), (5/3)^2 / ((4/3)^2/2 + (1/3)^2/2) degrees.
    assert welch([2, 4, 6], [1, 2, 3]) == pytest.approx(student_tail(1.54919, 2.94118), abs=1e-5)
    assert 0.10 < welch([2, 4, 6], [1, 2, 3]) < 0.12
    assert welch([1, 2, 3], [2, 4, 6]) == pytest.approx(1 - welch([2, 4, 6], [1, 2, 3]))
    assert [welch([b, b], [1.0, 1.0]) for b in (2.0, 1.0, 0.0)] == [0.0, 0.5, 1.0]


def run_of(row: str, seed: int, mean_last: float, mean: float = 0.5, auc: float = 0.6) -> dict[str, Any]:
    return {
        "row": row,
        "objective": "qed",
        "seed": seed,
        "auc_top10": auc,
        "top10": 0.9,
        "mean": mean,
        "mean_last": mean_last,
        "valid": 1.0,
        "rolled_back": 1,
        "milliseconds_a_call": 10.0,
    }


def test_the_summary_of_hand_made_runs() -> None:
    runs = [run_of("prior", seed, 0.9, mean) for seed, mean in enumerate([0.50, 0.52, 0.48])]
    runs += [run_of("ppo", seed, last, auc=auc) for seed, last, auc in ((0, 0.6, 0.5), (1, 0.7, 0.6))]
    runs += [run_of("tb", seed, last) for seed, last in enumerate([0.40, 0.52, 0.61])]
    prior, ppo, tb = summarise(runs)
    assert (prior["p"], prior["learns"], prior["seeds"]) == (None, None, 3)
    assert (ppo["seeds"], ppo["auc_top10"], ppo["rolled_back"]) == (2, 0.55, 2)
    assert ppo["auc_top10_std"] == pytest.approx(0.07071, abs=1e-5)
    # Of the same seeds: 0.65 less (0.50 + 0.52) / 2.
    assert ppo["gain"] == pytest.approx(0.14)
    assert ppo["p"] == pytest.approx(welch([0.6, 0.7], [0.50, 0.52]), rel=0.01)
    assert tb["gain"] == pytest.approx(0.01)
    assert tb["learns"] is False
    sure = [*runs[:3], *(run_of("ppo", seed, last) for seed, last in enumerate([0.60, 0.62, 0.61]))]
    assert summarise(sure)[1]["learns"] is True


def test_one_seed_proves_nothing() -> None:
    found = summarise([run_of("prior", 0, 0.5), run_of("ppo", 0, 0.9)])[1]
    assert (found["gain"], found["p"], found["learns"], found["auc_top10_std"]) == (0.4, None, None, None)
    assert summarise([run_of("ppo", 0, 0.9)])[0]["gain"] is None


def test_what_a_run_says(done: Path) -> None:
    found = files(done)
    assert len(found) == 6
    dap = found["dap-0.json"]
    assert (dap["calls"], dap["budget"], dap["stopped_by"]) == (CALLS, CALLS, "budget spent")
    assert dap["settings"] == {**TUNED["dap"], "estimator": "dap"}
    assert dap["curve"]["calls"] == [CALLS]
    # One trapezoid from (0, 0).
    assert dap["auc_top10"] == pytest.approx(dap["top10"] / 2, abs=1e-5)
    assert dap["mean"] == dap["mean_first"] == dap["mean_last"] == dap["curve"]["mean_last_100"][0]
    assert 0 < dap["mean"] < dap["top10"]
    assert 0 < dap["valid"] < 1
    assert found["dap-1.json"]["mean"] != dap["mean"]


def test_summary_and_figure(done: Path) -> None:
    summary = json.loads((done / "summary.json").read_text())
    assert [row["row"] for row in summary["rows"]] == ["prior", "dap", "reinforce-value"]
    assert all(row["seeds"] == 2 for row in summary["rows"])
    assert summary["failed"] == []
    assert summary["environment"]["versions"]["moldesign"]
    assert (done / "curves.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_what_is_there_is_not_run_again_and_what_is_missing_is(
    done: Path, small_prior: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, stamps = files(done), {path: path.stat().st_mtime_ns for path in (done / "qed").iterdir()}
    command = arguments(done, small_prior, "--estimators", "dap,reinforce-value")
    assert main(command) == 0
    assert capsys.readouterr().err == ""
    assert {path: path.stat().st_mtime_ns for path in (done / "qed").iterdir()} == stamps

    (done / "qed" / "dap-1.json").unlink()
    killed = done / "qed" / ".tmp-1234-dap-1.json"
    killed.write_text('{"row": "dap", "obj')
    assert main(command) == 0
    killed.unlink()
    assert capsys.readouterr().err.startswith("1 of 1: dap, qed, seed 1: ")
    assert files(done) == before


def test_two_at_a_time_find_what_one_after_the_other_does(
    done: Path, small_prior: Path, tmp_path: Path
) -> None:
    assert main(arguments(tmp_path, small_prior, "--estimators", "dap", "--jobs", "2")) == 0
    assert files(tmp_path) == {name: run for name, run in files(done).items() if "value" not in name}


class Sleeper:
    """Tells its process, and sleeps when it is read."""

    def __init__(self, told: Path) -> None:
        self.told = told

    def __reduce__(self) -> tuple[object, tuple[str]]:
        told = str(self.told)
        return exec, (
            f"import os, pathlib, time; pathlib.Path({told!r}).write_text(str(os.getpid())); time.sleep(600)",
        )


def soon(met: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not met() and time.monotonic() < deadline:
        time.sleep(0.05)
    return met()


def at_work(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _start_and_wait(told: Path, folder: Path) -> None:
    perform([Task("dap", {"sigma": Sleeper(told)}, "qed", 0, CALLS, "druglike")], folder, jobs=2, threads=1)


def test_runs_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    parent = multiprocessing.get_context("spawn").Process(target=_start_and_wait, args=(told, tmp_path))
    parent.start()
    assert soon(lambda: told.exists() and told.read_text() != "")
    run = int(told.read_text())
    assert at_work(run)
    parent.kill()
    parent.join()
    assert soon(lambda: not at_work(run))


class Deadly:
    """Ends the process that reads it."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (1,)


def test_a_process_that_is_killed_is_told(tmp_path: Path) -> None:
    task = Task("dap", {"sigma": Deadly()}, "qed", 0, CALLS, "druglike")
    with pytest.raises(ResourceError, match="fewer --jobs"):
        perform([task], tmp_path, jobs=2, threads=1)
    assert not list(tmp_path.iterdir())


def test_settings_are_compared_and_a_failure_keeps_no_other_from_running(
    small_prior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = arguments(tmp_path, small_prior, "--seeds", "7", "--tune", "dap")
    command += ["learning_rate=1e-3,1e38", "sigma=10,50"]
    assert main(command) == 1
    output = capsys.readouterr()
    assert "dap learning_rate=1e+38 sigma=10, qed, seed 7: " in output.err
    assert "lower the learning rate" in output.err
    lines = output.out.splitlines()
    assert sorted(line.split("  ")[1] for line in lines) == [
        f"dap learning_rate=0.001 sigma={sigma}" for sigma in (10, 50)
    ]
    assert all(line.endswith("1 runs)") for line in lines)
    assert float(lines[0].split()[0]) >= float(lines[1].split()[0])
    assert sorted(files(tmp_path)) == [f"dap-learning_rate=0.001-sigma={sigma}-7.json" for sigma in (10, 50)]


def test_a_grid_is_every_combination() -> None:
    found = grid("reinforce-value", ["learning_rate=1e-4,5e-4", "replay_size=0"])
    assert found == {
        f"reinforce-value learning_rate={rate} replay_size=0": {
            **rows()["reinforce-value"],
            "learning_rate": rate,
            "replay_size": 0,
        }
        for rate in (1e-4, 5e-4)
    }
    assert grid("a2c", ["normalise=true"])["a2c normalise=True"]["normalise"] is True
    with pytest.raises(UsageError, match="key=value,value"):
        grid("a2c", ["normalise"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--estimators", "dpa"], "no row 'dpa'; did you mean 'dap'?"),
        (["--objectives", "a/b.toml"], "a/b.toml"),
        (["--tune", "dap", "sigmas=1"], "unknown setting 'sigmas'; did you mean 'sigma'?"),
        (["--calls", "32"], "with budget 64, not 32; remove it, or name another folder"),
        (["--plot", "curves.txt"], "unknown kind of figure"),
    ],
)
def test_wrong_use_is_told_before_anything_runs(
    done: Path, small_prior: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(done)
    assert main(arguments(done, small_prior, *more)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert files(done) == before


def test_a_file_that_is_no_run_is_named(
    small_prior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "qed" / "dap-0.json"
    other.parent.mkdir()
    other.write_text("[]")
    assert main(arguments(tmp_path, small_prior)) == 3
    assert f"{other}: not the figures of a run; remove it" in capsys.readouterr().err
