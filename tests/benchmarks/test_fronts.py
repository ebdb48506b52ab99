"""Fronts: one run of each kind of weights, and what is made of the rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from moldesign.benchmarks.fronts import TASKS, WAYS, draw_curves, measure, medians


@pytest.mark.parametrize("way", ["arithmetic mean, schedule", "chebyshev, drawn weights"])
def test_a_curve_grows_to_the_hypervolume_of_the_end(small_prior: Path, way: str) -> None:
    row = measure(way, 0, task="two drugs", estimator="ahc", prior=str(small_prior), budget=100)
    assert row["calls"] == 100
    assert row["curve"] == sorted(row["curve"])
    assert len(row["curve"]) == 2
    assert row["curve"][-1] == row["hypervolume"] < 0.3


def test_medians_by_hand() -> None:
    rows = [
        {"task": "t", "estimator": "dap", "way": way, "hypervolume": value}
        for way, values in {"a": [0.3, 0.1, 0.2], "b": [0.5]}.items()
        for value in values
    ]
    assert [(row["way"], row["hypervolume"], row["min"], row["max"]) for row in medians(rows)] == [
        ("a", 0.2, 0.1, 0.3),
        ("b", 0.5, 0.5, 0.5),
    ]


def test_the_figure(tmp_path: Path) -> None:
    rows = [
        {"task": task, "estimator": "dap", "way": way, "curve": [0.1, 0.2]} for task in TASKS for way in WAYS
    ]
    draw_curves(rows, tmp_path / "fronts.png")
    assert (tmp_path / "fronts.png").read_bytes().startswith(b"\x89PNG")
