"""Whether the hundred-thousandth oracle call of a run costs what the thousandth does: time, memory and disk.

Run as `python -m moldesign.benchmarks.scaling --out FILE`; `make bench-scaling` does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from moldesign.benchmarks.results import write_result
from moldesign.errors import DataError, UsageError
from moldesign.records.candidates import NEAREST_FOR, Kept, candidates_table, with_nearest
from moldesign.records.run import RunDirectory
from moldesign.records.timeline import Timeline
from moldesign.rl.exports import training_search
from moldesign.rl.optimize import optimize
from moldesign.rl.run import PHASES, Run
from moldesign.rl.steps import StepReport

#: An agent that learns writes other molecules, longer ones or more repeats, and a call then costs more or
#: less for a reason that is not the number of calls. With this rate it stays the prior.
STILL = 1e-12

#: Phases of the loop that the network fills; the others keep, compare and record.
NETWORK = ("draw", "read", "step")

#: Sizes of a run, each ten times the one before, that a benchmark looks at.
_SIZES = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """What a run has used when a step ends.

    Attributes:
        drawn: molecules.
        seconds: on the clock; processor_seconds: of all threads.
        phases: seconds of each phase of the loop.
        memory: bytes that belong to the process alone: the system drops pages of libraries and reads them
            again as it likes.
        resident: bytes, libraries and all.
        written: bytes sent to the disk.
    """

    calls: int
    drawn: int
    seconds: float
    processor_seconds: float
    phases: tuple[float, ...]
    memory: int
    resident: int
    written: int


class Meter:
    """Reads what a run uses after each step: the `progress` of `optimize`.

    Args:
        clock, batch_size: of the run.
    """

    def __init__(self, clock: Timeline, batch_size: int) -> None:
        self.readings: list[Reading] = []
        self._clock, self._batch_size = clock, batch_size

    def __call__(self, report: StepReport) -> None:
        self.readings.append(
            Reading(
                calls=report.calls,
                drawn=report.step * self._batch_size,
                seconds=time.perf_counter(),
                processor_seconds=time.process_time(),
                phases=tuple(self._clock.table(report.step)["seconds"]),
                memory=_status("RssAnon") + _status("VmSwap"),
                resident=_status("VmRSS"),
                written=_field("/proc/self/io", "write_bytes"),
            )
        )
        # The peak of the resident memory is what there is now: what comes after the loop shows apart.
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(name: str) -> int:
    return 1024 * _field("/proc/self/status", name)


def _field(path: str, name: str) -> int:
    for line in Path(path).read_text(encoding="ascii").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    raise ValueError(f"{path} has no {name}")


def sizes_of(calls: int, batch_size: int) -> list[int]:
    """The calls at which a run of so many is looked at: a hundredth, a tenth, all; those of some batches.

    Raises:
        UsageError: not even all are some batches.
    """
    sizes = [calls // 10**i for i in reversed(range(_SIZES)) if calls // 10**i >= 2 * batch_size]
    if not sizes:
        raise UsageError(
            f"--calls {calls} with batches of {batch_size}: at least {2 * batch_size} are needed"
        )
    return sizes


def loop_rows(readings: Sequence[Reading], sizes: Sequence[int]) -> list[dict[str, Any]]:
    """What the loop cost a call, by then: over the second half of the calls up to each size.

    `ms` and those of the phases are of the median step, `mean_ms` and `processor_ms` of all steps.
    `outside_the_network_ms` is scoring with all that is kept, compared and recorded. `memory_bytes` is what a
    call added to the memory since the size before.
    """
    rows = []
    before: Reading | None = None
    for size in sizes:
        last = next(i for i, reading in enumerate(readings) if reading.calls >= size)
        first = next(i for i, reading in enumerate(readings) if reading.calls >= size // 2)
        steps = [(a, b) for a, b in pairwise(readings[first : last + 1]) if b.calls > a.calls]
        start, end = readings[first], readings[last]
        calls = end.calls - start.calls
        phases = {
            name: _median(
                (later.phases[i] - sooner.phases[i], later.calls - sooner.calls) for sooner, later in steps
            )
            for i, name in enumerate(PHASES)
        }
        rows.append(
            {
                "calls": end.calls,
                "ms": _median((b.seconds - a.seconds, b.calls - a.calls) for a, b in steps),
                "mean_ms": round(1000 * (end.seconds - start.seconds) / calls, 4),
                "processor_ms": round(1000 * (end.processor_seconds - start.processor_seconds) / calls, 4),
                "outside_the_network_ms": round(
                    sum(ms for name, ms in phases.items() if name not in NETWORK), 4
                ),
                "phases_ms": phases,
                "drawn": round((end.drawn - start.drawn) / calls, 3),
                "memory_bytes": None
                if before is None
                else round((end.memory - before.memory) / (end.calls - before.calls)),
                "memory_mb": round(end.memory / 1e6, 1),
                "written_bytes": round((end.written - start.written) / calls),
            }
        )
        before = end
    return rows


def _median(steps: Iterable[tuple[float, int]]) -> float:
    """Milliseconds a call of the median step, of seconds and calls of each."""
    return round(1000 * statistics.median(seconds / calls for seconds, calls in steps), 4)


def measure(
    calls: int, *, objective: str, prior: str, batch_size: int, learning_rate: float, seed: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One run of so many calls: rows of its loop, and what `finish` cost it.

    The time to look for the nearest training molecules is apart: it is asked for the 200 best, however many
    there are.
    """
    sizes = sizes_of(calls, batch_size)
    with tempfile.TemporaryDirectory(prefix="moldesign-scaling-") as folder:
        out = RunDirectory(Path(folder) / "run")
        clock = Timeline(PHASES)
        meter = Meter(clock, batch_size)
        run = optimize(
            objective,
            prior=prior,
            out=out.path,
            progress=meter,
            clock=clock,
            export={"nearest_for": 0},
            budget=calls,
            batch_size=batch_size,
            learning_rate=learning_rate,
            seed=seed,
        )
        seconds, processor_seconds = time.perf_counter(), time.process_time()
        if len(run.ledger) < calls:
            raise DataError(f"the run ended after {len(run.ledger):,} calls: {run.stopped_by}")
        end = meter.readings[-1]
        finish = {
            "calls": calls,
            "seconds": round(seconds - end.seconds, 2),
            "ms": round(1000 * (seconds - end.seconds) / calls, 4),
            "processor_ms": round(1000 * (processor_seconds - end.processor_seconds) / calls, 4),
            "peak_memory_bytes": round((_status("VmHWM") - end.resident) / calls),
            "ledger_bytes": round(out.ledger.stat().st_size / calls),
            "candidates_bytes": round(out.candidates.stat().st_size / calls),
            "nearest_seconds": nearest_seconds(run),
        }
    return loop_rows(meter.readings, sizes), finish


def nearest_seconds(run: Run) -> float | None:
    """What it takes to find the nearest training molecules of the best; None where there is no corpus."""
    best = run.ledger.nlargest(NEAREST_FOR, "score")
    kept = Kept(NEAREST_FOR)
    table = candidates_table(best, run.oracle.labels, kept=kept)
    started = time.perf_counter()
    search, _ = training_search(run.provenance)
    if search is None:
        return None
    with_nearest(table, search, kept.fingerprints)
    return round(time.perf_counter() - started, 2)


def growth(rows: Sequence[dict[str, Any]], *keys: str) -> dict[str, float | None]:
    """For each figure the last row over the first that has it: 1 is flat; None: it cannot be said."""
    ratios: dict[str, float | None] = {}
    for key in keys:
        values = [row[key] for row in rows if row[key] is not None]
        ratios[key] = round(values[-1] / values[0], 3) if len(values) > 1 and values[0] > 0 else None
    return ratios


def main() -> None:
    """Measure one run, its smaller ones for what their end costs, and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--objective", default="qed")
    parser.add_argument("--prior", default="druglike")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument(
        "--learning-rate", type=float, default=STILL, help="default: so small that nothing is learned"
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    settings = {
        "objective": arguments.objective,
        "prior": arguments.prior,
        "batch_size": arguments.batch_size,
        "learning_rate": arguments.learning_rate,
        "seed": arguments.seed,
    }
    loop, finish = measure(arguments.calls, **settings)
    for row in loop:
        sys.stderr.write(f"{row}\n")
    # Each size ends a run of its own, since a run ends once.
    smaller = sizes_of(arguments.calls, arguments.batch_size)[:-1]
    ends = [*(measure(size, **settings)[1] for size in smaller), finish]
    for row in ends:
        sys.stderr.write(f"{row}\n")
    result = {
        **settings,
        "calls": arguments.calls,
        "load": round(os.getloadavg()[0], 2),
        "loop": loop,
        "finish": ends,
        "growth": {
            "loop": growth(
                loop, "ms", "processor_ms", "outside_the_network_ms", "memory_bytes", "written_bytes"
            ),
            "finish": growth(
                ends, "ms", "processor_ms", "peak_memory_bytes", "ledger_bytes", "candidates_bytes"
            ),
        },
    }
    sys.stderr.write(f"last over first: {result['growth']}\n")
    write_result(arguments.out, "moldesign.benchmarks.scaling", result)


if __name__ == "__main__":
    main()
