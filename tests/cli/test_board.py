"""A run's steps as TensorBoard events."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest


def test_events_are_the_columns_of_steps_csv(forks: Any, small_prior: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = forks(
        *("optimize", "qed", "--prior", str(small_prior), "--max-steps", "3", "--batch-size", "16"),
        *("--estimator", "dap"),
        *("--tensorboard", "-o", "run"),
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    steps = pd.read_csv(tmp_path / "run" / "steps.csv")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    for name in ("mean_score", "entropy", "gradient_variance", "gradient_norm"):
        known = steps[steps[name].notna()]
        found = events.Scalars(name)
        assert [event.step for event in found] == known["step"].tolist()
        assert [event.value for event in found] == pytest.approx(known[name].tolist(), rel=1e-4)
    assert math.isnan(steps["log_z"].iloc[0])
    assert "log_z" not in events.Tags()["scalars"]
