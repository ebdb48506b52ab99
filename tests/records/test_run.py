import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import moldesign
from moldesign.errors import CheckpointError
from moldesign.records.run import RunDirectory, RunLocked


def files(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_a_new_run_is_made_with_its_parents_and_holds_only_the_lock(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "runs" / "x") as run:
        assert files(run.path) == [".lock"]
        assert run.candidates == run.path / "candidates.csv"


def test_a_directory_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(CheckpointError, match="not empty") as caught:
        RunDirectory.create(tmp_path)
    assert caught.value.exit_code == 4
    assert files(tmp_path) == ["thesis.tex"]
    with pytest.raises(CheckpointError, match="is a file"):
        RunDirectory.create(tmp_path / "thesis.tex")


def test_an_empty_directory_will_do_also_one_of_a_run_that_never_began(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path).close()
    RunDirectory.create(tmp_path).close()


def test_the_second_to_come_is_refused(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "x") as run:
        config = {"prior": "druglike", "settings": {"seed": 1}, "objective": {}}
        run.write_config(config)
        with pytest.raises(RunLocked, match="is working in this run directory") as caught:
            RunDirectory.open(run.path)
        assert caught.value.exit_code == 7
    with RunDirectory.open(run.path) as again:
        assert again.read_config() == config


HOLDS_THE_LOCK = """
import sys, time
from moldesign.records.run import RunDirectory
run = RunDirectory.create(sys.argv[1])
run.write_config({})
print("locked", flush=True)
time.sleep(600)
"""


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "x"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS_THE_LOCK, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(RunLocked, match=f"process {process.pid} "):
            RunDirectory.open(path)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (path / ".tmp-0123abcd-candidates.csv").write_text("half")
    RunDirectory.open(path).close()
    assert files(path) == [".lock", "config.toml"]


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no run here"):
        RunDirectory.open(tmp_path)
    assert files(tmp_path) == []
    (tmp_path / "config.toml").write_text("seed = ")
    with RunDirectory.open(tmp_path) as run, pytest.raises(CheckpointError, match=r"config\.toml: not TOML"):
        run.read_config()


@pytest.mark.parametrize("name", [".lock", "candidates.csv", "ledger.sqlite-wal"])
def test_a_directory_of_another_with_a_link_in_it_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text("")
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "run" / name).symlink_to(precious)
    with pytest.raises(CheckpointError, match=f"{name}: is a link"):
        RunDirectory.open(tmp_path / "run")
    assert precious.read_text() == "mine"


def test_the_command_is_recorded_without_its_secrets(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "run") as run:
        run.write_environment(
            seed=1, threads=1, command=["moldesign", "--oracle-cmd", "s.py --token hush-hush"]
        )
        facts = run.environment.read_text()
    assert "s.py --token ***" in facts
    assert "hush-hush" not in facts


def test_config_leaves_out_what_is_none(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "x") as run:
        whole = {"prior": "x", "settings": {}, "objective": {"e": [{"g": "h"}]}}
        run.write_config(
            {**whole, "a": None, "settings": {"c": None}, "objective": {"e": [{"f": None, "g": "h"}]}}
        )
        assert run.read_config() == whole


def test_the_environment_says_what_the_run_ran_on(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "x") as run:
        (tmp_path / "prior").write_text("weights")
        run.write_environment(
            seed=0,
            threads=2,
            command=["moldesign", "optimize", "a b.toml"],
            trusted={"/plugin.py": "ab12"},
            inputs=[tmp_path / "prior"],
            device={"type": "cpu"},
        )
        facts = json.loads(run.environment.read_text())
    assert facts["seed"] == 0
    assert facts["threads"] == 2
    assert facts["command"] == "moldesign optimize 'a b.toml'"
    assert facts["usable_cpus"] >= 1
    assert facts["trusted"] == {"/plugin.py": "ab12"}
    assert facts["inputs"] == {str(tmp_path / "prior"): hashlib.sha256(b"weights").hexdigest()}
    assert facts["device"] == {"type": "cpu"}
    assert facts["versions"]["numpy"] == np.__version__
    assert facts["versions"]["moldesign"] == moldesign.__version__
    assert facts["versions"]["python"] == sys.version.split()[0]
