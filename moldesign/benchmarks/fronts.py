"""How much of the front each way of optimising several objectives finds: hypervolume over oracle calls.

Run as `python -m moldesign.benchmarks.fronts --out FILE`; `make bench-fronts` does.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from moldesign.benchmarks.results import write_result
from moldesign.rewards.guacamol import REFERENCES
from moldesign.rewards.objective import Objective
from moldesign.rl.optimize import optimize

#: Two aims that a molecule cannot reach together: like osimertinib, and as small as QED wants it.
COMPONENTS: list[dict[str, Any]] = [
    {
        "reward": "similarity",
        "parameters": {"references": [REFERENCES["osimertinib"]], "fingerprint": "ecfp4"},
    },
    {"reward": "qed"},
    {"reward": "alerts", "role": "filter", "parameters": {"collections": ["BRENK"]}},
]

#: `prior` draws and scores without learning: a step too small to change anything.
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "prior": ({"combination": "arithmetic_mean"}, {"learning_rate": 1e-12}),
    "arithmetic mean": ({"combination": "arithmetic_mean"}, {}),
    "geometric mean": ({"combination": "geometric_mean"}, {}),
    "chebyshev": ({"combination": "chebyshev"}, {}),
    "chebyshev, drawn weights": ({"combination": "chebyshev", "weighting": {"kind": "drawn"}}, {}),
    "pareto": ({"combination": "pareto"}, {}),
}


def measure(way: str, seed: int, *, prior: str, budget: int) -> dict[str, object]:
    """The hypervolume and the size of the front that one run finds, half-way and at its end."""
    combined, settings = WAYS[way]
    objective = Objective.model_validate({"name": way, "components": COMPONENTS, **combined})
    started = time.monotonic()
    run = optimize(objective, prior=prior, budget=budget, seed=seed, export={"nearest_for": 0}, **settings)
    curve = run.hypervolume
    half = curve[curve["calls"] <= budget // 2].iloc[-1]
    end = curve.iloc[-1]
    return {
        "way": way,
        "seed": seed,
        "calls": len(run.ledger),
        "hypervolume_half": round(float(half["hypervolume"]), 4),
        "hypervolume": round(float(end["hypervolume"]), 4),
        "front": int(end["front"]),
        "seconds": round(time.monotonic() - started, 1),
    }


def main() -> None:
    """Measure each way with each seed and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prior", default="druglike")
    parser.add_argument("--budget", type=int, default=2000)
    parser.add_argument("--seeds", default="0,1,2")
    arguments = parser.parse_args()
    rows = []
    for seed in arguments.seeds.split(","):
        for way in WAYS:
            row = measure(way, int(seed), prior=arguments.prior, budget=arguments.budget)
            sys.stderr.write(f"{row}\n")
            rows.append(row)
    medians = {
        way: statistics.median(float(str(row["hypervolume"])) for row in rows if row["way"] == way)
        for way in WAYS
    }
    result = {
        "prior": arguments.prior,
        "budget": arguments.budget,
        "median_hypervolume": medians,
        "rows": rows,
    }
    write_result(arguments.out, "moldesign.benchmarks.fronts", result)


if __name__ == "__main__":
    main()
