"""What rewards cost, and what a pool of workers makes of it.

Run as `python -m moldesign.benchmarks.rewards --out FILE`; `make bench-rewards` does.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moldesign.benchmarks.results import write_result
from moldesign.chem.molecules import read, to_smiles
from moldesign.errors import MoldesignError
from moldesign.language import corpus
from moldesign.rewards import catalogue
from moldesign.rewards.executors import ObjectivePool, open_evaluator
from moldesign.rewards.objective import Objective
from moldesign.rewards.oracle import Oracle

if TYPE_CHECKING:
    from moldesign.rewards.cluster import DaskPool

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


def cost_of(name: str, smiles: Sequence[str], *, seconds: float) -> dict[str, object]:
    """Microseconds a molecule of a reward with the parameters of its example: median over batches of 100.

    Args:
        smiles: read anew for each reward, since RDKit keeps on a molecule what it has computed of it.
        seconds: after which no further batch is begun; a dear reward is measured on fewer molecules.
    """
    entry = catalogue.find(name)
    try:
        reward = entry.build(entry.parameters.model_validate(dict(entry.example)))
        reward([read(smiles[0])])  # what is loaded at the first call is not the cost of a molecule
    except (MoldesignError, ValueError, OSError) as error:
        return {"reward": name, "molecules": 0, "why": " ".join(str(error).split())[:200]}
    costs: list[float] = []
    failed = 0
    size = _BATCH
    began = time.perf_counter()
    done = 0
    while done < len(smiles) and time.perf_counter() - began < seconds:
        batch = [read(one) for one in smiles[done : done + size]]
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
    spec: dict[str, Any], smiles: Sequence[str], *, workers: int, repeats: int, batch: int
) -> list[dict[str, object]]:
    """Microseconds a molecule, inline and by a pool, alternating, medians: of scoring, and of an oracle.

    What an oracle does besides, reading a molecule and writing its name, it does in this process either way.
    """
    objective = Objective.model_validate(spec)
    pool = open_evaluator(objective, workers)
    assert not isinstance(pool, Objective)
    starts = range(0, len(smiles), batch)

    busy: list[float] = []

    def scoring(evaluator: Objective | ObjectivePool | DaskPool) -> float:
        # Read anew: RDKit keeps on a molecule what it has computed of it.
        mols = [read(one) for one in smiles]
        names = [to_smiles(mol) for mol in mols]
        computing = 0.0
        started = time.perf_counter()
        for start in starts:
            rows = slice(start, start + batch)
            if isinstance(evaluator, Objective):
                evaluator.evaluate(mols[rows])
            else:
                scores = evaluator.evaluate(mols[rows], names[rows])
                computing += sum(scores.seconds.values())
        seconds = time.perf_counter() - started
        if computing:
            busy.append(computing / seconds / workers)
        return seconds

    def whole(evaluator: Objective | ObjectivePool | DaskPool) -> float:
        oracle = Oracle(evaluator)  # a new one: it has seen no molecule
        started = time.perf_counter()
        for start in starts:
            oracle(smiles[start : start + batch])
        return time.perf_counter() - started

    results = []
    with pool:
        Oracle(pool)(smiles[: 8 * workers])
        for what, timed in (("scoring", scoring), ("oracle", whole)):
            rows = [(timed(objective), timed(pool)) for _ in range(repeats)]
            results.append(
                {
                    "objective": spec["name"],
                    "timed": what,
                    "workers": workers,
                    "molecules": len(smiles),
                    "batch": batch,
                    "inline_us": round(1e6 * statistics.median(a for a, _ in rows) / len(smiles), 1),
                    "pool_us": round(1e6 * statistics.median(b for _, b in rows) / len(smiles), 1),
                    "ratio": round(statistics.median(a / b for a, b in rows), 3),
                    "ratios": [round(a / b, 3) for a, b in rows],
                    "workers_computing": round(statistics.median(busy), 3),
                    "overhead_us": round(1e6 * statistics.median(b - a for a, b in rows) / len(smiles), 1),
                }
            )
    return results


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
    drawn = [smiles[i] for i in chosen]
    pools = []
    if arguments.only != "costs":
        for spec, n, batch in (
            (DESCRIPTORS, 2048, 256),
            (DESCRIPTORS, 2048, 1024),
            (FREE, 8192, 64),
            (FREE, 8192, 1024),
        ):
            for row in pool_against_inline(
                spec, drawn[:n], workers=arguments.workers, repeats=arguments.repeats, batch=batch
            ):
                sys.stderr.write(f"{row}\n")
                pools.append(row)
    costs = []
    if arguments.only != "pool":
        for i, name in enumerate(catalogue.BUILT_IN):
            # Each begins elsewhere: what one reward keeps of a molecule is no help to the next.
            first = 1000 * i % len(drawn)
            row = cost_of(name, drawn[first:] + drawn[:first], seconds=arguments.seconds)
            sys.stderr.write(f"{row}\n")
            costs.append(row)
    result = {
        "corpus": f"{len(drawn):,} molecules of zinc250k drawn with seed 0",
        "pool": pools,
        "costs": costs,
    }
    write_result(arguments.out, "moldesign.benchmarks.rewards", result)


if __name__ == "__main__":
    main()
