"""Where the time of a loop went, by a clock that the test turns."""

from __future__ import annotations

import math

import pytest

from moldesign.records.timeline import Timeline


class Clock:
    """Seconds, as many as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("moldesign.records.timeline.time.perf_counter", lambda: self.now)


def test_each_moment_belongs_to_one_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    line = Timeline(["draw", "score", "step"])
    clock.now += 50  # before the first phase: no part of the loop
    for _ in range(2):
        with line.phase("draw"):
            clock.now += 1
        clock.now += 0.5
        with line.phase("score"):
            clock.now += 2
            with line.phase("draw"):
                clock.now += 3
            clock.now += 1
    clock.now += 1
    table = line.table(2)
    assert table.columns.tolist() == ["phase", "seconds", "share", "milliseconds_a_step"]
    assert table["phase"].tolist() == ["draw", "score", "step", "other"]
    assert table["seconds"].tolist() == [8.0, 6.0, 0.0, 2.0]
    assert table["share"].tolist() == [0.5, 0.375, 0.0, 0.125]
    assert table["milliseconds_a_step"].tolist() == [4000.0, 3000.0, 0.0, 1000.0]


def test_a_phase_ends_also_where_an_error_leaves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    line = Timeline(["draw"])

    def draw() -> None:
        with line.phase("draw"):
            clock.now += 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        draw()
    clock.now += 3
    assert line.table(1)["seconds"].tolist() == [1.0, 3.0]
    with pytest.raises(KeyError), line.phase("drew"):
        pass


def test_workers_are_beside_the_sum_and_no_step_has_no_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    line = Timeline(["draw"])
    assert math.isnan(line.table(0)["share"][0])
    with line.phase("draw"):
        clock.now += 4
    table = line.table(0, workers_s=3.0)
    assert table["phase"].tolist() == ["draw", "other", "workers"]
    assert table["share"].tolist() == [1.0, 0.0, 0.75]
    assert table["milliseconds_a_step"].isna().all()
