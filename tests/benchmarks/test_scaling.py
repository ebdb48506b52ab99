"""The cost of a call late in a run: work counted, not timed."""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import moldesign
from moldesign.benchmarks import scaling
from moldesign.benchmarks.scaling import NETWORK, Reading, growth, loop_rows, sizes_of
from moldesign.errors import UsageError
from moldesign.records.journal import StepsJournal
from moldesign.records.ledger import Ledger
from moldesign.rewards.loading import load_objective
from moldesign.rewards.oracle import Evaluation, Oracle
from moldesign.rl.diversity import ScaffoldMemory
from moldesign.rl.memory import Remembered, ReplayMemory
from moldesign.rl.run import PHASES
from moldesign.rl.settings import OptimizeSettings
from moldesign.rl.steps import Watch

#: New to every history, and good enough to be remembered: rings of five to nine atoms with a chain.
BATCH = [f"C1{'C' * ring}1{'C' * chain}O" for ring in range(3, 8) for chain in range(6)]

_PACKAGE = str(Path(moldesign.__file__).parent)


@dataclass
class Records:
    """All that a run keeps besides the network, with `known` molecules in it that were scored before."""

    folder: Path
    known: int
    oracle: Oracle = field(init=False)
    #: Statements that SQLite was given.
    statements: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.ledger = Ledger(self.folder / "ledger.sqlite", ["length"])
        self.journal = StepsJournal(self.folder / "steps.csv")
        self.oracle = Oracle(
            load_objective(lambda smiles: [len(text) / 100 for text in smiles]),
            book=self,
        )
        self.watch = Watch(OptimizeSettings.of(budget=10**6), self.oracle, lambda: False)
        self.replay = ReplayMemory(100)
        self.scaffolds = ScaffoldMemory(25, 0.0)
        before = [
            Evaluation(f"known {i}", "scored", i / self.known / 1000, (0.1,), (0.1,), None, i + 1)
            for i in range(self.known)
        ]
        self.oracle.restore(before)
        self.ledger.add(before, step=0)
        self.replay.add(map(self.remembered, before))
        self.watch.take_in(before, agent_nll=0.0, scaffolds=0)
        self.scaffolds.counts.update(one.smiles for one in before)
        self.ledger._connection.set_trace_callback(self.statements.append)

    def reserve(self, smiles: Sequence[str]) -> None:
        self.ledger.reserve(smiles, step=1)

    def record(self, paid: Sequence[Evaluation]) -> None:
        self.ledger.add(paid, step=1)

    def release(self, smiles: Sequence[str]) -> None:
        self.ledger.release(smiles)

    @staticmethod
    def remembered(one: Evaluation) -> Remembered:
        nothing = np.zeros(0, dtype=np.float32)
        return Remembered(one.smiles, one.score, nothing.astype(np.int64), nothing, nothing)

    def step(self, smiles: list[str]) -> list[Evaluation]:
        """What the loop does with a batch when the network has written it."""
        asked = self.oracle.submit(smiles)
        found = asked.result()
        rows = [i for i, one in enumerate(found) if one.status in ("scored", "repeat")]
        rewards = np.array([found[i].score for i in rows])
        self.scaffolds.shares([(found[i].smiles, asked.mols[i]) for i in rows], rewards)
        self.replay.add(self.remembered(found[i]) for i in rows)
        self.journal.write(asdict(self.watch.take_in(found, agent_nll=0.0, scaffolds=0)))
        self.replay.draw(24, np.random.default_rng(0))
        return found

    def close(self) -> None:
        self.ledger.close()
        self.journal.close()


@contextmanager
def recorded(folder: Path, known: int) -> Iterator[Records]:
    records = Records(folder, known)
    try:
        yield records
    finally:
        records.close()


def instructions(work: Callable[[], object]) -> int:
    """Instructions of Python that the work takes, those of this package."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def test_a_step_does_the_same_work_however_much_was_scored_before(tmp_path: Path) -> None:
    counted, statements = [], []
    for known in (200, 20_000):
        with recorded(tmp_path / str(known), known) as records:
            warm = records.step(["CCCCCO", "CCCCCN"])
            assert [one.call for one in warm] == [known + 1, known + 2]
            del records.statements[:]
            counted.append(instructions(partial(records.step, BATCH)))
            statements.append([text.split()[0] for text in records.statements])
            assert len(records.replay) == records.replay.capacity
            assert len(records.watch._best) == 100
    few, many = counted
    assert few > 10_000
    assert many == pytest.approx(few, rel=0.02)
    reserved = ["BEGIN", *["INSERT"] * len(BATCH), "COMMIT"]
    paid = ["BEGIN", *["INSERT"] * len(BATCH), *["DELETE"] * len(BATCH), "COMMIT"]
    assert statements[0] == statements[1] == [*reserved, *paid]


def test_repeated_and_invalid_molecules_leave_nothing_behind(tmp_path: Path) -> None:
    batch = [*BATCH[:10], "C1CC", "not a molecule", ""]
    with recorded(tmp_path / "run", 200) as records:
        for _ in range(20):
            records.step(batch)
        tracemalloc.start()
        try:
            sizes = []
            for steps in (50, 300):
                for _ in range(steps):
                    assert {one.status for one in records.step(batch)} == {"repeat", "invalid"}
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
        assert records.oracle.calls == 210
    # A name kept of each would be 60 bytes and more.
    assert (sizes[1] - sizes[0]) / (300 * len(batch)) < 10


def test_sizes_are_tenths_of_some_batches() -> None:
    assert sizes_of(100_000, 64) == [1000, 10_000, 100_000]
    assert sizes_of(3000, 64) == [300, 3000]
    with pytest.raises(UsageError, match="at least 128"):
        sizes_of(100, 64)


def reading(calls: int, *, ms: float, memory: int) -> Reading:
    """That of a step of ten calls, each of which took so many milliseconds, half of them scoring."""
    phases = tuple(calls * ms / 2000 if name in ("draw", "score") else 0.0 for name in PHASES)
    seconds = calls * ms / 1000
    return Reading(calls, 2 * calls, seconds, 2 * seconds, phases, memory, memory, 100 * calls)


def test_the_cost_of_a_call_is_of_the_second_half_of_each_size() -> None:
    assert {"draw"} <= set(NETWORK)
    readings = [reading(calls, ms=3.0, memory=10**6 + 500 * calls) for calls in range(10, 1001, 10)]
    first, last = loop_rows(readings, [100, 1000])
    assert (first["calls"], last["calls"]) == (100, 1000)
    for row in (first, last):
        assert row["ms"] == row["mean_ms"] == pytest.approx(3.0)
        assert row["processor_ms"] == pytest.approx(6.0)
        assert row["outside_the_network_ms"] == pytest.approx(1.5)
        assert row["phases_ms"]["draw"] == pytest.approx(1.5)
        assert row["drawn"] == 2.0
        assert row["written_bytes"] == 100
    assert first["memory_bytes"] is None
    assert last["memory_bytes"] == 500
    assert growth([{"ms": 2.0, "x": None}, {"ms": 3.0, "x": 5}], "ms", "x") == {"ms": 1.5, "x": None}


def test_one_run_is_measured_at_each_size_and_written_down(
    small_prior: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "scaling.json"
    monkeypatch.setattr(
        sys, "argv",
        ["scaling", "--out", str(out), "--calls", "320", "--prior", str(small_prior), "--objective", "qed",
         "--batch-size", "16"],
    )  # fmt: skip
    scaling.main()
    result = json.loads(out.read_text())
    assert [row["calls"] >= size for row, size in zip(result["loop"], (32, 320), strict=True)] == [True, True]
    assert [row["calls"] for row in result["finish"]] == [32, 320]
    assert result["loop"][-1]["memory_mb"] > 50
    assert result["finish"][-1]["ledger_bytes"] > 50
    assert result["finish"][-1]["nearest_seconds"] is None
    assert result["growth"]["finish"]["candidates_bytes"] == pytest.approx(1.0, abs=0.3)
    assert "python -m moldesign.benchmarks.scaling" in result["environment"]["command"]
