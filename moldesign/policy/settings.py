"""The settings of a network and of its training, a sentence each; no torch, so that --help is quick."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Architecture(BaseModel):
    """The shape of the network."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    cell: Literal["gru", "lstm"] = Field("gru", description="Recurrent cell.")
    layers: int = Field(3, ge=1, le=16, description="Recurrent layers.")
    hidden_size: int = Field(512, ge=1, le=8192, description="Units of a layer.")
    embedding_size: int = Field(256, ge=1, le=8192, description="Width of the token embedding.")
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="Dropout between layers, while pretraining.")


class PretrainSettings(BaseModel):
    """How a policy learns a corpus by heart, but not too well."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    epochs: int = Field(10, ge=1, description="Passes over the corpus.")
    batch_size: int = Field(256, ge=1, description="Molecules a gradient step, over all processes.")
    optimizer: Literal["muon", "adamw"] = Field(
        "muon",
        description="muon: orthogonal momentum of recurrent matrices, AdamW for the rest; adamw: for all.",
    )
    learning_rate: float = Field(0.015, gt=0, description="Peak rate of the recurrent matrices under muon.")
    adamw_learning_rate: float = Field(2e-3, gt=0, description="Peak rate of all that AdamW updates.")
    weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay of AdamW.")
    warmup_steps: int = Field(
        100, ge=0, description="Steps of linear warm-up before the cosine decay; at most a tenth of all."
    )
    final_fraction: float = Field(
        0.0, ge=0, le=1, description="Share of the peak rate that is left at the end."
    )
    clip_norm: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    randomise: bool = Field(False, description="Draw a new random SMILES of each molecule every epoch.")
    validity_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of the policy gradient of P(valid) beside the likelihood.",
    )
    validity_from: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="Share of the training before that gradient begins: an untrained policy draws noise.",
    )
    validation_share: float = Field(0.02, ge=0, lt=0.5, description="Share of the corpus held out.")
    max_validation: int = Field(5000, ge=1, description="Held-out molecules at most.")
    patience: int = Field(
        3, ge=1, description="Epochs without a better validation NLL before it stops early."
    )
    checkpoint_minutes: float = Field(5.0, gt=0, description="Minutes between checkpoints inside an epoch.")
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of weights, split, order and randomisation.")
