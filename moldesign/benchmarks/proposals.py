"""How fast each operator of a search proposes molecules that are valid, new and known chemistry.

Run as `python -m moldesign.benchmarks.proposals --out FILE`; `make bench-proposals` does.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moldesign.assets import prior_path
from moldesign.benchmarks.results import write_result
from moldesign.language.corpus import load
from moldesign.policy.checkpoint import load_policy
from moldesign.policy.policy import Policy
from moldesign.rewards.oracle import Evaluation
from moldesign.search.choices import ORIGINS, Chemistry, Origin
from moldesign.search.proposals import Plan, Proposals

_PLAN = Plan(
    operators={},
    pool=1,
    acquisition=None,
    unscreened=0.0,
    fingerprints=("ecfp4",),
    points=1000,
    max_length=100,
)
#: Molecules that are bred from, which score by chance.
_SCORED = 1000


def measure(
    name: Origin, policy: Policy, corpus: list[str], *, chemistry: Chemistry, n: int, repeats: int, seed: int
) -> dict[str, Any]:
    """New molecules that one operator proposes, of a corpus as the archive, median of several times.

    Args:
        n: molecules asked for at a time.
    """
    plan = replace(_PLAN, operators={name: None}, pool=n, chemistry=chemistry)
    generator = np.random.default_rng(seed)
    chosen = [corpus[i] for i in generator.choice(len(corpus), _SCORED, replace=False)]
    rates, shares = [], []
    for repeat in range(repeats + 1):
        search = Proposals(plan, policy, policy, seed + repeat)
        scores = generator.random(_SCORED).tolist()
        search.take_in(
            Evaluation(smiles, "scored", score) for smiles, score in zip(chosen, scores, strict=True)
        )
        search.propose(1)  # fills the stock, and cuts the first parents
        started = time.perf_counter()
        found = len(search.propose(n))
        rates.append(found / (time.perf_counter() - started))
        shares.append(found / n)
    # The first warms up.
    return {
        "operator": name,
        "chemistry": chemistry,
        "per_second": round(statistics.median(rates[1:])),
        "slowest": round(min(rates[1:])),
        "fastest": round(max(rates[1:])),
        "found": round(statistics.median(shares[1:]), 3),
    }


def main() -> None:
    """Measure every operator, with any chemistry and with known chemistry alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--n", type=int, default=1000, help="molecules asked for at a time")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    policy, corpus = load_policy(prior_path("zinc250k"))[0], load("zinc250k")
    chemistries: tuple[Chemistry, ...] = ("any", "known")
    rows = []
    for chemistry in chemistries:
        for name in ORIGINS:
            rows.append(
                measure(
                    name, policy, corpus, chemistry=chemistry,
                    n=arguments.n, repeats=arguments.repeats, seed=arguments.seed,
                )
            )  # fmt: skip
            sys.stderr.write(f"{rows[-1]}\n")
    facts = {"n": arguments.n, "repeats": arguments.repeats, "threads": arguments.threads, "rows": rows}
    write_result(arguments.out, "moldesign.benchmarks.proposals", facts)


if __name__ == "__main__":
    main()
