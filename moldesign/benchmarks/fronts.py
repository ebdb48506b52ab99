"""How much of the front each way of optimising several objectives finds: hypervolume over oracle calls.

Run as `python -m moldesign.benchmarks.fronts --out FILE --plot FIGURE`; `make bench-fronts` does.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from moldesign.benchmarks.results import write_result
from moldesign.records.files import writing
from moldesign.rewards.curves import FORMATS
from moldesign.rewards.guacamol import REFERENCES
from moldesign.rewards.objective import Objective
from moldesign.rl.optimize import optimize

#: Calls between two points of a curve.
_EVERY = 50

_ALERTS: dict[str, Any] = {"reward": "alerts", "role": "filter", "parameters": {"collections": ["BRENK"]}}


def _like(label: str, smiles: str) -> dict[str, Any]:
    """Likeness to a molecule."""
    return {
        "reward": "similarity",
        "label": label,
        "parameters": {"references": [smiles], "fingerprint": "ecfp4"},
    }


#: Two aims that a molecule cannot reach together. The front of `two drugs` is concave: naproxen and diazepam
#: share 0.12 of their bits, so each is worth 1.12 in all; a molecule that is the two in one is worth 1.0.
TASKS: dict[str, list[dict[str, Any]]] = {
    "osimertinib and QED": [
        _like("first", REFERENCES["osimertinib"]),
        {"reward": "qed", "label": "second"},
        _ALERTS,
    ],
    "two drugs": [
        _like("first", "COc1ccc2cc(ccc2c1)C(C)C(=O)O"),
        _like("second", "CN1C(=O)CN=C(c2ccccc2)c2cc(Cl)ccc12"),
        _ALERTS,
    ],
}

_SCHEDULE = {"kind": "schedule", "final": {"first": 0.02, "second": 1.0}}

#: `prior` draws and scores without learning: a step too small to change anything.
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "prior": ({"combination": "arithmetic_mean"}, {"learning_rate": 1e-12}),
    "arithmetic mean": ({"combination": "arithmetic_mean"}, {}),
    "arithmetic mean, drawn weights": (
        {"combination": "arithmetic_mean", "weighting": {"kind": "drawn"}},
        {},
    ),
    "arithmetic mean, schedule": ({"combination": "arithmetic_mean", "weighting": _SCHEDULE}, {}),
    "geometric mean": ({"combination": "geometric_mean"}, {}),
    "chebyshev": ({"combination": "chebyshev"}, {}),
    "chebyshev, drawn weights": ({"combination": "chebyshev", "weighting": {"kind": "drawn"}}, {}),
    "pareto": ({"combination": "pareto"}, {}),
}


def measure(way: str, seed: int, *, task: str, estimator: str, prior: str, budget: int) -> dict[str, Any]:
    """The front that one run finds: its size and hypervolume at the end, and the hypervolume over calls."""
    combined, settings = WAYS[way]
    components = TASKS[task]
    if "schedule" in way:  # it begins where it does not end
        components = [{**components[0], "weight": 1.0}, {**components[1], "weight": 0.02}, *components[2:]]
    objective = Objective.model_validate({"name": way, "components": components, **combined})
    started = time.monotonic()
    run = optimize(
        objective,
        prior=prior,
        estimator=estimator,
        budget=budget,
        seed=seed,
        export={"nearest_for": 0},
        **settings,
    )
    curve = run.hypervolume
    points = range(_EVERY, budget + 1, _EVERY)
    found = [curve[curve["calls"] <= calls]["hypervolume"].max() for calls in points]
    return {
        "task": task,
        "estimator": estimator,
        "way": way,
        "seed": seed,
        "calls": len(run.ledger),
        "hypervolume": round(float(curve.iloc[-1]["hypervolume"]), 4),
        "front": int(curve.iloc[-1]["front"]),
        "seconds": round(time.monotonic() - started, 1),
        "curve": [0.0 if value != value else round(float(value), 4) for value in found],
    }


def medians(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each task, estimator and way: median, smallest and largest hypervolume over the seeds."""
    groups: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        groups.setdefault((row["task"], row["estimator"], row["way"]), []).append(row["hypervolume"])
    return [
        {
            "task": task,
            "estimator": estimator,
            "way": way,
            "hypervolume": statistics.median(values),
            "min": min(values),
            "max": max(values),
        }
        for (task, estimator, way), values in groups.items()
    ]


def draw_curves(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a figure of the median hypervolume over calls, a panel for each task and estimator.

    Args:
        path: its suffix, one of FORMATS, says what kind of figure.

    Raises:
        UsageError: the path cannot be written. ResourceError: the disk is full.
    """
    panels = list(dict.fromkeys((row["task"], row["estimator"]) for row in rows))
    figure = Figure(figsize=(5 * len(panels), 4), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (task, estimator) in zip(all_axes, panels, strict=True):
        chosen = [row for row in rows if (row["task"], row["estimator"]) == (task, estimator)]
        for way in dict.fromkeys(row["way"] for row in chosen):
            middle = np.median([row["curve"] for row in chosen if row["way"] == way], 0)
            axes.plot(_EVERY * np.arange(1, len(middle) + 1), middle, label=way, linewidth=1.2)
        axes.set_title(f"{task}, {estimator}", fontsize=9)
        axes.set_xlabel("oracle calls")
        axes.spines[["top", "right"]].set_visible(False)
    all_axes[0].set_ylabel("hypervolume, median over seeds")
    all_axes[-1].legend(fontsize=6)
    suffix = path.suffix.lower()
    with writing(path) as temporary:
        figure.savefig(temporary, format=suffix[1:], metadata=FORMATS[suffix])


def main() -> None:
    """Measure each task and way with each estimator and seed; write one JSON file and a figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--prior", default="druglike")
    parser.add_argument("--budget", type=int, default=2000)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--estimators", default="dap")
    arguments = parser.parse_args()
    rows = []
    for seed in arguments.seeds.split(","):
        for estimator in arguments.estimators.split(","):
            for task in TASKS:
                for way in WAYS:
                    row = measure(
                        way,
                        int(seed),
                        task=task,
                        estimator=estimator,
                        prior=arguments.prior,
                        budget=arguments.budget,
                    )
                    sys.stderr.write(f"{ {key: value for key, value in row.items() if key != 'curve'} }\n")
                    rows.append(row)
    result = {
        "prior": arguments.prior,
        "budget": arguments.budget,
        "every": _EVERY,
        "medians": medians(rows),
        "rows": rows,
    }
    write_result(arguments.out, "moldesign.benchmarks.fronts", result)
    if arguments.plot:
        draw_curves(rows, arguments.plot)


if __name__ == "__main__":
    main()
