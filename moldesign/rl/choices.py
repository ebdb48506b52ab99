"""The estimators by name: what each is, where it is from, and the settings that are its own.

Apart from their code, since a command line that lists them should not wait for torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Choice:
    """An entry of the table.

    Attributes:
        source: the paper.
        settings: the fields of OptimizeSettings that it reads and not all do.
        ignores: the fields that all others read and it does not.
        defaults: of fields, where the estimator's default is not the model's.
        off_policy: whether the drawn rows of its loss may be what an earlier agent drew.
        rehearses: whether remembered molecules alone make a loss, so that it can have replay_rounds.
        replays: whether remembered molecules have a place in the loss.
    """

    description: str
    source: str
    settings: tuple[str, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    ignores: tuple[str, ...] = ()
    off_policy: bool = False
    rehearses: bool = False
    replays: bool = True


_RETURNS = ("baseline", "kl_coefficient")
_GAE = ("gae_gamma", "gae_lambda", "critic_learning_rate", "normalise", "kl_coefficient")
# A replayed molecule is no sample of the policy: by default those that need samples learn from none.
_NO_REPLAY = {"replay_size": 0}

ESTIMATORS: dict[str, Choice] = {
    "dap": Choice(
        "REINVENT's loss: squared distance to the prior's log-likelihood raised by the score",
        "Olivecrona et al. 2017",
        ("sigma",),
        off_policy=True,
        rehearses=True,
    ),
    "reinforce": Choice(
        "score function with a baseline and a KL penalty to the prior; replay by self-imitation",
        "Williams 1992; baselines: docs/estimators.md",
        (*_RETURNS, "reward_to_go", "critic_learning_rate"),
    ),
    "a2c": Choice(
        "advantages of a value head on the recurrent state, by TD(lambda)",
        "Mnih et al. 2016; Schulman et al. 2016",
        _GAE,
        _NO_REPLAY,
    ),
    "ppo": Choice(
        "clipped surrogate, several epochs a batch, stopped early by the KL to where they began",
        "Schulman et al. 2017",
        (*_GAE, "epochs", "clip_ratio", "value_clip", "target_kl"),
        _NO_REPLAY,
    ),
    "trpo": Choice(
        "natural gradient within a trust region of KL, by conjugate gradients and a line search",
        "Schulman et al. 2015",
        (*_GAE, "trust_region", "cg_iterations", "cg_rows", "cg_damping"),
        _NO_REPLAY,
        ("learning_rate", "clip_norm"),
    ),
    "ahc": Choice(
        "Augmented Hill-Climb: dap on the best part of the batch",
        "Thomas et al. 2022",
        ("sigma", "top_share"),
        {"sigma": 60.0, "replay_size": 0},
        off_policy=True,
        rehearses=True,
    ),
    "hill-climb": Choice(
        "likelihood of the best part of the batch",
        "Brown et al. 2019; Neil et al. 2018",
        ("top_share",),
        _NO_REPLAY,
        rehearses=True,
    ),
    "augmented-memory": Choice(
        "dap, then again on the batch and the whole memory, each molecule written in another way",
        "Guo & Schwaller 2024",
        ("sigma",),
        {
            "sigma": 128.0,
            "replay_size": 10,
            "replay_rounds": 2,
            "replay_randomised": True,
            "purge": True,
        },
        off_policy=True,
        rehearses=True,
    ),
    "tb": Choice(
        "trajectory balance: the GFlowNet whose flow is exp(sigma * score), with a learned log Z",
        "Malkin et al. 2022; Kim et al. 2024",
        ("sigma", "log_z_learning_rate", "log_z_start", "reverse_kl_coefficient"),
        {"sigma": 50.0, "replay_weights": "rank", "replay_capacity": 1024, "replay_size": 64},
        off_policy=True,
        rehearses=True,
    ),
    "group": Choice(
        "rewards relative to those of the batch, divided by their standard deviation or not",
        "Shao et al. 2024 (GRPO); Liu et al. 2025",
        ("normalise", "kl_coefficient"),
        {"normalise": True, **_NO_REPLAY},
    ),
    "off-policy": Choice(
        "importance sampling on stored trajectories, with bounded or normalised weights",
        "Precup et al. 2000; Ionides 2008; Espeholt et al. 2018",
        (*_RETURNS, "importance", "importance_cap", "critic_learning_rate"),
        {
            "replay_keep": "recent",
            "replay_weights": "uniform",
            "replay_capacity": 256,
            "replay_size": 64,
        },
        off_policy=True,
    ),
    "without-replacement": Choice(
        "different molecules only, by stochastic beam search; its unbiased estimator has a baseline built in",
        "Kool et al. 2020",
        ("kl_coefficient",),
        _NO_REPLAY,
        replays=False,
    ),
    "rao-blackwell": Choice(
        "sums over the next action by a learned value of each, and samples what that leaves",
        "Gu et al. 2017; Ciosek & Whiteson 2018",
        (*_RETURNS, "critic_learning_rate"),
        _NO_REPLAY,
        replays=False,
    ),
    "exact": Choice(
        "enumerates every sequence: for priors of a few tokens and lengths of a few",
        "the definition of the expectation",
        ("kl_coefficient",),
        {"diversity": False, **_NO_REPLAY},
        ("batch_size", "temperature"),
        replays=False,
    ),
}

#: The fields that some of them read and not all.
SOME = frozenset(name for choice in ESTIMATORS.values() for name in choice.settings)

#: What a setting of that name can be; their code is in `baselines`, `critic` and `importance`.
BASELINES = (
    "none",
    "moving-average",
    "batch-mean",
    "leave-one-out",
    "value",
    "greedy",
    "least-variance",
)
IMPORTANCE = ("truncated", "self-normalised", "per-decision", "v-trace")
