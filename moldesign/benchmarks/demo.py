"""What `make demo` does, over several seeds: how far the mean score rises, and how long it takes.

Run as `python -m moldesign.benchmarks.demo --out FILE`; `make bench-demo` does.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from moldesign.benchmarks.results import write_result
from moldesign.rl.optimize import optimize
from moldesign.rl.presets import DEFAULT

_WINDOW = 300


def measure(seed: int, objective: str, **options: Any) -> dict[str, object]:
    """The figures of one run: mean score of the first and last 300 calls, the gain between them, seconds."""
    started = time.monotonic()
    run = optimize(objective, seed=seed, export={"nearest_for": 0}, **options)
    scores = run.ledger["score"]
    first, last = float(scores.head(_WINDOW).mean()), float(scores.tail(_WINDOW).mean())
    return {
        "seed": seed,
        "calls": len(run.ledger),
        "steps": int(run.ledger["step"].max()),
        "failed": int((run.ledger["status"] == "failed").sum()),
        "mean_first_300": round(first, 4),
        "mean_last_300": round(last, 4),
        "gain": round(last - first, 4),
        "best": round(float(scores.max()), 4),
        "mean_ten_best": round(float(scores.nlargest(10).mean()), 4),
        "scaffolds_of_100_best": int(run.candidates["scaffold"].head(100).nunique()),
        "seconds": round(time.monotonic() - started, 1),
    }


def main() -> None:
    """Measure each seed and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--objective", default="druglike")
    parser.add_argument("--prior", default="druglike")
    parser.add_argument("--estimator", help="an estimator alone, in place of a preset")
    parser.add_argument("--preset", default=DEFAULT)
    parser.add_argument("--budget", type=int, default=3000)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    arguments = parser.parse_args()
    way = {"estimator": arguments.estimator} if arguments.estimator else {"preset": arguments.preset}
    runs = []
    for seed in arguments.seeds.split(","):
        figures = measure(
            int(seed), arguments.objective, prior=arguments.prior, budget=arguments.budget, **way
        )
        sys.stderr.write(f"{figures}\n")
        runs.append(figures)
    gains = [float(str(run["gain"])) for run in runs]
    result = {
        "objective": arguments.objective,
        "prior": arguments.prior,
        **way,
        "budget": arguments.budget,
        "median_gain": statistics.median(gains),
        "smallest_gain": min(gains),
        "runs": runs,
    }
    write_result(arguments.out, "moldesign.benchmarks.demo", result)


if __name__ == "__main__":
    main()
