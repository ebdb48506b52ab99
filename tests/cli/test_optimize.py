"""`moldesign optimize` as a user types it."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import sys
import time
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from moldesign.chem import descriptors, molecules
from moldesign.cli.running import report_run
from moldesign.records.ledger import Ledger
from moldesign.records.timeline import Timeline
from moldesign.rl.presets import PRESETS
from moldesign.rl.run import PHASES
from moldesign.rl.settings import OptimizeSettings

SCORER = Path(__file__).parents[2] / "examples" / "logp_scorer.py"


def test_the_last_line_of_stdout_is_json(finished_run: Any) -> None:
    facts = json.loads(finished_run.done.out.splitlines()[-1])
    assert facts["out"] == "run"
    assert facts["stopped_by"] == "budget spent"
    assert facts["calls"] == facts["candidates"] == 100
    assert facts["failed"] == 0
    phases = "draw score wait read weigh step remember other".split()
    assert list(facts["time"]) == phases
    assert sum(facts["time"].values()) == pytest.approx(1.0, abs=1e-3)
    assert 0 < facts["seconds_a_step"] < 60
    assert [row["rank"] for row in facts["best"]] == list(range(1, 11))
    table = pd.read_csv(finished_run.out / "candidates.csv")
    assert [row["smiles"] for row in facts["best"]] == table["smiles"][:10].tolist()
    assert facts["mean_score_first_300"] == pytest.approx(table["score"].mean(), abs=1e-5)
    assert "Traceback" not in finished_run.done.err


def test_the_configuration_of_a_run_repeats_it_to_the_byte(
    finished_run: Any, forks: Any, tmp_path: Path
) -> None:
    config = finished_run.out / "config.toml"
    done = forks("optimize", "--config", config, "--threads", 1, "-o", "again", "--sdf", cwd=tmp_path)
    assert done.code == 0, done.err
    again = tmp_path / "again"
    assert (again / "candidates.csv").read_bytes() == (finished_run.out / "candidates.csv").read_bytes()
    assert tomllib.loads((again / "config.toml").read_text()) == tomllib.loads(config.read_text())
    assert (again / "candidates.sdf").read_text().count("$$$$") == 100
    # For people: the ten best on stdout, what happened on stderr.
    best = pd.read_csv(again / "candidates.csv")["smiles"][:10]
    assert all(smiles in done.out for smiles in best)
    assert "budget spent: 100 oracle calls, 100 candidates, 0 failed" in done.err
    assert re.search(r"^time: drawing \d+%, scoring \d+%, .*; [\d.]+ s a step$", done.err, re.MULTILINE)


def test_an_external_command_scores(forks: Any, small_prior: Path, tmp_path: Path) -> None:
    scorer = shlex.join([sys.executable, str(SCORER)])
    done = forks(
        "optimize", "--oracle-cmd", scorer, "--budget", 30, "--seed", 1, "--prior", small_prior,
        "--threads", 1, "--operators", "policy", "--acquisition", "none", "--epochs", 2,
        "-o", "run", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    # Without a search much of the default preset is idle too, but nobody asked for that.
    assert "moldesign: nothing reads epochs here (estimator " in done.err
    assert json.loads(done.out.splitlines()[-1])["calls"] == 30
    table = pd.read_csv(tmp_path / "run" / "candidates.csv")
    assert len(table) == 30
    for row in table.itertuples():
        mol = molecules.parse(str(row.smiles))
        assert mol is not None
        assert row.score == pytest.approx(descriptors.logp(mol), abs=1e-4)


@pytest.mark.parametrize(
    ("number", "code", "workers"),
    [(signal.SIGINT, 130, 1), (signal.SIGINT, 130, 2), (signal.SIGTERM, 143, 1)],
)
def test_a_signal_ends_the_run_with_everything_saved(
    moldesign: Any, small_prior: Path, tmp_path: Path, number: signal.Signals, code: int, workers: int
) -> None:
    out = tmp_path / "run"
    process = moldesign.start(
        "optimize", "qed", "--prior", small_prior, "--max-hours", 1, "--batch-size", 16, "--threads", 1,
        "--estimator", "dap", "--workers", workers, "-o", "run", "--json", cwd=tmp_path,
    )  # fmt: skip
    try:
        while not (out / "steps.csv").exists() or (out / "steps.csv").read_text().count("\n") < 3:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        if number is signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        said, err = process.communicate()
    finally:
        process.kill()
    assert process.returncode == code, err
    with pytest.raises(ProcessLookupError):  # its workers are gone with it
        os.killpg(process.pid, 0)
    assert "stopping after this step" in err
    assert "Traceback" not in err
    facts = json.loads(said.splitlines()[-1])
    assert facts["stopped_by"] == "interrupted"
    with Ledger.read_only(out / "ledger.sqlite") as ledger:
        paid = ledger.read()
    assert len(paid) == facts["calls"] > 10
    assert set(pd.read_csv(out / "candidates.csv")["smiles"]) == set(paid["smiles"])
    if number is signal.SIGINT and workers == 1:
        agent = out / "checkpoint" / "agent.safetensors"
        drawn = moldesign("sample", "--prior", agent, "-n", 20, cwd=tmp_path)
        assert drawn.code == 0, drawn.err
        assert len(drawn.out.splitlines()) == 21


def test_the_table_shows_smiles_whole(capsys: pytest.CaptureFixture[str]) -> None:
    # To the library that draws tables, [nH] and [se] are styles, and a long cell is one to cut short.
    smiles = ["c1cc[nH]c1", "c1cc[se]c1", "CC(C)(C)c1ccc2occ(CC(=O)Nc3ccccc3F)c2c1" * 2]
    numbers = {
        "rank": [1, 2, 3],
        "smiles": smiles,
        **dict.fromkeys(["score", "mw", "logp", "qed", "sa"], 0.5),
    }
    ledger = pd.DataFrame({"status": "scored", "score": [0.5] * 3, "smiles": smiles, "reason": None})
    run: Any = SimpleNamespace(
        candidates=pd.DataFrame(numbers),
        ledger=ledger,
        stopped_by="budget spent",
        hypervolume=pd.DataFrame(),
        timeline=Timeline(PHASES).table(0),
    )
    report_run(run, Path("run"), json_line=False)
    shown = capsys.readouterr().out
    cells = ["".join(line.split("│")[2].split()) for line in shown.splitlines() if line.startswith("│")]
    assert "".join(cells) == "".join(smiles)


def test_flags_override_the_file(tmp_path: Path, forks: Any) -> None:
    (tmp_path / "run.toml").write_text('objective = "qde"\n[settings]\nseed = 1\n')
    done = forks("optimize", "--config", "run.toml", "--seed", -1, cwd=tmp_path)
    assert done.code == 2
    assert "setting 'seed'" in done.err
    assert "-1" in done.err


#: Keep a search of the tests short: the default tries 190 molecules, and six times as many children.
SMALL = ("--budget", 40, "--pool-size", 32, "--batch-size", 16, "--generations", 1)


def test_without_an_estimator_a_surrogate_chooses_among_what_many_operators_propose(
    forks: Any, small_prior: Path, tmp_path: Path
) -> None:
    run = ("optimize", "qed", "--prior", small_prior, *SMALL, "--chemistry", "any")
    done = forks(*run, "-o", "run", cwd=tmp_path)
    assert done.code == 0, done.err
    settings = tomllib.loads((tmp_path / "run" / "config.toml").read_text())["settings"]
    efficient = {**PRESETS["efficient"][1], "chemistry": "any"}
    given = {"pool_size": 32, "batch_size": 16, "generations": 1}
    assert {name: settings[name] for name in efficient} == {**efficient, **given}
    origins = set(pd.read_csv(tmp_path / "run" / "candidates.csv")["origin"])
    assert origins > {"policy"}


@pytest.mark.parametrize("where", ["flag", "file"])
def test_with_an_estimator_the_policy_alone_proposes(
    forks: Any, small_prior: Path, tmp_path: Path, where: str
) -> None:
    (tmp_path / "run.toml").write_text('[settings]\nbudget = 40\nbatch_size = 32\nestimator = "dap"\n')
    plain = ("--budget", 40, "--batch-size", 32, "--estimator", "dap")
    given = plain if where == "flag" else ("--config", "run.toml")
    done = forks("optimize", "qed", "--prior", small_prior, *given, "-o", "run", cwd=tmp_path)
    assert done.code == 0, done.err
    settings = tomllib.loads((tmp_path / "run" / "config.toml").read_text())["settings"]
    assert settings == OptimizeSettings.of(estimator="dap", budget=40, batch_size=32).model_dump(
        exclude_none=True
    )
    assert set(pd.read_csv(tmp_path / "run" / "candidates.csv")["origin"]) == {"policy"}


def test_a_batch_that_the_default_pool_cannot_fill_is_refused(forks: Any, tmp_path: Path) -> None:
    done = forks("optimize", "qed", "--batch-size", 256, cwd=tmp_path)
    assert done.code == 2
    assert done.err == (
        "moldesign: pool_size: 190 proposals cannot fill a batch of 256; raise it, or lower batch_size\n"
    )
    assert not (tmp_path / "run").exists()
