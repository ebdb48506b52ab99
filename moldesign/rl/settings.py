"""The settings of a run, one sentence each: command line, TOML and Python share them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from moldesign.errors import UsageError, nearest
from moldesign.rl.choices import BASELINES, ESTIMATORS, IMPORTANCE, SOME
from moldesign.search.choices import (
    ACQUISITIONS,
    SURROGATE_KINDS,
    Chemistry,
    operator_shares,
    property_shares,
)
from moldesign.settings import build

_DEFAULT_BUDGET = 10_000


class OptimizeSettings(BaseModel):
    """How the agent is steered, and when it stops: at whichever limit comes first."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    budget: int | None = Field(
        None,
        ge=1,
        description="Oracle calls (10,000 if nothing else ends the run); a call is a new molecule.",
    )
    max_steps: int | None = Field(None, ge=1, description="Gradient steps at most.")
    max_hours: float | None = Field(None, gt=0, description="Hours at most.")
    target: float | None = Field(None, description="Stop when the mean score of the ten best reaches this.")
    patience: int | None = Field(
        None, ge=1, description="Stop when the mean of the 100 best has not risen for so many steps."
    )
    estimator: str = Field("dap", description="The gradient estimator (`moldesign estimators`).")
    batch_size: int = Field(64, ge=1, le=65536, description="Molecules drawn a step.")
    learning_rate: float = Field(5e-4, gt=0, description="Adam's learning rate.")
    clip_norm: float = Field(100.0, gt=0, description="Largest norm of the gradient.")
    sigma: float = Field(
        500.0, ge=0, description="dap, ahc, augmented-memory, tb: nats that a score of 1 adds to the target."
    )
    top_share: float = Field(
        0.5, gt=0, le=1, description="ahc, hill-climb: share of the batch that is learned from."
    )
    baseline: str = Field(
        "leave-one-out",
        description="reinforce, off-policy, rao-blackwell: what is subtracted from the reward.",
    )
    reward_to_go: bool = Field(
        False, description="reinforce: an action answers for what is earned from it on, not for the whole."
    )
    kl_coefficient: float = Field(
        0.002, ge=0, description="Score-function estimators: reward lost for each nat of KL to the prior."
    )
    normalise: bool = Field(
        False, description="a2c, ppo, trpo, group: divide advantages by their standard deviation."
    )
    gae_gamma: float = Field(1.0, gt=0, le=1, description="a2c, ppo, trpo: discount of a later reward.")
    gae_lambda: float = Field(
        0.95, ge=0, le=1, description="a2c, ppo, trpo: 0 trusts the critic, 1 what was earned."
    )
    critic_learning_rate: float = Field(1e-3, gt=0, description="Adam's learning rate of the critic.")
    epochs: int = Field(4, ge=1, description="ppo: steps on each batch at most.")
    clip_ratio: float = Field(0.2, gt=0, description="ppo: how far a probability ratio is followed.")
    value_clip: float | None = Field(
        None, gt=0, description="How far the values of a critic may move on a batch."
    )
    target_kl: float | None = Field(
        0.03,
        gt=0,
        description="ppo: KL to where the batch was drawn, in nats an action, that ends its epochs.",
    )
    trust_region: float = Field(0.003, gt=0, description="trpo: KL of a step at most, in nats an action.")
    cg_iterations: int = Field(8, ge=1, description="trpo: iterations of conjugate gradients.")
    cg_rows: int = Field(16, ge=1, description="trpo: rows of the batch that the Fisher matrix is of.")
    cg_damping: float = Field(0.01, ge=0, description="trpo: of the identity, added to the Fisher matrix.")
    log_z_learning_rate: float = Field(0.1, gt=0, description="tb: learning rate of log Z.")
    log_z_start: float | None = Field(
        None, description="tb: log Z at first; default: where the loss of the first batch is least."
    )
    importance: str = Field(
        "truncated", description="off-policy: how the weight of a stored trajectory is made."
    )
    importance_cap: float = Field(2.0, gt=0, description="off-policy: the largest weight.")
    entropy_coefficient: float = Field(0.0, ge=0, description="Reward for each nat of the policy's entropy.")
    reverse_kl_coefficient: float = Field(
        0.0, ge=0, description="Loss for each nat of KL(policy || prior), summed over the next action."
    )
    forward_kl_coefficient: float = Field(
        0.0, ge=0, description="Loss for each nat of KL(prior || policy), summed over the next action."
    )
    likelihood_coefficient: float = Field(
        0.0,
        ge=0,
        description="Loss for molecules that the policy is sure of: times mean -1 / log-likelihood.",
    )
    max_length: int = Field(140, ge=1, le=10_000, description="Tokens of a molecule at most.")
    replay_capacity: int = Field(100, ge=0, description="Molecules that are remembered.")
    replay_size: int = Field(24, ge=0, description="Remembered molecules that join each step; 0: no replay.")
    replay_keep: Literal["best", "recent"] = Field("best", description="Which molecules are remembered.")
    replay_weights: Literal["reward", "rank", "uniform"] = Field(
        "reward", description="What makes a remembered molecule likely to join a step."
    )
    replay_repeats: bool = Field(False, description="Let a remembered molecule join a step several times.")
    replay_randomised: bool = Field(
        False, description="Write remembered molecules in another way whenever they join."
    )
    replay_rounds: int = Field(
        0, ge=0, description="Further steps on the batch and all that is remembered, after each step."
    )
    replay_batch: int | None = Field(
        None, ge=1, description="Remembered molecules of each further step; all, and the batch, if left out."
    )
    purge: bool = Field(
        False, description="Forget remembered molecules of a scaffold that no longer earns anything."
    )
    diversity: bool = Field(
        True,
        description="Discount scaffolds found often already; a search leaves out those that earn nothing.",
    )
    bucket_size: int = Field(
        25, ge=1, description="Good molecules of a scaffold after which it earns nothing."
    )
    diversity_min_score: float = Field(
        0.4, description="Score from which a molecule counts for its scaffold."
    )
    temperature: float = Field(
        1.0,
        gt=0,
        description="Temperature of drawing; other than 1 it biases what needs samples of the policy.",
    )
    operators: str = Field(
        "policy",
        description="What proposes molecules; with shares: edit:4,ring:1.",
    )
    pool_size: int = Field(
        1000, ge=1, le=100_000, description="Proposals a step, if not of the policy alone."
    )
    generations: int = Field(
        0, ge=0, le=100, description="How often children of what the surrogate wants join them."
    )
    brood_size: int = Field(
        300, ge=1, le=100_000, description="Molecules that a generation is bred from: those wanted most."
    )
    family_size: int = Field(
        0, ge=0, description="Molecules of a scaffold that are bred from at most; 0: any number."
    )
    island_after: int = Field(
        0, ge=0, description="Calls without gain after which a search begins anew; 0: never."
    )
    acquisition: str = Field(
        "none",
        description="What chooses: none, greedy, ucb, improvement, thompson, information, random.",
    )
    boldness: float = Field(
        1.0, gt=0, description="Deviations that ucb adds to the mean at most; a hundredth at least."
    )
    unscreened: float = Field(
        0.15,
        ge=0,
        le=1,
        description="Share of a batch that is the policy's own, whatever the surrogate says.",
    )
    fingerprints: str = Field(
        "ecfp4", description="What the surrogate sees of molecules, in a list like ecfp6,fcfp4."
    )
    surrogate_properties: str = Field(
        "0,0.75", description="What size and polarity have of its kernel; one kernel each of a list."
    )
    surrogate_targets: Literal["scores", "ranks", "both"] = Field(
        "both", description="What of the scores the surrogate looks at."
    )
    surrogate_points: int = Field(
        4000, ge=8, le=20_000, description="Molecules that the surrogate is made of at most."
    )
    chemistry: Chemistry = Field(
        "any",
        description="known: a search proposes what known molecules are made of; strict: alerts score 0 too.",
    )
    batch_growth: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the calls so far that a batch may have, 8 at least; 0: batch_size.",
    )
    overlap: bool = Field(
        False,
        description="Draw the next batch and hand it to the scorers before this one is learned from.",
    )
    checkpoint_minutes: float = Field(
        5.0, ge=0, description="Minutes between checkpoints, from which `resume` goes on."
    )
    workers: str = Field(
        "1",
        description="Processes that score, or the address of a Dask scheduler; 1: within this process.",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of everything random in the run.")

    @field_validator("workers", mode="before")
    @classmethod
    def _number_or_address(cls, workers: Any) -> str:
        text = str(workers)
        if text.isdecimal() and 1 <= int(text) <= 256 and not isinstance(workers, bool):
            return text
        if "://" in text or text.endswith(".json"):
            return text
        raise ValueError("should be 1 to 256, or an address such as tcp://host:8786")

    @field_validator("baseline")
    @classmethod
    def _known_baseline(cls, name: str) -> str:
        return _one_of(name, BASELINES)

    @field_validator("acquisition")
    @classmethod
    def _known_acquisition(cls, name: str) -> str:
        return _one_of(name, ("none", *ACQUISITIONS))

    @field_validator("operators")
    @classmethod
    def _known_operators(cls, names: str) -> str:
        shares = operator_shares(names)
        return ",".join(name if share is None else f"{name}:{share:g}" for name, share in shares.items())

    @field_validator("fingerprints")
    @classmethod
    def _known_fingerprints(cls, names: str) -> str:
        return _some_of(names, SURROGATE_KINDS)

    @field_validator("surrogate_properties", mode="before")
    @classmethod
    def _known_shares(cls, shares: Any) -> str:
        return ",".join(f"{share:g}" for share in property_shares(str(shares)))

    @field_validator("importance")
    @classmethod
    def _known_importance(cls, name: str) -> str:
        return _one_of(name, IMPORTANCE)

    @classmethod
    def of(cls, **values: Any) -> OptimizeSettings:
        """The settings with these values; the rest at the estimator's defaults, or else at their own.

        Raises:
            UsageError: an unknown setting or estimator (the nearest is named), a value out of range,
                overlap with an estimator that needs what the present agent draws, or replay_rounds with one
                that learns nothing from remembered molecules alone.
        """
        name = values.get("estimator", cls.model_fields["estimator"].default)
        if name not in ESTIMATORS:
            raise UsageError(
                f"unknown estimator '{name}'{nearest(str(name), ESTIMATORS)}; see `moldesign estimators`"
            )
        chosen = ESTIMATORS[name]
        settings = build(cls, {**chosen.defaults, **values})
        if settings.overlap and not chosen.off_policy:
            others = ", ".join(other for other, choice in ESTIMATORS.items() if choice.off_policy)
            raise UsageError(
                f"overlap: '{name}' learns from what the present agent draws, not from a batch "
                f"drawn a step before; leave overlap out, or choose an estimator that allows it: {others}"
            )
        if settings.replay_size and not chosen.replays:
            raise UsageError(f"replay_size: '{name}' learns from what it draws alone; leave it out")
        if settings.replay_randomised and "importance" in chosen.settings:
            raise UsageError(
                f"replay_randomised: '{name}' weighs a SMILES by the policy that wrote it, "
                "and none wrote another; leave it out"
            )
        if settings.replay_rounds and not chosen.rehearses:
            others = ", ".join(other for other, choice in ESTIMATORS.items() if choice.rehearses)
            raise UsageError(
                f"replay_rounds: '{name}' learns nothing from remembered molecules alone; "
                f"leave it out, or choose an estimator that does: {others}"
            )
        if settings.searches and not chosen.rehearses:
            others = ", ".join(other for other, choice in ESTIMATORS.items() if choice.rehearses)
            raise UsageError(
                f"operators, acquisition: '{name}' learns from what it draws alone; "
                f"leave them out, or choose an estimator that learns from any molecule: {others}"
            )
        if settings.searches and settings.pool_size < settings.batch_size:
            raise UsageError(
                f"pool_size: {settings.pool_size} proposals cannot fill a batch of {settings.batch_size}; "
                "raise it, or lower batch_size"
            )
        if settings.budget is None and settings.max_steps is None and settings.max_hours is None:
            settings = settings.model_copy(update={"budget": _DEFAULT_BUDGET})
        return settings

    @property
    def searches(self) -> bool:
        """Whether anything but the policy proposes or chooses molecules."""
        return (
            self.operators.partition(":")[0] != "policy"
            or "," in self.operators
            or self.acquisition != "none"
        )

    def unread(self) -> list[str]:
        """The settings at something else than their default that change nothing beside the others."""
        chosen = ESTIMATORS[self.estimator]
        idle = {*chosen.ignores, *(SOME.difference(chosen.settings))}
        if "importance" in chosen.settings and self.importance == "v-trace":
            idle.add("baseline")
        if not self.searches:
            idle |= {"pool_size", "batch_growth", "family_size", "island_after"}
            if self.chemistry == "known":
                idle.add("chemistry")
        if self.acquisition == "none":
            idle |= {
                "unscreened", "boldness", "fingerprints", "generations",
                "surrogate_points", "surrogate_properties", "surrogate_targets",
            }  # fmt: skip
        if not self.generations or self.acquisition == "none":
            idle.add("brood_size")
        if not self.replay_rounds:
            idle.add("replay_batch")
        if not self.diversity:
            idle |= {"purge", "bucket_size", "diversity_min_score"}
        plain = OptimizeSettings.of(estimator=self.estimator)
        return [name for name in sorted(idle) if getattr(self, name) != getattr(plain, name)]


def _some_of(text: str, names: Sequence[str]) -> str:
    """A list of names, without blanks and each once."""
    return ",".join(dict.fromkeys(_one_of(part.strip(), names) for part in text.split(",")))


def _one_of(name: str, names: Sequence[str]) -> str:
    if name not in names:
        raise ValueError(f"should be one of {', '.join(names)}")
    return name
