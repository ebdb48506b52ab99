"""Maximum-likelihood training of a policy on a corpus: the prior, or a finetuned one."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
import torch.distributed.nn  # before there is a group: see join_processes
from torch import Tensor, nn

from moldesign.chem import molecules
from moldesign.errors import CheckpointError, NonFiniteTrainingError
from moldesign.language.batches import EncodedCorpus, bucketed_batches
from moldesign.policy.checkpoint import (
    Provenance,
    check_digests,
    digest,
    read_tensors,
    save_policy,
    seal_of,
    write_tensors,
)
from moldesign.policy.policy import Policy
from moldesign.policy.settings import PretrainSettings
from moldesign.policy.validity import drawn_invalid

_MAX_BAD_STEPS = 5


@dataclass
class Progress:
    """Where a training stands: what a checkpoint holds beside the tensors."""

    step: int = 0
    epoch: int = 0
    batch_in_epoch: int = 0
    best_validation_nll: float = math.inf
    epochs_without_gain: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class StepReport:
    """What one step tells whoever watches: loss in nats a token; valid_share of what it drew, if it did."""

    step: int
    total_steps: int
    epoch: int
    loss: float
    learning_rate_share: float
    tokens: int
    tokens_per_second: float
    valid_share: float | None = None


class _Step(NamedTuple):
    """What a gradient step on a batch came to."""

    loss: float  # nats a token
    tokens: int
    valid_share: float | None
    finite: bool  # whether it was taken


def split(count: int, settings: PretrainSettings) -> tuple[np.ndarray, np.ndarray]:
    """Indices (training, validation) of a corpus of `count` molecules, a function of the seed."""
    held_out = min(settings.max_validation, int(count * settings.validation_share))
    order = np.random.default_rng([settings.seed, 1]).permutation(count)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def rate(step: int, total_steps: int, settings: PretrainSettings) -> float:
    """The share of the peak learning rate at a step: linear warm-up, then a cosine to final_fraction.

    The warm-up takes a tenth of a short training, which else would end before it reached the peak.
    """
    warmup = min(settings.warmup_steps, total_steps // 10)
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, total_steps - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return settings.final_fraction + (1 - settings.final_fraction) * cosine


def optimizers(network: nn.Module, settings: PretrainSettings) -> list[torch.optim.Optimizer]:
    """Muon for the recurrent matrices and AdamW for embedding, head and biases; or AdamW for all.

    Muon (Jordan et al. 2024, Muon: an optimizer for hidden layers) replaces the momentum of a
    matrix by its nearest orthogonal one. docs/pretraining.md has the measured difference.
    """
    recurrent: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        matrix = "rnn.weight" in name and settings.optimizer == "muon"
        (recurrent if matrix else rest).append(parameter)
    adamw = torch.optim.AdamW(
        rest,
        lr=settings.adamw_learning_rate,
        betas=(0.9, 0.98),
        weight_decay=settings.weight_decay,
        fused=True,
    )
    if not recurrent:
        return [adamw]
    return [torch.optim.Muon(recurrent, lr=settings.learning_rate, weight_decay=0.0), adamw]


class Pretraining:
    """One training: corpus, policy, optimizers and where they stand.

    Args:
        smiles: the training corpus, cleaned; every token must be in the policy's vocabulary.
        policy: what to train, on its device.
        out: folder of the checkpoint and of the metrics, made if need be.
        provenance: written into every policy file, with steps and validation NLL filled in.

    Raises:
        DataError: an unknown token, with its line.
    """

    def __init__(
        self,
        smiles: Sequence[str],
        policy: Policy,
        settings: PretrainSettings,
        out: Path,
        provenance: Provenance,
    ) -> None:
        self.policy, self.settings, self.out, self.provenance = policy, settings, out, provenance
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        training, validation = split(len(smiles), settings)
        tokenizer = policy.tokenizer
        self._training_smiles = [smiles[i] for i in training] if settings.randomise else []
        self.corpus = EncodedCorpus(
            [tokenizer.encode(smiles[i], line=int(i) + 1) for i in training], len(tokenizer)
        )
        self.validation = EncodedCorpus(
            [tokenizer.encode(smiles[i], line=int(i) + 1) for i in validation], len(tokenizer)
        )
        self._mean_length = self.corpus.token_count / max(1, len(self.corpus))
        self.progress = Progress()
        self.steps_per_epoch = sum(1 for _ in self._epoch_order(0))
        self.total_steps = self.steps_per_epoch * settings.epochs
        self.optimizers = optimizers(policy.network, settings)
        self._peaks = [[group["lr"] for group in o.param_groups] for o in self.optimizers]
        # Dropout masks differ between processes and repeat between runs.
        torch.manual_seed(settings.seed * 1_000_003 + self.rank)

    # -- the loop -----------------------------------------------------------------------------

    def run(
        self,
        *,
        on_step: Callable[[StepReport], None] | None = None,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Progress:
        """Train to the end, to an early stop, or until `should_stop` says so; each leaves a checkpoint.

        Of several processes all leave at the same step, whichever of them should stop.

        Raises:
            NonFiniteTrainingError: several steps in a row with a loss or gradient that is not finite.
        """
        if self.rank == 0:
            self.out.mkdir(parents=True, exist_ok=True)
        self.policy.network.use_dropout(True)
        try:
            return self._run(on_step, on_epoch, should_stop)
        finally:
            self.policy.network.use_dropout(False)

    def _run(
        self,
        on_step: Callable[[StepReport], None] | None,
        on_epoch: Callable[[dict[str, float]], None] | None,
        should_stop: Callable[[], bool] | None,
    ) -> Progress:
        state, settings = self.progress, self.settings
        bad_steps = tokens_seen = 0
        last_save = started = time.monotonic()
        seconds_before = state.seconds
        while state.epoch < settings.epochs and state.epochs_without_gain < settings.patience:
            corpus = self._epoch_corpus(state.epoch)
            self.policy.network.train()
            for position, rows in enumerate(self._epoch_order(state.epoch)):
                if position < state.batch_in_epoch:
                    continue
                scale = rate(state.step, self.total_steps, settings)
                step = self._step(corpus, rows, scale)
                bad_steps = 0 if step.finite else bad_steps + 1
                if bad_steps >= _MAX_BAD_STEPS:
                    raise NonFiniteTrainingError(
                        f"{self.out}: {bad_steps} steps in a row without a finite gradient; "
                        "start again in another folder with smaller learning rates"
                    )
                state.step += 1
                state.batch_in_epoch = position + 1
                state.seconds = seconds_before + time.monotonic() - started
                tokens_seen += step.tokens
                if on_step is not None:
                    speed = tokens_seen / max(1e-9, time.monotonic() - started)
                    on_step(
                        StepReport(
                            step=state.step,
                            total_steps=self.total_steps,
                            epoch=state.epoch + 1,
                            loss=step.loss,
                            learning_rate_share=scale,
                            tokens=step.tokens,
                            tokens_per_second=speed,
                            valid_share=step.valid_share,
                        )
                    )
                wanted = should_stop is not None and should_stop()
                due = time.monotonic() - last_save > 60 * settings.checkpoint_minutes
                # All must save and leave together, or some would wait for the others for ever.
                stop, save = (count > 0 for count in self._sums(wanted, due))
                if stop or save:
                    self.save()
                    last_save = time.monotonic()
                if stop:
                    return state
            self._end_epoch(on_epoch)
            last_save = time.monotonic()
        return state

    def _step(self, corpus: EncodedCorpus, rows: np.ndarray, scale: float) -> _Step:
        """One gradient step on a batch, with every learning rate at a share of its peak."""
        tokens_in_batch = int(corpus.lengths[rows].sum())
        mine = rows[self.rank :: self.world]
        width = int(corpus.lengths[rows].max())
        tokens = corpus.padded(mine) if len(mine) else torch.zeros((1, width), dtype=torch.int64)
        nll = self._nll(self._on_device(tokens))
        # A batch holds molecules of one length. Divided by its own tokens, a short molecule would weigh more
        # than a long one, and the prior would write molecules that are too small.
        unit = 1 / (self.settings.batch_size * self._mean_length)
        loss = nll * unit
        valid_share = None
        begun = self.progress.step >= self.settings.validity_from * self.total_steps
        if self.settings.validity_weight and begun:
            invalid, valid_share = self._invalid()
            if len(invalid):
                loss = loss - self.settings.validity_weight * self._nll(invalid) * unit
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss.backward()
        self._add_gradients()
        norm = nn.utils.clip_grad_norm_(self.policy.network.parameters(), self.settings.clip_norm)
        # Read together: each reading waits for a GPU to end what it was given.
        loss_sum, norm_value = torch.stack([nll.detach(), norm]).tolist()
        # One NaN makes the clipped gradient all NaN: such a step is left out, not taken.
        finite = math.isfinite(norm_value)
        if finite:
            for optimizer, peaks in zip(self.optimizers, self._peaks, strict=True):
                for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                    group["lr"] = peak * scale
                optimizer.step()
        loss_a_token = self._sums(loss_sum)[0] / tokens_in_batch
        return _Step(loss_a_token, tokens_in_batch, valid_share, finite)

    def _on_device(self, tokens: Tensor) -> Tensor:
        """The tokens where the policy is; a GPU is not waited for."""
        device = self.policy.device
        return tokens.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tokens

    def _nll(self, tokens: Tensor) -> Tensor:
        """(B, T) tokens -> the sum of their negative log-likelihoods, differentiable."""
        return -self.policy.log_probs(tokens).sum()

    def _add_gradients(self) -> None:
        """Sum the gradients over the processes, in one message: they are small."""
        if self.world == 1:
            return
        gradients = [p.grad for p in self.policy.network.parameters() if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        for gradient, total in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(total.view_as(gradient))

    def _invalid(self) -> tuple[Tensor, float]:
        """This process's invalid sequences, and its valid share, of as many as a batch has rows.

        What is drawn is a function of the seed, the step and the weights, not of the number of processes.
        """
        size = self.settings.batch_size
        start, stop = (size * rank // self.world for rank in (self.rank, self.rank + 1))
        seed = int(np.random.SeedSequence([self.settings.seed, 4]).generate_state(1, np.uint64)[0])
        first_index = self.progress.step * size + start
        invalid = drawn_invalid(self.policy, stop - start, seed=seed, first_index=first_index)
        return invalid, 1 - len(invalid) / max(1, stop - start)

    def _sums(self, *values: float) -> list[float]:
        """Each value summed over the processes."""
        if self.world == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.policy.device)
        dist.all_reduce(total)
        return [float(value) for value in total]

    def _epoch_order(self, epoch: int) -> Iterator[np.ndarray]:
        generator = np.random.default_rng([self.settings.seed, 2, epoch])
        return bucketed_batches(self.corpus.lengths, self.settings.batch_size, generator)

    def _epoch_corpus(self, epoch: int) -> EncodedCorpus:
        """The training molecules as this epoch writes them.

        Batches are still made by the lengths of the first writing, a function of the seed. A molecule keeps
        that writing where its random SMILES holds a token that the vocabulary lacks.
        """
        if not self.settings.randomise:
            return self.corpus
        tokenizer, rows = self.policy.tokenizer, []
        for i, text in enumerate(self._training_smiles):
            mol = molecules.parse(text)
            seed = int(np.random.SeedSequence([self.settings.seed, 3, epoch, i]).generate_state(1)[0])
            other = text if mol is None else molecules.randomised(mol, seed)
            rows.append(tokenizer.encode(other if tokenizer.knows(other) else text))
        return EncodedCorpus(rows, len(tokenizer))

    def _end_epoch(self, on_epoch: Callable[[dict[str, float]], None] | None) -> None:
        state = self.progress
        nll = self.validation_nll()
        state.epoch += 1
        state.batch_in_epoch = 0
        row = {
            "epoch": float(state.epoch),
            "step": float(state.step),
            "validation_nll": nll,
            "seconds": round(state.seconds, 1),
        }
        state.history.append(row)
        if nll < state.best_validation_nll or not len(self.validation):
            state.best_validation_nll, state.epochs_without_gain = nll, 0
            if self.rank == 0:
                self._save_policy(self.out / "best.safetensors", nll)
        else:
            state.epochs_without_gain += 1
        self.save()
        if on_epoch is not None:
            on_epoch(row)

    def validation_nll(self) -> float:
        """Nats a molecule on the held-out split; NaN if nothing is held out."""
        if not len(self.validation):
            return math.nan
        mine = np.arange(self.rank, len(self.validation), self.world)
        nll = 0.0
        if len(mine):
            tokens = self.validation.padded(mine).to(self.policy.device)
            nll = -float(self.policy.score(tokens).sum(dtype=torch.float64))
        return self._sums(nll)[0] / len(self.validation)

    # -- checkpoints --------------------------------------------------------------------------

    @property
    def _state_path(self) -> Path:
        return self.out / "training.safetensors"

    def _save_policy(self, path: Path, nll: float | None) -> None:
        provenance = self.provenance.model_copy(
            update={"steps": self.progress.step, "validation_nll": nll, "molecules": len(self.corpus)}
        )
        save_policy(self.policy, path, provenance)

    def save(self) -> None:
        """Write everything that the continuation depends on; it is there when any process returns."""
        rng_states = [_generator_state(self.policy.device)]
        if self.world > 1:
            gathered: list[Any] = [None] * self.world
            dist.all_gather_object(gathered, rng_states[0])
            rng_states = gathered
        if self.rank == 0:
            self._write(rng_states)
        self._sums(0.0)  # the others wait for the first

    def _write(self, rng_states: list[dict[str, Tensor]]) -> None:
        tensors = {f"network/{k}": v.contiguous() for k, v in self.policy.network.state_dict().items()}
        for index, optimizer in enumerate(self.optimizers):
            for parameter, slots in optimizer.state_dict()["state"].items():
                for slot, value in slots.items():
                    tensors[f"optimizer/{index}/{parameter}/{slot}"] = torch.as_tensor(value).contiguous()
        for rank, states in enumerate(rng_states):
            for name, value in states.items():
                tensors[f"rng/{rank}/{name}"] = value
        tensors = {name: value.cpu() for name, value in tensors.items()}
        meta = {
            **self._identity(),
            "progress": json.dumps(asdict(self.progress)),
            "digests": json.dumps({name: digest(value) for name, value in tensors.items()}),
        }
        write_tensors(self._state_path, tensors, {**meta, "sha256": seal_of(meta)})

    def _identity(self) -> dict[str, str]:
        """What a continuation must share with the training that it continues."""
        vocabulary = "\n".join(self.policy.tokenizer.vocabulary)
        return {
            "settings": self.settings.model_dump_json(),
            "architecture": self.policy.network.architecture.model_dump_json(),
            "corpus": self.provenance.corpus_sha256,
            "vocabulary": hashlib.sha256(vocabulary.encode()).hexdigest(),
            "number of processes": str(self.world),
        }

    def resume(self) -> None:
        """Take up the checkpoint in `out`; the continuation equals the run that was never interrupted.

        Raises:
            CheckpointError: none there, damaged, or of other settings, corpus or number of processes.
        """
        path = self._state_path
        tensors, meta = read_tensors(path)
        identity = self._identity()
        if not meta.keys() >= {*identity, "progress", "digests", "sha256"}:
            raise CheckpointError(f"{path}: not the checkpoint of a training, or of another version")
        if meta.pop("sha256") != seal_of(meta):
            raise CheckpointError(f"{path}: the header is not what was saved; start again")
        check_digests(path, tensors, json.loads(meta["digests"]))
        for what, mine in identity.items():
            if meta[what] != mine:
                raise CheckpointError(
                    f"{path}: belongs to another training: {_difference(what, meta[what], mine)}"
                )
        if self.rank == 0:
            for stale in self.out.glob(".tmp-*"):
                stale.unlink(missing_ok=True)
        self.progress = Progress(**json.loads(meta["progress"]))
        prefix = "network/"
        self.policy.network.load_state_dict(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
        for index, optimizer in enumerate(self.optimizers):
            content = optimizer.state_dict()
            slots: dict[int, dict[str, Tensor]] = {}
            for name, value in tensors.items():
                parts = name.split("/")
                if parts[0] == "optimizer" and int(parts[1]) == index:
                    slots.setdefault(int(parts[2]), {})[parts[3]] = value
            content["state"] = slots
            optimizer.load_state_dict(content)
        torch.set_rng_state(tensors[f"rng/{self.rank}/cpu"])
        if f"rng/{self.rank}/cuda" in tensors:
            torch.cuda.set_rng_state(tensors[f"rng/{self.rank}/cuda"], self.policy.device)


def _difference(what: str, theirs: str, mine: str) -> str:
    """What differs between a checkpoint and the training that would take it up, in words."""
    if what in ("settings", "architecture"):
        old, new = json.loads(theirs), json.loads(mine)
        name = next(name for name in {**old, **new} if old.get(name) != new.get(name))
        return f"its {name} is {old.get(name)}, not {new.get(name)}"
    return f"its {what} is another"


def _generator_state(device: torch.device) -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def join_processes() -> int:
    """Join the group that torchrun started, if one did; the local rank (0 without a group).

    torch.distributed.nn, which the optimizers import at their first step, keeps the group of the moment
    in its default arguments. Imported with one there, it would keep it beyond destroy_process_group, and
    the threads of gloo, alive at the end of the interpreter, abort the process now and then (torch 2.13).
    So it is imported before.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return 0
    local_rank = int(os.environ["LOCAL_RANK"])
    if torch.cuda.is_available():
        # Collectives on objects use the current device, which is the first one in every process.
        torch.cuda.set_device(local_rank)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return local_rank
