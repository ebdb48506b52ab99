"""What rewards cost, and what a pool of workers makes of it.

Run as `python -m moldesign.benchmarks.rewards --out FILE`; `make bench-rewards` does.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from moldesign.benchmarks.results import write_result
from moldesign.chem.molecules import Mol, read
from moldesign.errors import MoldesignError
from moldesign.language import corpus
from moldesign.rewards import catalogue
from moldesign.rewards.executors import open_evaluator
from moldesign.rewards.objective import Objective
from moldesign.rewards.scores import smiles_of

_BATCH = 100

#: What a pool is compared on: descriptors as a chemist would combine them, and next to nothing.
DESCRIPTORS: dict[str, Any] = {
    "name": "descriptors",
    "components": [
        {"reward": "qed"},
        {"reward": "sa", "shaping": {"kind": "linear", "zero": 5.0, "one": 1.5}},
        {"reward": "alerts", "role": "filter"},
    ],
}
FREE: dict[str, Any] = {
    "name": "free",
    "components": [{"reward": "heavy_atoms", "shaping": {"kind": "linear", "zero": 0.0, "one": 50.0}}],
}


def cost_of(name: str, mols: Sequence[Mol], *, seconds: float) -> dict[str, object]:
    """Microseconds a molecule of a reward with the parameters of its example: median over batches of 100.

    Args:
        seconds: after which no further batch is begun; a dear reward is measured on fewer molecules.
    """
    entry = catalogue.find(name)
    try:
        reward = entry.build(entry.parameters.model_validate(dict(entry.example)))
        reward(mols[:1])  # what is loaded at the first call is not the cost of a molecule
    except (MoldesignError, ValueError, OSError) as error:
        return {"reward": name, "molecules": 0, "why": " ".join(str(error).split())[:200]}
    costs: list[float] = []
    failed = 0
    size = _BATCH
    began = time.perf_counter()
    done = 0
    while done < len(mols) and time.perf_counter() - began < seconds:
        batch = mols[done : done + size]
        started = time.perf_counter()
        try:
            reward(batch)
            costs.append((time.perf_counter() - started) / len(batch))
        except Exception:  # one molecule of the batch cannot be valued: its batch is not counted
            failed += 1
        done += len(batch)
        if costs and costs[0] * _BATCH > seconds / 10:
            size = max(1, int(seconds / 10 / costs[0]))
    if not costs:
        return {"reward": name, "molecules": 0, "why": "no batch without a failure"}
    return {
        "reward": name,
        "molecules": done,
        "microseconds": round(1e6 * statistics.median(costs), 1),
        "declared": entry.cost_us,
        "batches_failed": failed,
    }


def pool_against_inline(
    spec: dict[str, Any], mols: Sequence[Mol], *, workers: int, repeats: int, batch: int
) -> dict[str, object]:
    """Seconds for the molecules inline and by a pool, alternating, medians; and the pool's cost a molecule.

    The overhead is what the pool takes beyond inline time divided among the workers, which is what a
    pool that cost nothing would take.
    """
    objective = Objective.model_validate(spec)
    pool = open_evaluator(objective, workers)
    assert not isinstance(pool, Objective)
    batches = [mols[i : i + batch] for i in range(0, len(mols), batch)]

    def timed(evaluate: Callable[[Sequence[Mol]], object]) -> float:
        started = time.perf_counter()
        for part in batches:
            evaluate(part)
        return time.perf_counter() - started

    with pool:
        pool.evaluate(mols[: 4 * workers])
        rows = [(timed(objective.evaluate), timed(pool.evaluate)) for _ in range(repeats)]
    inline, pooled = (statistics.median(column) for column in zip(*rows, strict=True))
    ratios = [a / b for a, b in rows]
    return {
        "objective": spec["name"],
        "workers": workers,
        "molecules": len(mols),
        "batch": batch,
        "inline_s": round(inline, 3),
        "pool_s": round(pooled, 3),
        "ratio_median": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "overhead_us": round(1e6 * (pooled - inline / workers) / len(mols), 1),
    }


def main() -> None:
    """Measure every built-in reward and the pool, and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--molecules", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each reward at most")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", default="", help="one part: costs or pool")
    arguments = parser.parse_args()
    smiles = corpus.load("zinc250k")
    chosen = np.random.default_rng(0).choice(len(smiles), size=arguments.molecules, replace=False)
    mols = [read(smiles[i]) for i in chosen]
    pools = []
    if arguments.only != "costs":
        for spec, n, batch in ((DESCRIPTORS, 2048, 256), (FREE, 8192, 64), (FREE, 8192, 1024)):
            row = pool_against_inline(
                spec, mols[:n], workers=arguments.workers, repeats=arguments.repeats, batch=batch
            )
            sys.stderr.write(f"{row}\n")
            pools.append(row)
    started = time.perf_counter()
    smiles_of(mols[:1000])
    writing = 1e6 * (time.perf_counter() - started) / 1000
    costs = []
    if arguments.only != "pool":
        for name in catalogue.BUILT_IN:
            row = cost_of(name, mols, seconds=arguments.seconds)
            sys.stderr.write(f"{row}\n")
            costs.append(row)
    result = {
        "corpus": f"{len(mols):,} molecules of zinc250k drawn with seed 0",
        "canonical_smiles_us": round(writing, 1),
        "pool": pools,
        "costs": costs,
    }
    write_result(arguments.out, "moldesign.benchmarks.rewards", result)


if __name__ == "__main__":
    main()
