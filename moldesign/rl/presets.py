"""Settings that belong together, by name: ways of optimising, ours and those of others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moldesign.errors import UsageError, nearest

#: What the command line takes where neither flags nor a configuration name a preset or an estimator.
DEFAULT = "efficient"

#: Name -> what it is, and its settings. What is left out has the default of its estimator.
PRESETS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "efficient": (
        "fewest oracle calls: several operators propose, a Gaussian process chooses, trajectory balance on "
        "ranked replay learns",
        {
            "estimator": "tb",
            "operators": "policy,prefix,crossover,recombination,graft,edit,ring",
            "chemistry": "known",
            "acquisition": "ucb",
            "boldness": 5.0,
            "pool_size": 190,
            "generations": 6,
            "brood_size": 100,
            "family_size": 10,
            "island_after": 250,
            "unscreened": 0.05,
            "batch_size": 64,
            "batch_growth": 0.05,
            "learning_rate": 1e-3,
            "sigma": 100.0,
            "replay_size": 0,
            "replay_rounds": 2,
            "replay_batch": 32,
            "replay_randomised": True,
        },
    ),
    "reinvent": (
        "REINVENT as PMO has it: DAP with sigma 500 and replay of 24 of the 100 best (Gao et al. 2022)",
        # PMO's own ends after 5 steps, which is the end of those that have found nothing yet; without any end
        # one that has collapsed goes on writing what it wrote before.
        {"estimator": "dap", "diversity": False, "patience": 50},
    ),
    "genetic-gfn": (
        "trajectory balance on ranked replay, a fifth of the molecules children of good ones "
        "(Kim et al. 2024)",
        {
            "estimator": "tb",
            # So far below what it comes to, the first steps raise the likelihood of all that is replayed.
            "log_z_start": 5.0,
            "operators": "policy:4,crossover:1",
            "pool_size": 80,
            "batch_size": 80,
            "replay_size": 0,
            "replay_rounds": 8,
            "replay_batch": 64,
            "replay_repeats": True,
            "reverse_kl_coefficient": 0.001,
            "diversity": False,
        },
    ),
    "gp-bo": (
        "a genetic algorithm whose children a Gaussian process chooses; the policy writes the first "
        "molecules and learns nothing (Tripp et al. 2021)",
        {
            "estimator": "dap",
            "learning_rate": 1e-12,
            "operators": "crossover,edit",
            "pool_size": 300,
            "generations": 4,
            "acquisition": "ucb",
            "unscreened": 0.0,
            "surrogate_properties": "0",
            "surrogate_targets": "scores",
            "replay_size": 0,
            "diversity": False,
        },
    ),
}


def settings_of(name: str) -> dict[str, Any]:
    """The settings of a preset.

    Raises:
        UsageError: there is none of that name; the nearest is named.
    """
    if name not in PRESETS:
        raise UsageError(f"unknown preset '{name}'{nearest(name, PRESETS)}; there are {', '.join(PRESETS)}")
    return dict(PRESETS[name][1])
