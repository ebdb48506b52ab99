"""Runs that are killed, interrupted and taken up again, through the real command."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from moldesign.benchmarks.reliability import beginning, differences, killed_until_done, start
from moldesign.records.ledger import Ledger


def test_ten_kills_at_random_moments_change_nothing(small_prior: Path, tmp_path: Path) -> None:
    options = ["--estimator", "reinforce", "--baseline", "value"]
    process = start(tmp_path, *beginning(small_prior, tmp_path / "whole", 60, options), name="whole")
    assert process.communicate()[1].decode().endswith("learning_curve.png\n")
    out = tmp_path / "run"
    found = killed_until_done(
        tmp_path,
        beginning(small_prior, out, 60, options),
        out,
        random.Random(0),
        most=10,
        longest_s=0.3,
    )
    assert found["kills"] == 10
    assert found["in_loop"] > 4
    # A batch that was being scored at each kill, at most.
    assert found["repeated"] <= 12 * found["in_loop"]
    assert differences(tmp_path / "whole", out) == []


def test_a_finished_run_goes_on_and_its_ledger_is_exported(
    forks: Any, finished_run: Any, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    subprocess.run(["cp", "-r", finished_run.out, run], check=True)
    done = forks("resume", "run", "--budget", 140, "--threads", 1, "--json", "--tensorboard", cwd=tmp_path)
    assert done.code == 0, done.err
    facts = json.loads(done.out.splitlines()[-1])
    assert (facts["calls"], facts["stopped_by"]) == (140, "budget spent")
    assert len(pd.read_csv(run / "candidates.csv")) == facts["candidates"]
    assert [*(run / "tensorboard").iterdir()] != []

    done = forks("ledger", "export", "run", "-o", "calls.csv", "--json", cwd=tmp_path)
    assert json.loads(done.out) == {"calls": 140, "failed": 0, "under_way": 0, "output": "calls.csv"}
    calls = pd.read_csv(tmp_path / "calls.csv")
    assert calls["call"].tolist() == [*range(1, 141)]
    before = pd.read_csv(finished_run.out / "candidates.csv").set_index("smiles")["score"]
    scores = calls.head(100).set_index("smiles")["score"]
    pd.testing.assert_series_equal(scores[before.index], before, check_names=False)
    assert forks("ledger", "export", "run", "-o", "calls.csv", cwd=tmp_path).code == 2


def test_two_processes_in_one_directory(moldesign: Any, small_prior: Path, tmp_path: Path) -> None:
    process = moldesign.start(
        "optimize", "qed", "--prior", small_prior, "--max-hours", 1, "--batch-size", 16, "--threads", 1,
        "--estimator", "dap", "-o", "run", cwd=tmp_path,
    )  # fmt: skip
    try:
        while not (tmp_path / "run" / "steps.csv").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        second = moldesign("resume", "run", cwd=tmp_path)
        assert second.code == 7
        assert second.err == f"moldesign: run: process {process.pid} is working in this run directory\n"
        exported = moldesign("ledger", "export", "run", cwd=tmp_path)
        assert exported.code == 0
        assert exported.out.startswith('"call","step"')
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("limit", [70_000, 150_000], ids=["often", "seldom"])
def test_a_disk_that_is_full_ends_the_run_and_loses_nothing(
    forks: Any, small_prior: Path, tmp_path: Path, limit: int
) -> None:
    """No file may grow beyond a limit, as on a full disk; then there is room again."""
    options = [
        "optimize", "qed", "--prior", small_prior, "--max-steps", 40, "--batch-size", 16, "--seed", 1,
        "--estimator", "dap", "--threads", 1, "--checkpoint-minutes", 0 if limit < 100_000 else 5,
    ]  # fmt: skip
    limited = (
        f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
        "os.execv(sys.executable, [sys.executable, '-m', 'moldesign', *sys.argv[1:]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, *map(str, options), "-o", "run"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 6, done.stderr
    assert "Traceback" not in done.stderr
    assert "moldesign: run/" in done.stderr.splitlines()[-1]
    done = forks("resume", "run", "--threads", 1, cwd=tmp_path)
    assert done.code == 0, done.err
    assert forks(*options, "-o", "whole", cwd=tmp_path).code == 0
    assert differences(tmp_path / "whole", tmp_path / "run") == []


def test_a_second_signal_leaves_at_once_with_the_last_state_whole(
    moldesign: Any, small_prior: Path, tmp_path: Path
) -> None:
    """The first waits for the step, which a slow scorer holds up."""
    scorer = tmp_path / "slow.py"
    scorer.write_text(
        'import json, sys, time\nprint(json.dumps({"ready": True}), flush=True)\n'
        "for n, line in enumerate(sys.stdin):\n"
        "    time.sleep(60 if n == 5 else 0)\n"
        '    scores = [0.5 for _ in json.loads(line).get("smiles", [])]\n'
        '    print(json.dumps({"scores": scores}), flush=True)\n'
    )
    command = f"python3 {scorer}"
    process = moldesign.start(
        "optimize", "--oracle-cmd", command, "--prior", small_prior, "--max-steps", 20, "--batch-size", 8,
        "--checkpoint-minutes", 0, "--threads", 1, "--estimator", "dap", "-o", "run", cwd=tmp_path,
    )  # fmt: skip
    try:
        log = tmp_path / "run" / "steps.csv"
        while not log.exists() or log.read_text().count("\n") < 6:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
        deadline = time.monotonic() + 20
        while _alive(process.pid):  # the scorer, which finds nobody to answer
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        if _alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    with Ledger.read_only(tmp_path / "run" / "ledger.sqlite") as ledger:
        assert ledger.calls > 5
        assert len(ledger.reserved()) in range(1, 9)
    scorer.write_text(scorer.read_text().replace("60 if n == 5 else 0", "0"))
    done = moldesign("resume", "run", "--oracle-cmd", command, "--threads", 1, "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert json.loads(done.out.splitlines()[-1])["stopped_by"] == "steps done"


def test_as_the_first_process_of_a_container(small_prior: Path, tmp_path: Path) -> None:
    """To such a process a signal is nothing unless it asks for it."""
    if subprocess.run(["unshare", "-r", "-p", "-f", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no new namespace may be made here")
    process = subprocess.Popen(
        [
            "unshare", "-r", "-p", "-f", sys.executable, "-m", "moldesign", "optimize", "qed", "--prior",
            small_prior, "--max-hours", "1", "--batch-size", "16", "--threads", "1", "--estimator",
            "dap", "-o", "run",
        ],
        cwd=tmp_path, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        log = tmp_path / "run" / "steps.csv"
        while not log.exists() or log.read_text().count("\n") < 3:
            assert process.poll() is None
            time.sleep(0.05)
        (inner,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(inner), signal.SIGTERM)
        assert process.wait(60) == 143
    finally:
        if _alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert (tmp_path / "run" / "candidates.csv").exists()


def _alive(group: int) -> bool:
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('prior = "druglike"\n', "not what a run has written (settings is wrong or missing)"),
        ('prior = "druglike"\nsettings = 3\n', "not what a run has written (settings is wrong or missing)"),
        ("prior = = 3\n", "not TOML"),
        (
            'prior = "druglike"\n[settings]\nworkers = "tcp://10.0.0.1:8786"\n[objective]\n',
            "settings.workers is a Dask scheduler",
        ),
    ],
)
def test_a_configuration_that_no_run_has_written(
    forks: Any, tmp_path: Path, config: str, message: str
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text(config)
    done = forks("resume", "run", cwd=tmp_path)
    assert (done.code, done.err.count("\n")) in ((4, 1), (2, 1))
    assert message in done.err


@pytest.mark.parametrize("what", ["nothing", "no config"])
def test_where_there_is_no_run(forks: Any, tmp_path: Path, what: str) -> None:
    if what == "no config":
        (tmp_path / "run").mkdir()
    done = forks("resume", "run", cwd=tmp_path)
    assert (done.code, done.err.count("\n")) == (4, 1)
    assert "run: there is no run here (no config.toml)" in done.err
