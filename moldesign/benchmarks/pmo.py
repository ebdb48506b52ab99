"""PMO: how few oracle calls a way of optimising needs (Gao et al. 2022, Sample efficiency matters).

10,000 calls a task, a call being a new canonical SMILES; the area under the mean of the ten best over the
calls, each task between 0 and 1, summed. Nothing is screened beforehand and no task has settings of its own.
`moldesign benchmark pmo` runs it. A run whose file is there is not run again.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moldesign.benchmarks.classifiers import CLASSIFIERS, classifier
from moldesign.benchmarks.quality import quality
from moldesign.benchmarks.runs import EVERY, auc, require_same
from moldesign.errors import DataError, UsageError, nearest
from moldesign.rewards.guacamol import PMO
from moldesign.rl.optimize import optimize
from moldesign.rl.presets import settings_of
from moldesign.search.choices import ACQUISITIONS

TASKS = tuple(sorted([*PMO, *CLASSIFIERS]))
#: Settings may be chosen on these, and on no others.
TUNING = ("zaleplon_mpo", "perindopril_mpo")
CALLS = 10_000
#: The prior of the benchmark's own REINVENT is one of these molecules too.
PRIOR = "zinc250k"
TOPS = (1, 10, 100)
#: Mean score of the ten best at which a run ends: no task gives more than 1.
_PERFECT = 1 - 1e-9

_WHOLE = settings_of("efficient")
_ALL: str = _WHOLE["operators"]
#: What `efficient` is without one of its ingredients: settings in place of its own.
ABLATIONS: dict[str, dict[str, Any]] = {
    "no-surrogate": {"acquisition": "none"},
    # As many tries in one generation as there are in all.
    "no-generations": {"generations": 0, "pool_size": _WHOLE["pool_size"] * (1 + _WHOLE["generations"])},
    "no-properties": {"surrogate_properties": "0"},
    "properties-always": {"surrogate_properties": "0.75"},
    "no-ranks": {"surrogate_targets": "scores"},
    "no-learning": {"learning_rate": 1e-12, "replay_rounds": 0},
    "no-policy": {"operators": _ALL.replace("policy,prefix,", "")},
    "no-prefix": {"operators": _ALL.replace("prefix,", "")},
    "no-crossover": {"operators": _ALL.replace("crossover,", "")},
    "no-recombination": {"operators": _ALL.replace("recombination,", "")},
    "no-graft": {"operators": _ALL.replace("graft,", "")},
    "no-edit": {"operators": _ALL.replace("edit,", "")},
    "no-ring": {"operators": _ALL.replace(",ring", "")},
    "no-bandit": {"operators": ",".join(f"{name}:1" for name in _ALL.split(","))},
    "no-unscreened": {"unscreened": 0.0},
    "no-boldness": {"boldness": 1.0},
    "no-islands": {"island_after": 0},
    "no-families": {"family_size": 0},
    "no-growth": {"batch_growth": 0.0},
    "no-randomisation": {"replay_randomised": False},
}


#: What `efficient` is when its surrogate chooses by something else, which matters most where calls are few.
DESIGNS: dict[str, dict[str, Any]] = {name: {"acquisition": name} for name in ACQUISITIONS}
#: What `efficient` is when it proposes whatever is a molecule, and when it shuns alerts too.
CHEMISTRIES: dict[str, dict[str, Any]] = {
    "any-chemistry": {"chemistry": "any"},
    "strict-chemistry": {"chemistry": "strict"},
}
#: What counts in PMO is the ten best, however alike.
_PROTOCOL = {"diversity": False}
#: Names of several rows.
GROUPS: dict[str, list[str]] = {
    "ablations": ["efficient", *(f"efficient/{name}" for name in ABLATIONS)],
    "designs": [f"efficient/{name}" for name in DESIGNS],
    "chemistries": ["efficient", *(f"efficient/{name}" for name in CHEMISTRIES)],
}


def settings_of_row(name: str) -> dict[str, Any]:
    """The settings of a preset, or of `efficient/NAME`, an ablation or a design.

    Raises:
        UsageError: there is none of that name; the nearest is named.
    """
    preset, slash, variant = name.partition("/")
    variants = {**ABLATIONS, **DESIGNS, **CHEMISTRIES}
    if slash and (preset != "efficient" or variant not in variants):
        known = [f"efficient/{one}" for one in variants]
        raise UsageError(f"no preset '{name}'{nearest(name, known)}; there are {', '.join(known)}")
    return {**_PROTOCOL, **settings_of(preset), **(variants[variant] if slash else {})}


@dataclass(frozen=True)
class PmoRun:
    """A task of the benchmark, tried once."""

    task: str
    preset: str
    seed: int
    calls: int = CALLS
    prior: str = PRIOR

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.preset}, {self.task}, seed {self.seed}"

    def path(self, folder: Path) -> Path:
        """Where its figures are, once it is done."""
        return folder / self.preset.replace("/", "-") / f"{self.task}-{self.seed}.json"

    def measure(self) -> dict[str, Any]:
        """The figures of the run.

        - `auc_top1`, `auc_top10`, `auc_top100`: areas under the mean of so many best, shares of the budget.
        - `curve`: at every EVERY calls the means of the 1, 10 and 100 best.
        - `origins`: of each operator, how many calls it had, and how many of the 100 best are its own.
        - `quality`: of the 100 best. `phases`: seconds of the loop.
        """
        started = time.monotonic()
        settings = settings_of_row(self.preset)
        run = optimize(
            classifier(self.task) if self.task in CLASSIFIERS else self.task,
            prior=self.prior,
            budget=self.calls,
            seed=self.seed,
            # Nothing is better: the ten best stay as they are, and so does the curve.
            target=_PERFECT,
            export={"nearest_for": 0, "best": max(TOPS)},
            **settings,
        )
        seconds = time.monotonic() - started
        ledger = run.ledger.sort_values("call")
        scores = ledger["score"].fillna(0.0).to_numpy(dtype=np.float64)
        calls, curves = curve(scores)
        best = run.candidates.head(100)
        count = ledger["origin"].value_counts()
        return {
            "task": self.task,
            "preset": self.preset,
            "seed": self.seed,
            "budget": self.calls,
            "prior": self.prior,
            "settings": settings,
            **{f"auc_top{k}": round(auc(calls, curves[k], self.calls), 5) for k in TOPS},
            "calls": len(ledger),
            "stopped_by": run.stopped_by,
            "seconds": round(seconds, 1),
            "threads": torch.get_num_threads(),
            "phases": {
                str(phase): round(float(spent), 1)
                for phase, spent in zip(run.timeline["phase"], run.timeline["seconds"], strict=True)
            },
            "origins": {
                str(name): {"calls": int(count[name]), "of_the_best": int((best["origin"] == name).sum())}
                for name in count.index
            },
            "quality": quality(best["smiles"].tolist()),
            "curve": {
                "calls": calls,
                **{f"top{k}": [round(value, 5) for value in curves[k]] for k in TOPS},
            },
        }

    def said(self, figures: Mapping[str, Any]) -> str:
        """They in a few words."""
        return f"AUC top-10 {figures['auc_top10']:.4f}, {figures['calls']} calls, {figures['seconds']} s"


def curve(scores: np.ndarray) -> tuple[list[int], dict[int, list[float]]]:
    """At every EVERY calls, and at the last: the means of the 1, 10 and 100 best so far.

    Args:
        scores: (n,) in the order of the calls, 0 where one failed. Of fewer than k the mean is of those.
    """
    calls = [*range(EVERY, len(scores) + 1, EVERY)]
    if len(scores) % EVERY:
        calls.append(len(scores))
    best = np.zeros(0)
    found: dict[int, list[float]] = {k: [] for k in TOPS}
    for first, last in zip([0, *calls], calls, strict=False):
        best = np.sort(np.concatenate([best, scores[first:last]]))[::-1][: max(TOPS)]
        for k in TOPS:
            found[k].append(float(best[:k].mean()))
    return calls, found


def runs_of(
    tasks: str, seeds: Sequence[int], presets: Sequence[str], *, calls: int = CALLS, prior: str = PRIOR
) -> list[PmoRun]:
    """The runs, seed by seed.

    Args:
        tasks: names between commas; `all`; `rdkit` for those that need no classifier; or `tuning` for the two
            that settings may be chosen on.
        presets: their names, or those of GROUPS.

    Raises:
        UsageError: no such task or preset, or a classifier that is not there.
    """
    groups = {"all": TASKS, "rdkit": PMO, "tuning": TUNING}
    names = groups.get(tasks) or tuple(name.strip() for name in tasks.split(","))
    for name in names:
        if name not in TASKS:
            known = ", ".join([*groups, *TASKS])
            raise UsageError(f"no task '{name}'{nearest(name, TASKS)}; there are {known}")
        if name in CLASSIFIERS:
            classifier(name)
    rows = [row for name in presets for row in GROUPS.get(name, [name])]
    for name in rows:
        settings_of_row(name)
    return [PmoRun(task, name, seed, calls, prior) for seed in seeds for name in rows for task in names]


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """The figures of every run in a folder.

    Raises:
        DataError: a file that is not a run's.
    """
    found = []
    for path in sorted(folder.glob("*/[!.]*.json")):
        try:
            figures = json.loads(path.read_text(encoding="utf-8"))
            for key in ("preset", "task", "seed", "seconds", "auc_top10"):
                figures[key]
        except (OSError, ValueError, KeyError, TypeError):
            raise DataError(f"{path}: not the figures of a run; remove it") from None
        found.append(figures)
    return found


def check_settings(runs: Sequence[PmoRun], folder: Path) -> None:
    """Pass if what is in the folder is what these runs would be.

    Raises:
        UsageError: a run with another budget, prior or other settings: they do not compare.
    """
    for run in runs:
        path = run.path(folder)
        if path.exists():
            figures = json.loads(path.read_text(encoding="utf-8"))
            wanted = {"budget": run.calls, "prior": run.prior, "settings": settings_of_row(run.preset)}
            require_same(path, figures, wanted)


def summarise(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each preset: of each task the mean AUC top-10 over its seeds, and their sum.

    `sd` is the deviation of the sum over the seeds that have every task; None of fewer than two.
    """
    found = []
    for name in dict.fromkeys(run["preset"] for run in runs):
        own = [run for run in runs if run["preset"] == name]
        tasks = {
            task: statistics.fmean(run["auc_top10"] for run in own if run["task"] == task)
            for task in TASKS
            if any(run["task"] == task for run in own)
        }
        sums = []
        for seed in dict.fromkeys(run["seed"] for run in own):
            of_seed = {run["task"]: run["auc_top10"] for run in own if run["seed"] == seed}
            if of_seed.keys() == tasks.keys():
                sums.append(sum(of_seed.values()))
        found.append(
            {
                "preset": name,
                "runs": len(own),
                "tasks": {task: round(value, 4) for task, value in tasks.items()},
                "sum": round(sum(tasks.values()), 3),
                "sd": round(statistics.stdev(sums), 3) if len(sums) > 1 else None,
                "minutes": round(statistics.median(run["seconds"] for run in own) / 60, 1),
            }
        )
    return found
