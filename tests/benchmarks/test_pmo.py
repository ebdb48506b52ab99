from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from moldesign.benchmarks.pmo import (
    ABLATIONS,
    CALLS,
    TASKS,
    TUNING,
    PmoRun,
    curve,
    runs_of,
    settings_of_row,
    summarise,
)
from moldesign.benchmarks.published import METHODS, PUBLISHED
from moldesign.benchmarks.quality import quality
from moldesign.benchmarks.runs import auc
from moldesign.errors import UsageError
from moldesign.rewards.guacamol import PMO
from moldesign.rl.settings import OptimizeSettings
from moldesign.search.choices import ACQUISITIONS


def test_the_curve_is_that_of_the_best_so_far() -> None:
    scores = np.array([0.5, 0.1, 0.9] + [0.0] * 97 + [0.7] * 9 + [0.2] * 16)
    calls, found = curve(scores)
    assert calls == [100, 125]
    assert found[1] == [0.9, 0.9]
    assert found[10] == pytest.approx([0.15, (0.9 + 9 * 0.7) / 10])
    assert found[100] == pytest.approx([0.015, scores.sum() / 100])


def test_a_run_that_ends_early_counts_at_what_it_ended_with() -> None:
    # By hand: a triangle to 100, a trapezoid to 200, a rectangle to 1,000.
    assert auc([100, 200], [0.4, 0.6], 1000) == pytest.approx((20 + 50 + 480) / 1000)


def test_the_runs_are_those_of_the_tasks_that_were_named() -> None:
    assert len(runs_of("rdkit", [0, 1], ["efficient"])) == 2 * len(PMO) == 40
    assert {*TASKS} == {*PMO, "drd2", "gsk3b", "jnk3"}
    assert {run.task for run in runs_of("tuning", [0], ["reinvent", "gp-bo"])} == {*TUNING}
    with pytest.raises(UsageError, match="no task 'zaleplon'; did you mean 'zaleplon_mpo'"):
        runs_of("qed,zaleplon", [0], ["efficient"])
    with pytest.raises(UsageError, match="unknown preset 'efficent'; did you mean 'efficient'"):
        runs_of("qed", [0], ["efficent"])


def test_an_ablation_is_the_preset_but_for_one_thing() -> None:
    runs = runs_of("tuning", [0], ["ablations"])
    assert len({run.path(Path()) for run in runs}) == len(runs) == 2 * (1 + len(ABLATIONS))
    whole = OptimizeSettings.of(**settings_of_row("efficient"))
    for name, changes in ABLATIONS.items():
        one = OptimizeSettings.of(**settings_of_row(f"efficient/{name}"))
        different = {key for key in type(one).model_fields if getattr(one, key) != getattr(whole, key)}
        assert different == changes.keys(), name
        # Without learning nothing is rehearsed, and without a surrogate nothing is wanted.
        idle = {
            "no-learning": ["replay_batch"],
            "no-surrogate": ["boldness", "brood_size", "generations", "unscreened"],
            "no-generations": ["brood_size"],
        }
        assert one.unread() == idle.get(name, [])
    assert whole.unread() == []
    with pytest.raises(
        UsageError, match="no preset 'efficient/no-surogate'; did you mean 'efficient/no-surr"
    ):
        runs_of("qed", [0], ["efficient/no-surogate"])


def test_a_design_is_the_preset_with_another_choice() -> None:
    runs = runs_of("qed", [0], ["designs"], calls=300)
    chosen = {settings_of_row(run.preset)["acquisition"] for run in runs}
    assert chosen == {*ACQUISITIONS}


def test_what_others_have_is_of_every_task_and_adds_up() -> None:
    assert PUBLISHED.keys() == {*TASKS}
    sums = [sum(values[i] for values in PUBLISHED.values()) for i in range(len(METHODS))]
    # As their papers have them.
    assert sums == pytest.approx([15.185, 16.213, 16.303, 16.664, 16.676], abs=0.003)


def test_sums_are_over_tasks_of_means_over_seeds() -> None:
    def run(task: str, seed: int, value: float) -> dict[str, object]:
        return {"preset": "efficient", "task": task, "seed": seed, "auc_top10": value, "seconds": 60.0}

    runs = [run("qed", 0, 0.9), run("qed", 1, 0.8), run("median1", 0, 0.3), run("median1", 1, 0.5)]
    (row,) = summarise(runs)
    assert row["tasks"] == {"median1": 0.4, "qed": 0.85}
    assert (row["sum"], row["runs"], row["minutes"]) == (1.25, 4, 1.0)
    assert row["sd"] == pytest.approx(0.071)  # of 1.2 and 1.3
    (row,) = summarise(runs[:3])
    assert (row["sum"], row["sd"]) == (1.15, None)


def test_quality_is_what_a_chemist_would_say() -> None:
    plain, azo, odd = "CC(=O)Nc1ccc(C)cc1", "c1ccccc1N=Nc1ccccc1", "CC1CC2CC3CC1C23"
    found = quality([plain, azo, odd, "no molecule"])
    assert found["molecules"] == 3
    assert found["known_rings"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["without_alerts"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["scaffolds"] == 3
    assert quality([]) == {}
    assert quality([azo, azo])["diversity"] == 0.0


def test_a_run_is_measured_and_kept(small_prior: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "moldesign", "benchmark", "pmo", "--tasks", "qed", "--calls", "40"]
    command += ["--prior", str(small_prior), "--preset", "efficient,reinvent", "-o", str(tmp_path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    rows = json.loads(done.stdout)
    assert [(row["preset"], row["runs"]) for row in rows] == [("efficient", 1), ("reinvent", 1)]
    run = PmoRun("qed", "efficient", 0, 40, str(small_prior))
    figures = json.loads(run.path(tmp_path).read_text())
    assert (figures["calls"], figures["curve"]["calls"]) == (40, [40])
    assert sum(one["calls"] for one in figures["origins"].values()) == 40
    assert figures["auc_top10"] == pytest.approx(auc([40], figures["curve"]["top10"], 40), abs=1e-4)
    again = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    assert (again.stdout, again.stderr) == (done.stdout, "")
    longer = subprocess.run(
        [*command, "--calls", "80"], capture_output=True, text=True, check=False, timeout=200
    )
    assert longer.returncode == 2
    assert "qed-0.json: a run with budget 40, not 80; remove it" in longer.stderr
    # A whole run stands beside what others have published.
    whole = PmoRun("qed", "efficient", 0, CALLS, str(small_prior)).path(tmp_path / "whole")
    whole.parent.mkdir(parents=True)
    whole.write_text(json.dumps({**figures, "budget": CALLS, "auc_top10": 0.95}))
    shown = subprocess.run(
        [*command[:5], "--tasks", "qed", "--prior", str(small_prior), "-o", str(whole.parents[1])],
        capture_output=True, text=True, check=True, timeout=200,
    )  # fmt: skip
    line = next(line for line in shown.stdout.splitlines() if "qed" in line)
    assert "0.950" in line
    assert "0.947 GP-BO" in line
    assert "REINVENT 0.941, Genetic GFN 0.942" in shown.stdout
    run.path(tmp_path).write_text("{}")
    refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert refused.returncode == 3
    assert "qed-0.json: not the figures of a run; remove it" in refused.stderr
