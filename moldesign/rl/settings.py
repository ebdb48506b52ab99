"""The settings of a run, one sentence each: command line, TOML and Python share them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

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
    estimator: Literal["dap", "reinforce"] = Field("dap", description="The gradient estimator.")
    batch_size: int = Field(64, ge=1, le=65536, description="Molecules drawn a step.")
    learning_rate: float = Field(5e-4, gt=0, description="Adam's learning rate.")
    clip_norm: float = Field(100.0, gt=0, description="Largest norm of the gradient.")
    sigma: float = Field(
        500.0, ge=0, description="dap: nats that a score of 1 adds to the prior's likelihood."
    )
    baseline: Literal["none", "moving-average", "leave-one-out"] = Field(
        "leave-one-out", description="reinforce: what is subtracted from the reward."
    )
    kl_coefficient: float = Field(
        0.002, ge=0, description="reinforce: reward lost for each nat of KL to the prior."
    )
    replay_capacity: int = Field(100, ge=0, description="Best molecules that are remembered.")
    replay_size: int = Field(24, ge=0, description="Remembered molecules that join each step; 0: no replay.")
    diversity: bool = Field(True, description="Discount molecules of scaffolds found often already.")
    bucket_size: int = Field(
        25, ge=1, description="Good molecules of a scaffold after which it earns nothing."
    )
    diversity_min_score: float = Field(
        0.4, description="Score from which a molecule counts for its scaffold."
    )
    temperature: float = Field(1.0, gt=0, description="Temperature of drawing.")
    overlap: bool = Field(
        False,
        description="Draw the next batch and hand it to the scorers before this one is learned from.",
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

    @classmethod
    def of(cls, **values: Any) -> OptimizeSettings:
        """The settings with these values; the rest at their defaults.

        Raises:
            UsageError: an unknown setting (the nearest is named) or a value out of range.
        """
        settings = build(cls, values)
        if settings.budget is None and settings.max_steps is None and settings.max_hours is None:
            settings = settings.model_copy(update={"budget": _DEFAULT_BUDGET})
        return settings
