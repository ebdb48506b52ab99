import json
import math
from pathlib import Path

import numpy as np
import pytest

from moldesign.errors import CheckpointError
from moldesign.records.journal import EventLog, StepsJournal


def test_steps_are_readable_at_once_and_go_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    first = StepsJournal(path)
    first.write({"step": 1, "mean_score": np.float64(0.25), "note": None})
    assert path.read_text() == '"step","mean_score","note"\n1,0.25,\n'
    first.close()
    with StepsJournal(path) as second:
        second.write({"step": 2, "mean_score": math.nan, "note": "=x"})
    assert path.read_text() == '"step","mean_score","note"\n1,0.25,\n2,,"\'=x"\n'


def test_the_first_row_fixes_the_columns(tmp_path: Path) -> None:
    with StepsJournal(tmp_path / "steps.csv") as steps:
        steps.write({"step": 1, "loss": 0.5})
        with pytest.raises(CheckpointError, match="other columns"):
            steps.write({"step": 2, "score": 0.5})
    with StepsJournal(tmp_path / "steps.csv") as steps, pytest.raises(CheckpointError, match="other columns"):
        steps.write({"loss": 0.5, "step": 2})


def test_every_event_is_a_line_of_strict_json(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log.jsonl") as log:
        log.write("start", seed=np.int64(3), out=tmp_path)
        log.write(
            "stop",
            reason="line\nbreak \x1b[2J\x7f\x9b\u202e",
            score=math.nan,
            best={"scores": [1.0, math.inf]},
        )
    first, second = (tmp_path / "log.jsonl").read_text().splitlines()
    assert (first + second).isascii()
    assert (first + second).isprintable()
    assert json.loads(first) | {"time": ""} == {"time": "", "event": "start", "seed": 3, "out": str(tmp_path)}
    stop = json.loads(second, parse_constant=pytest.fail)
    assert stop["best"] == {"scores": [1.0, None]}
    assert stop["score"] is None
    assert stop["time"].endswith("+00:00")
