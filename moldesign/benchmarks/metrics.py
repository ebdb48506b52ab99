"""What is measured on a prior: the JSON file beside it, and what its card is written from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from moldesign.benchmarks.generation import Quality
from moldesign.errors import DataError
from moldesign.policy.checkpoint import Provenance, StoragePrecision
from moldesign.policy.settings import Architecture, PretrainSettings


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Epoch(_Model):
    """One pass over the corpus, as the training's checkpoint has it."""

    epoch: int
    step: int
    validation_nll: float = Field(description="Nats a molecule on the held-out split.")
    seconds: float = Field(description="Since the beginning of the training.")


class Training(_Model):
    """How the prior was trained."""

    settings: PretrainSettings
    epochs: list[Epoch]
    seconds: float
    finished: bool = Field(description="Whether it ran all its epochs or stopped for want of a gain.")
    curve: list[tuple[int, float]] = Field(description="Step and mean loss up to it, nats a token.")


class Storage(_Model):
    """In which precision the prior is stored, and what rounding to half precision changes."""

    precision: StoragePrecision
    difference: float = Field(description="Mean |change of a token's log-likelihood|, nats.")
    molecules: int = Field(description="Held-out molecules that it was measured on.")


class Likelihood(_Model):
    """Mean negative log-likelihoods under the stored prior, nats a molecule."""

    held_out: float
    training: float
    samples: float
    tokens: float = Field(description="Mean tokens of a held-out molecule, the end token included.")


class PropertySummary(_Model):
    """A property of generated molecules beside that of as many from the training split."""

    mean: float
    deviation: float
    corpus_mean: float
    corpus_deviation: float
    distance: float = Field(description="Wasserstein distance, in units of the property.")
    floor: float = Field(description="The same between two real samples of that size.")


class FrechetComparison(_Model):
    """A Fréchet ChemNet Distance, and that of real molecules in the same numbers."""

    generated: int
    reference: int
    distance: float
    floor: float

    @property
    def excess(self) -> float:
        return self.distance - self.floor


class Frechet(_Model):
    """FCD of the prior; each floor puts real training molecules in the place of the generated ones."""

    held_out: FrechetComparison
    training: FrechetComparison


class PriorMetrics(_Model):
    """All that a model card says."""

    name: str
    architecture: Architecture
    parameters: int
    vocabulary: int
    provenance: Provenance
    training: Training
    held_out: int = Field(description="Molecules of the corpus that the training did not see.")
    storage: Storage
    size: int = Field(description="Bytes of the prior's file.")
    sha256: str = Field(description="Of the prior's file.")
    seed: int
    quality: Quality
    likelihood: Likelihood
    compared: int = Field(description="Valid samples, and as many corpus molecules, in the properties.")
    properties: dict[str, PropertySummary]
    fcd: Frechet | None
    seconds: float = Field(description="What these measurements took.")
    environment: dict[str, Any]


def read_metrics(path: Path) -> PriorMetrics:
    """The metrics in a JSON file.

    Raises:
        DataError: not there, or of another version.
    """
    try:
        return PriorMetrics.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); name the folder of the training with --training-dir"
        ) from None
    except ValidationError:
        raise DataError(
            f"{path}: not the metrics of a prior, or of another version; "
            "name the folder of the training with --training-dir"
        ) from None
