"""Policies as files: safetensors with the architecture, vocabulary and provenance in the header."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from moldesign.errors import CheckpointError, ResourceError
from moldesign.files import atomic_write
from moldesign.language.tokenizer import Tokenizer
from moldesign.policy.formats import check_safetensors, strict_json
from moldesign.policy.network import Network
from moldesign.policy.policy import Policy
from moldesign.policy.settings import Architecture

_SCHEMA = 1
_KEY = "moldesign-policy"

StoragePrecision = Literal["float32", "float16"]


class Provenance(BaseModel):
    """Where a policy comes from: what a model card needs and what makes a run repeatable."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("", description="The name of the prior.")
    corpora: list[str] = Field(default_factory=list, description="Names or paths of what it was trained on.")
    column: str | None = Field(None, description="The SMILES column of those that are tables.")
    corpus_sha256: str = Field("", description="SHA-256 of the training SMILES, one a line.")
    corpus_licence: str = Field("", description="Licence of the corpora.")
    molecules: int = Field(0, description="Molecules trained on.")
    command: str = Field("", description="The command line that made it.")
    seed: int | None = Field(None, description="The seed of the training.")
    steps: int = Field(0, description="Gradient steps taken.")
    validation_nll: float | None = Field(None, description="Nats a molecule on the held-out split.")
    versions: dict[str, str] = Field(default_factory=dict, description="Package versions.")
    machine: str = Field("", description="Processor and threads.")
    moldesign: str = Field("", description="Version of moldesign.")
    parent: Provenance | None = Field(None, description="The prior that the training began from, if any.")

    def lineage(self) -> list[Provenance]:
        """This provenance and those of all that it was trained from, the oldest first."""
        return [*(self.parent.lineage() if self.parent else []), self]


class _Header(BaseModel):
    """The metadata of a policy file."""

    model_config = ConfigDict(extra="forbid")

    schema_version: int
    architecture: Architecture
    vocabulary: list[str]
    provenance: Provenance
    sha256: dict[str, str]
    # A field, and not a second entry of the metadata: those stand in no fixed order in a file.
    seal: str = Field("", description="SHA-256 of the rest of the header; empty in older files.")


def digest(tensor: Tensor) -> str:
    """The SHA-256 of a tensor's bytes."""
    data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(data.numpy().data).hexdigest()


def seal_of(facts: Mapping[str, Any]) -> str:
    """The SHA-256 of facts in JSON, in which order they may stand."""
    return hashlib.sha256(json.dumps(dict(facts), sort_keys=True).encode()).hexdigest()


def check_digests(path: Path, tensors: Mapping[str, Tensor], digests: Mapping[str, str]) -> None:
    """Raise CheckpointError unless each tensor is the one that was saved."""
    for name, tensor in tensors.items():
        if digests.get(name) != digest(tensor):
            raise CheckpointError(f"{path}: tensor {name} is not what was saved; copy or download it again")


def save_policy(
    policy: Policy, path: Path, provenance: Provenance, *, precision: StoragePrecision = "float32"
) -> None:
    """Write the policy to one file, whole or not at all.

    Raises:
        ResourceError: it cannot be written.
    """
    dtype = {"float32": torch.float32, "float16": torch.float16}[precision]
    tensors = {
        name: tensor.detach().to("cpu", dtype).contiguous()
        for name, tensor in policy.network.state_dict().items()
    }
    header = _Header(
        schema_version=_SCHEMA,
        architecture=policy.network.architecture,
        vocabulary=list(policy.tokenizer.vocabulary),
        provenance=provenance,
        sha256={name: digest(tensor) for name, tensor in tensors.items()},
    )
    header.seal = seal_of(json.loads(header.model_dump_json(exclude={"seal"})))
    write_tensors(path, tensors, {_KEY: header.model_dump_json()})


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    """Write a safetensors file, whole or not at all; its SHA-256.

    Raises:
        ResourceError: it cannot be written.
    """
    content = save(tensors, metadata)
    try:
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise ResourceError(f"{path}: cannot be written ({error.strerror or error})") from None
    return hashlib.sha256(content).hexdigest()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file, and nothing that could run code.

    Raises:
        CheckpointError: not there, truncated, or of another format.
    """
    with _opened(path) as handle:
        # Copies: what is mapped from a file changes with the file.
        tensors = {name: handle.get_tensor(name).clone() for name in handle.keys()}  # noqa: SIM118
        return tensors, handle.metadata() or {}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if path.exists() and not path.is_file():  # a pipe would be waited at for ever
        raise CheckpointError(f"{path}: is no file but a folder, a pipe or a device")
    try:
        check_safetensors(path)
        with safe_open(path, framework="pt") as handle:
            yield handle
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except (SafetensorError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"{path}: not a whole safetensors file ({reason}); copy or download it again"
        ) from None


def _header(path: Path, metadata: dict[str, str]) -> _Header:
    text = metadata.get(_KEY)
    if text is None:
        raise CheckpointError(f"{path}: a safetensors file, but not a moldesign policy")
    try:
        facts = strict_json(text)
        version = facts.get("schema_version")
        if version != _SCHEMA:
            raise CheckpointError(
                f"{path}: written in schema {version}, this version reads {_SCHEMA}; upgrade moldesign"
            )
        header = _Header.model_validate_json(text)
    except (ValueError, AttributeError, RecursionError):  # of JSON, and of the model
        raise CheckpointError(f"{path}: the policy's header is damaged; copy or download it again") from None
    # Of the facts as they were read: a later version's model may fill in more.
    if facts.pop("seal", "") not in ("", seal_of(facts)):
        raise CheckpointError(f"{path}: the header is not what was saved; copy or download it again")
    return header


def read_provenance(path: Path) -> tuple[Architecture, list[str], Provenance]:
    """Architecture, vocabulary and provenance of a policy file, without reading its weights.

    Raises:
        CheckpointError: as load_policy.
    """
    with _opened(path) as handle:
        metadata = handle.metadata() or {}
    header = _header(path, metadata)
    return header.architecture, header.vocabulary, header.provenance


def load_policy(path: Path, *, device: torch.device | str = "cpu") -> tuple[Policy, Provenance]:
    """The policy in a file, its weights in float32, checked against their SHA-256.

    Raises:
        CheckpointError: not there, truncated, altered, of another format or schema.
    """
    tensors, metadata = read_tensors(path)
    header = _header(path, metadata)
    check_digests(path, tensors, header.sha256)
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{path}: tensor {name} holds NaN or infinity: its training has diverged")
    try:
        tokenizer = Tokenizer(header.vocabulary)
        with torch.device("meta"):
            network = Network(header.architecture, len(tokenizer))
        weights: dict[str, Any] = {name: tensor.float() for name, tensor in tensors.items()}
        network.load_state_dict(weights, assign=True)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path}: weights and header do not fit ({reason})") from None
    network.requires_grad_(True)
    return Policy(network, tokenizer).to(device), header.provenance
