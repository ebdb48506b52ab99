"""Learning curves of every estimator: the same objectives, seeds and oracle calls for each.

Run as `python -m moldesign.benchmarks.learning --out FOLDER`; `make bench-learning` does. A run whose file
is in the folder is not run again, so what was cut short goes on where it was. With
`--tune NAME key=value,value` it compares settings of an estimator instead.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import re
import statistics
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from moldesign.assets import prior_path
from moldesign.benchmarks.results import write_result
from moldesign.benchmarks.runs import EVERY, auc, perform, require_same
from moldesign.errors import DataError, MoldesignError, UsageError, nearest
from moldesign.records.figures import BEST, WINDOW, learning_curve
from moldesign.records.files import writing
from moldesign.rewards.curves import FORMATS, require_format
from moldesign.rewards.loading import load_objective
from moldesign.rl.choices import ESTIMATORS
from moldesign.rl.optimize import optimize
from moldesign.rl.settings import OptimizeSettings
from moldesign.rl.steps import StepReport

OBJECTIVES = ("druglike", "zaleplon_mpo", "perindopril_mpo")
SEEDS = (0, 1, 2, 3, 4)
#: Apart from SEEDS, so that what is chosen with them is not chosen for those.
TUNING_SEEDS = (100, 101)

#: Draws and scores without learning: a step too small to change anything.
PRIOR = "prior"
#: Row -> settings beside the estimator's defaults, chosen by `--tune` on OBJECTIVES and TUNING_SEEDS.
TUNED: dict[str, dict[str, Any]] = {
    **{
        name: {"batch_size": 32, "learning_rate": 1e-3}
        for name in ("reinforce", "a2c", "group", "off-policy", "without-replacement", "rao-blackwell")
    },
    "ppo": {"batch_size": 32},
    "trpo": {"batch_size": 32},
    "dap": {"batch_size": 16, "learning_rate": 1e-3},
    "ahc": {"batch_size": 32, "learning_rate": 1e-3, "sigma": 120.0},
    "hill-climb": {"batch_size": 32, "learning_rate": 1e-3, "top_share": 0.25},
    "augmented-memory": {"batch_size": 32},
    "tb": {"batch_size": 32, "learning_rate": 1e-3, "sigma": 100.0},
}
#: Rows beside those of the estimators.
VARIANTS: dict[str, dict[str, Any]] = {
    "reinforce-value": {"estimator": "reinforce", "baseline": "value"},
    "reinforce-greedy": {"estimator": "reinforce", "baseline": "greedy"},
}

#: Calls that the mean score at the beginning and at the end is over.
ENDS = 300
#: A row learns if chance alone gives such a gain with less than this probability.
SIGNIFICANT = 0.05


def rows() -> dict[str, dict[str, Any]]:
    """Name -> settings of each row: the prior, every estimator that needs no enumeration, the variants."""
    still = {"estimator": "reinforce", "baseline": "none", "replay_size": 0, "learning_rate": 1e-12}
    named = {name: {"estimator": name} for name in ESTIMATORS if name != "exact"}
    found = {PRIOR: still}
    for name, settings in {**named, **VARIANTS}.items():
        tuned = TUNED.get(str(settings["estimator"]), {}) | TUNED.get(name, {})
        found[name] = {**tuned, **settings}
    return found


def grid(name: str, choices: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Name -> settings of each combination of choices, each a `key=value,value`; the row's own for the rest.

    Raises:
        UsageError: no such row, or a choice that is none.
    """
    base = chosen_rows([name])[name]
    columns: dict[str, list[Any]] = {}
    for choice in choices:
        key, _, values = choice.partition("=")
        if not key or not values:
            raise UsageError(
                f"'{choice}': write what to try as key=value,value, such as learning_rate=1e-4,5e-4"
            )
        columns[key] = [_value(text) for text in values.split(",")]
    found = {}
    for values_of_one in itertools.product(*columns.values()):
        settings = dict(zip(columns, values_of_one, strict=True))
        label = " ".join([name, *(f"{key}={value}" for key, value in settings.items())])
        found[label] = {**base, **settings}
    return found


def _value(text: str) -> Any:
    """A number, true, false or null as in JSON; anything else as its text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def chosen_rows(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The rows of these names.

    Raises:
        UsageError: there is none of such a name; the nearest is named.
    """
    known = rows()
    for name in names:
        if name not in known:
            raise UsageError(f"no row '{name}'{nearest(name, known)}; rows: {', '.join(known)}")
    return {name: known[name] for name in names}


# -- one run -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """A run that is to be there: what it is named, and all that its result depends on."""

    row: str
    settings: Mapping[str, Any]
    objective: str
    seed: int
    calls: int
    prior: str

    def path(self, folder: Path) -> Path:
        """Where its figures are, once it is done."""
        return folder / self.objective / f"{re.sub(r'[^A-Za-z0-9._=+-]+', '-', self.row)}-{self.seed}.json"

    def facts(self) -> dict[str, Any]:
        """What its file begins with."""
        return {
            "row": self.row,
            "objective": self.objective,
            "seed": self.seed,
            "budget": self.calls,
            "prior": self.prior,
            "settings": dict(self.settings),
        }

    def measure(self) -> dict[str, Any]:
        """The figures of one run. Times apart, the same on every call.

        - `auc_top10`: see there. `top10`: mean score of the ten best at the end.
        - `mean`, `mean_first`, `mean_last`: mean score of all calls, of the first and of the last ENDS.
        - `curve`: at every EVERY calls, and at the last: mean of the ten best so far, of the last
          WINDOW calls.
        - `valid`: share of what was drawn. `rolled_back`: how often the guard took the agent back.
        - `seconds`: of the whole run, loading and all; `milliseconds_a_call`: of its loop.
        """
        started = time.monotonic()
        reports: list[StepReport] = []
        run = optimize(
            self.objective,
            prior=self.prior,
            progress=reports.append,
            export={"nearest_for": 0},
            budget=self.calls,
            seed=self.seed,
            **self.settings,
        )
        seconds = time.monotonic() - started
        loop = run.timeline[run.timeline["phase"] != "workers"]["seconds"].sum()
        scores = run.ledger.sort_values("call")["score"]
        whole = learning_curve(run.ledger)
        n = len(whole)
        points = whole[(whole["call"] % EVERY == 0) | (whole["call"] == n)]
        calls = points["call"].tolist()
        best, recent = (
            points["mean_best_10"].fillna(0.0).tolist(),
            points["mean_last_100"].fillna(0.0).tolist(),
        )
        return {
            **self.facts(),
            "calls": n,
            "steps": len(reports),
            "stopped_by": run.stopped_by,
            "auc_top10": _rounded(auc(calls, best, self.calls)),
            "top10": _rounded(best[-1] if best else 0.0),
            "mean": _rounded(scores.mean()),
            "mean_first": _rounded(scores.head(ENDS).mean()),
            "mean_last": _rounded(scores.tail(ENDS).mean()),
            "valid": _rounded(statistics.fmean(report.valid for report in reports)),
            "rolled_back": sum(report.rolled_back for report in reports),
            "seconds": round(seconds, 1),
            "milliseconds_a_call": round(1000 * float(loop) / max(n, 1), 2),
            "threads": torch.get_num_threads(),
            "curve": {
                "calls": calls,
                "mean_best_10": [_rounded(value) for value in best],
                "mean_last_100": [_rounded(value) for value in recent],
            },
        }

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.row}, {self.objective}, seed {self.seed}"

    def said(self, figures: Mapping[str, Any]) -> str:
        """They in a few words."""
        means = f"mean {figures['mean_first']} to {figures['mean_last']}"
        return f"AUC top-10 {figures['auc_top10']}, {means}, {figures['seconds']} s"


def _rounded(value: float) -> float | None:
    """To five decimals; None for what is no number, which JSON lacks."""
    return round(float(value), 5) if math.isfinite(value) else None


# -- all of them ---------------------------------------------------------------------------------------


def tasks_of(
    chosen: Mapping[str, Mapping[str, Any]],
    *,
    objectives: Sequence[str],
    seeds: Sequence[int],
    calls: int,
    prior: str,
) -> list[Task]:
    """A task for each row, objective and seed; seed by seed, so that half of them compare as fairly as all.

    Raises:
        UsageError, RewardError: a setting, an objective or a prior that is none.
    """
    prior_path(prior)
    for objective in objectives:
        load_objective(objective)
        if not re.fullmatch(r"[\w.+-]+", objective):
            raise UsageError(
                f"'{objective}': name a ready-made objective or a reward; its runs are filed by name"
            )
    for settings, seed in itertools.product(chosen.values(), seeds):
        OptimizeSettings.of(**settings, budget=calls, seed=seed)
    return [
        Task(row, settings, objective, seed, calls, prior)
        for seed in seeds
        for objective in objectives
        for row, settings in chosen.items()
    ]


def read_runs(
    folder: Path, chosen: Mapping[str, Mapping[str, Any]], *, calls: int, prior: str
) -> list[dict[str, Any]]:
    """The figures of every run of these rows in the folder, whatever its objective and seed.

    Raises:
        DataError: a file that is not a run's.
        UsageError: a run with other settings, budget or prior than these: they do not compare.
    """
    found = []
    for path in sorted(folder.glob("*/[!.]*.json")):
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            task = Task(*(facts[key] for key in ("row", "settings", "objective", "seed", "budget", "prior")))
            facts["curve"]["mean_last_100"]
        except (OSError, ValueError, KeyError, TypeError):
            raise DataError(f"{path}: not the figures of a run; remove it") from None
        if task.row not in chosen:
            continue
        wanted = {"settings": dict(chosen[task.row]), "budget": calls, "prior": prior}
        require_same(path, facts, wanted)
        found.append(facts)
    return found


# -- what they say -------------------------------------------------------------------------------------


def summarise(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each objective and row of the benchmark: means and standard deviations over the seeds.

    `gain` is the mean score of the last ENDS calls less that of all calls of the prior's row with the same
    seeds; `p` the chance of one as large where nothing is learned (`welch`); `learns` whether that is below
    SIGNIFICANT. None where there are not two seeds, or no row of the prior.
    """
    found = []
    for objective in dict.fromkeys(run["objective"] for run in runs):
        of_objective = [run for run in runs if run["objective"] == objective]
        prior = {run["seed"]: run["mean"] for run in of_objective if run["row"] == PRIOR}
        for row in dict.fromkeys(run["row"] for run in of_objective):
            own = [run for run in of_objective if run["row"] == row]
            paired = [run for run in own if run["seed"] in prior]
            last = [_number(run["mean_last"]) for run in paired]
            before = [_number(prior[run["seed"]]) for run in paired]
            p = welch(last, before) if len(paired) > 1 and row != PRIOR else None
            found.append(
                {
                    "row": row,
                    "objective": objective,
                    "seeds": len(own),
                    "auc_top10": _mean(own, "auc_top10"),
                    "auc_top10_std": _std(own, "auc_top10"),
                    "top10": _mean(own, "top10"),
                    "mean_last": _mean(own, "mean_last"),
                    "mean_last_std": _std(own, "mean_last"),
                    "gain": _rounded(statistics.fmean(last) - statistics.fmean(before)) if paired else None,
                    "p": None if p is None else float(f"{p:.3g}"),
                    "learns": None if p is None else p < SIGNIFICANT,
                    "valid": _mean(own, "valid"),
                    "rolled_back": sum(run["rolled_back"] for run in own),
                    # What else the machine does adds to it and never takes from it.
                    "milliseconds_a_call": min(run["milliseconds_a_call"] for run in own),
                }
            )
    return found


def _number(value: float | None) -> float:
    """What was measured; a run in which nothing could be scored earned nothing."""
    return 0.0 if value is None else value


def _mean(runs: Sequence[Mapping[str, Any]], key: str) -> float | None:
    return _rounded(statistics.fmean(_number(run[key]) for run in runs))


def _std(runs: Sequence[Mapping[str, Any]], key: str) -> float | None:
    return _rounded(statistics.stdev(_number(run[key]) for run in runs)) if len(runs) > 1 else None


def welch(larger: Sequence[float], smaller: Sequence[float]) -> float:
    """The one-sided p-value: how likely chance puts the mean of one sample so far above that of the other.

    Welch 1947, The generalization of Student's problem: t = (m1 - m2) / sqrt(s1^2 / n1 + s2^2 / n2), with
    the degrees of freedom of Satterthwaite.

    Args:
        larger, smaller: two values at least of each.
    """
    gap = statistics.fmean(larger) - statistics.fmean(smaller)
    parts = [statistics.variance(sample) / len(sample) for sample in (larger, smaller)]
    error = sum(parts)
    if error == 0:
        return 0.0 if gap > 0 else 0.5 if gap == 0 else 1.0
    degrees = error**2 / sum(
        part**2 / (len(sample) - 1) for part, sample in zip(parts, (larger, smaller), strict=True)
    )
    return student_tail(gap / math.sqrt(error), degrees)


def student_tail(t: float, degrees: float) -> float:
    """P(T > t) of Student's distribution.

    With T = sqrt(v) tan(u) the density is c cos(u)^(v - 1), c = Gamma((v + 1) / 2) / (sqrt(pi) Gamma(v / 2)):
    its integral from atan(t / sqrt(v)) to pi / 2, by the rule of Gauss and Legendre.
    """
    log_c = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - math.log(math.pi) / 2
    begin = math.atan(t / math.sqrt(degrees))
    nodes, weights = np.polynomial.legendre.leggauss(200)
    half = (math.pi / 2 - begin) / 2
    return float(
        half * np.sum(weights * np.exp(log_c + (degrees - 1) * np.log(np.cos(begin + half * (nodes + 1)))))
    )


def draw_learning(runs: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the learning curves: a column an objective, means over the seeds, bands of one deviation.

    Above the mean of the ten best so far, below the mean of the last WINDOW calls.

    Args:
        path: its suffix, one of FORMATS, says what kind of figure.

    Raises:
        UsageError: no runs; the path cannot be written. ResourceError: the disk is full.
    """
    if not runs:
        raise UsageError("no run to draw")
    objectives = [*dict.fromkeys(run["objective"] for run in runs)]
    names = [name for name in rows() if any(run["row"] == name for run in runs)]
    figure = Figure(figsize=(5 * len(objectives) + 2.5, 8.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid_of_axes = figure.subplots(2, len(objectives), squeeze=False, sharex=True)
    for column, objective in enumerate(objectives):
        of_objective = [run for run in runs if run["objective"] == objective]
        for place, (key, label) in enumerate(
            [
                ("mean_best_10", f"mean of the {BEST} best so far"),
                ("mean_last_100", f"mean of the last {WINDOW} calls"),
            ]
        ):
            axes = grid_of_axes[place][column]
            for name in names:
                _draw_row(axes, name, [run for run in of_objective if run["row"] == name], key)
            axes.set_ylabel(label)
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
        grid_of_axes[0][column].set_title(objective)
        grid_of_axes[1][column].set_xlabel("oracle calls")
    handles: dict[str, Any] = {}
    for axes in grid_of_axes.flat:
        handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(
        [handles[name] for name in names], names, loc="outside right center", fontsize=8, frameon=False
    )
    suffix = path.suffix.lower()
    with writing(path) as temporary:
        figure.savefig(temporary, format=suffix[1:], metadata=FORMATS[suffix])


def _draw_row(axes: Axes, name: str, runs: Sequence[Mapping[str, Any]], key: str) -> None:
    """The mean over the seeds and its band, as far as every one of them went."""
    if not runs:
        return
    order = [other for other in rows() if other != PRIOR]
    # One colour a row, the same in every figure; the variants of an estimator are dotted.
    style: dict[str, Any] = {"color": "black", "linestyle": "--"}
    if name != PRIOR:
        style = {"color": colormaps["tab20"](order.index(name) % 20)}
        style["linestyle"] = ":" if name in VARIANTS else "-"
    length = min(len(run["curve"]["calls"]) for run in runs)
    calls = runs[0]["curve"]["calls"][:length]
    values = np.array([run["curve"][key][:length] for run in runs], dtype=np.float64)
    mean = values.mean(0)
    axes.plot(calls, mean, label=name, linewidth=1.4, **style)
    if len(runs) > 1:
        spread = values.std(0, ddof=1)
        axes.fill_between(calls, mean - spread, mean + spread, color=style["color"], alpha=0.12, linewidth=0)


def comparison(runs: Sequence[Mapping[str, Any]]) -> str:
    """A line a row, the best first: mean AUC top-10 of all runs, that of each objective, time a call."""
    found = []
    for row in dict.fromkeys(run["row"] for run in runs):
        own = [run for run in runs if run["row"] == row]
        mean = statistics.fmean(run["auc_top10"] for run in own)
        parts = []
        for objective in dict.fromkeys(run["objective"] for run in own):
            of_objective = [run["auc_top10"] for run in own if run["objective"] == objective]
            parts.append(f"{objective} {statistics.fmean(of_objective):.4f}")
        parts.append(f"{statistics.fmean(run['milliseconds_a_call'] for run in own):.1f} ms a call")
        found.append((mean, f"{mean:.4f}  {row}  ({', '.join(parts)}, {len(own)} runs)\n"))
    return "".join(line for _, line in sorted(found, reverse=True))


# -- the command ---------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the command."""
    arguments = _parser().parse_args(argv)
    try:
        return _tune(arguments) if arguments.tune else _compare(arguments)
    except MoldesignError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on with the runs that are left\n")
        return 130


def _compare(arguments: argparse.Namespace) -> int:
    known = rows()
    # The prior is what the others are compared with.
    chosen = known if arguments.estimators is None else chosen_rows([PRIOR, *_split(arguments.estimators)])
    if arguments.plot is not None:
        require_format(arguments.plot)
    _, failures = _runs_of(chosen, arguments, seeds=arguments.seeds or SEEDS)
    # All that is in the folder, of this call and of those before.
    runs = read_runs(arguments.out, known, calls=arguments.calls, prior=arguments.prior)
    order = [*known]
    runs.sort(key=lambda run: (run["objective"], order.index(run["row"]), run["seed"]))
    found = {
        "prior": arguments.prior,
        "calls": arguments.calls,
        "tuned": TUNED,
        "failed": failures,
        "rows": summarise(runs),
    }
    write_result(arguments.out / "summary.json", "moldesign.benchmarks.learning", found)
    if arguments.plot is not None:
        draw_learning(runs, arguments.plot)
    return 1 if failures else 0


def _tune(arguments: argparse.Namespace) -> int:
    name, *choices = arguments.tune
    tried = grid(name, choices)
    runs, failures = _runs_of(tried, arguments, seeds=arguments.seeds or TUNING_SEEDS)
    sys.stdout.write(comparison(runs))
    return 1 if failures else 0


def _runs_of(
    chosen: Mapping[str, Mapping[str, Any]], arguments: argparse.Namespace, *, seeds: Sequence[int]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The figures of these rows with these seeds, run where they are not there yet; and what went wrong."""
    calls, prior = arguments.calls, arguments.prior
    objectives = _split(arguments.objectives)
    tasks = tasks_of(chosen, objectives=objectives, seeds=seeds, calls=calls, prior=prior)
    # Before an hour is spent on what would not compare with what is there.
    read_runs(arguments.out, chosen, calls=calls, prior=prior)
    failures = perform(
        tasks,
        arguments.out,
        jobs=arguments.jobs,
        threads=arguments.threads,
        tell=_tell,
    )
    runs = read_runs(arguments.out, chosen, calls=calls, prior=prior)
    return [run for run in runs if run["objective"] in objectives and run["seed"] in seeds], failures


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs, and of summary.json")
    parser.add_argument("--plot", type=Path, help="figure of the learning curves (.png, .svg, .pdf)")
    parser.add_argument("--estimators", help="rows, between commas; default: all")
    parser.add_argument("--objectives", default=",".join(OBJECTIVES))
    parser.add_argument("--seeds", type=_seeds, help="default: 0,1,2,3,4, for --tune 100,101")
    parser.add_argument("--calls", type=_positive, default=2000, help="oracle calls of a run")
    parser.add_argument("--prior", default="druglike")
    parser.add_argument(
        "--jobs", type=_positive, default=1, help="runs at a time; times are those of a busier machine"
    )
    parser.add_argument("--threads", type=_positive, default=1, help="threads of torch in each run")
    parser.add_argument(
        "--tune",
        nargs="+",
        metavar=("NAME", "KEY=VALUE,VALUE"),
        help="compare settings of one row, and print",
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 1 on")
    return int(text)


def _seeds(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"'{text}': write seeds as 0,1,2")
    return [int(part) for part in parts]


if __name__ == "__main__":
    sys.exit(main())
