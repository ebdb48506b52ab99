"""A training as a user starts it: corpora by name, a folder, and a prior at the end."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import platform
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
import torch.distributed as dist

import moldesign
from moldesign.assets import corpora as known_corpora
from moldesign.assets import corpus_path, prior_path
from moldesign.errors import CheckpointError, DataError
from moldesign.files import atomic_write, write_error
from moldesign.language import corpus
from moldesign.language.reading import MoleculeFile
from moldesign.language.tokenizer import PAD_INDEX, Tokenizer
from moldesign.policy.board import summary_writer
from moldesign.policy.checkpoint import Provenance, StoragePrecision, load_policy, save_policy
from moldesign.policy.policy import Policy
from moldesign.policy.pretraining import Pretraining, Progress, StepReport, join_processes
from moldesign.policy.settings import Architecture, PretrainSettings
from moldesign.text import without_secrets

#: Nats a token that half precision may change a log-likelihood by, on average, before it is refused.
HALF_PRECISION_TOLERANCE = 1e-3
_CHECKED_MOLECULES = 2000
_STEPS_A_ROW = 20


def train(
    *,
    corpora: Sequence[str],
    settings: PretrainSettings,
    out: Path,
    architecture: Architecture | None = None,
    start: str | None = None,
    column: str | None = None,
    name: str | None = None,
    licence: str = "",
    resume: bool = False,
    tensorboard: bool = False,
    on_step: Callable[[StepReport], None] | None = None,
    say: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train a policy on corpora, from nothing (`architecture`) or from a prior (`start`).

    Leaves in `out`: best.safetensors (the weights of the best validation NLL), prior.safetensors
    (the same, in half precision where that changes nothing that matters), epochs.csv, steps.csv,
    and training.safetensors, from which `resume` goes on.

    Returns:
        what happened: prior, steps, validation_nll, precision, ...; empty in all but the first process.

    Raises:
        UsageError: an unknown name, or `out` cannot be made. DataError: a corpus that cannot be used, or a
            token that the prior does not know. CheckpointError: `out` holds a training already, or none
            to resume. ResourceError: `out` cannot be written to.
    """
    joined = not dist.is_initialized()
    local_rank = join_processes()
    first = not dist.is_initialized() or dist.get_rank() == 0
    if not resume:
        _refuse_what_is_there(out)
    if tensorboard:
        summary_writer()  # missing, it is missed before anything is written
    smiles = [text for source in corpora for text in corpus.load(source, column)]
    paths = [corpus_path(source) for source in corpora]
    device = torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    parent: Provenance | None = None
    if start is not None:
        policy, parent = load_policy(prior_path(start), device=device)
    else:
        policy = Policy.fresh(
            architecture or Architecture(), Tokenizer.for_corpus(smiles), seed=settings.seed
        ).to(device)
    if len(smiles) < 2:
        raise DataError(f"{paths[0]}: {len(smiles)} molecule is no corpus to learn from")
    if not all(map(policy.tokenizer.knows, smiles)):
        _name_unknown(paths, column, policy.tokenizer)
    provenance = Provenance(
        name=name or out.resolve().name,
        corpora=[
            source if source in known_corpora() else str(path.resolve())
            for source, path in zip(corpora, paths, strict=True)
        ],
        column=column,
        corpus_sha256=hashlib.sha256("\n".join(smiles).encode()).hexdigest(),
        corpus_licence=licence,
        command=shlex.join(["moldesign", *without_secrets(sys.argv[1:])]),
        seed=settings.seed,
        versions={package: metadata.version(package) for package in ("torch", "rdkit", "numpy")},
        machine=f"{platform.machine()}, {torch.get_num_threads()} threads, {device}",
        moldesign=moldesign.__version__,
        parent=parent,
    )
    training = Pretraining(smiles, policy, settings, out, provenance)
    if resume:
        training.resume()
    with ExitStack() as stack:
        journal = stack.enter_context(_Journal(out, training.progress, tensorboard)) if first else None
        if first:
            say(
                f"{len(training.corpus):,} molecules to learn, {len(training.validation):,} held out; "
                f"{training.steps_per_epoch:,} steps an epoch"
            )

        def report_step(report: StepReport) -> None:
            if journal is not None:
                journal.step(report)
                if on_step is not None:
                    on_step(report)

        def report_epoch(row: dict[str, float]) -> None:
            if journal is not None:
                journal.epoch(row)
                say(f"epoch {row['epoch']:.0f}: validation NLL {row['validation_nll']:.3f} nats a molecule")

        progress = training.run(on_step=report_step, on_epoch=report_epoch, should_stop=should_stop)
    if joined and dist.is_initialized():
        dist.destroy_process_group()
    if not first or not (out / "best.safetensors").exists():
        return {}
    return _finish(out, training, progress)


def _refuse_what_is_there(out: Path) -> None:
    """Raise CheckpointError where a training, a run or a prior would be written over."""
    if (out / "training.safetensors").exists():
        raise CheckpointError(f"{out}: holds a training already; add --resume, or choose another folder")
    for name in ("best.safetensors", "prior.safetensors", "ledger.sqlite", "config.toml"):
        if (out / name).exists():
            raise CheckpointError(f"{out}: holds something else already ({name}); choose another folder")


def _name_unknown(paths: Sequence[Path], column: str | None, tokenizer: Tokenizer) -> None:
    """Raise DataError for the first unknown token, naming it, its SMILES, the file and the line."""
    for path in paths:
        for entry in MoleculeFile(path, column):
            try:
                tokenizer.encode(entry.text, line=entry.line)
            except DataError as error:
                raise DataError(f"{path}, {error}") from None


def _finish(out: Path, training: Pretraining, progress: Progress) -> dict[str, Any]:
    """Write prior.safetensors from the best weights, in half precision if it is as good."""
    best, provenance = load_policy(out / "best.safetensors", device=training.policy.device)
    prior = out / "prior.safetensors"
    rows = np.arange(min(_CHECKED_MOLECULES, len(training.validation) or len(training.corpus)))
    checked = (training.validation if len(training.validation) else training.corpus).padded(rows)
    difference = half_precision_difference(best, checked)
    precision: StoragePrecision = "float16" if difference <= HALF_PRECISION_TOLERANCE else "float32"
    save_policy(best, prior, provenance, precision=precision)
    return {
        "prior": str(prior),
        "steps": progress.step,
        "epochs": progress.epoch,
        "validation_nll": None if math.isnan(progress.best_validation_nll) else progress.best_validation_nll,
        "precision": precision,
        "half_precision_difference": difference,
        "seconds": round(progress.seconds, 1),
    }


def half_precision_difference(policy: Policy, tokens: torch.Tensor) -> float:
    """Mean absolute difference, nats a token, of log-likelihoods with weights in float16 and in float32."""
    half = policy.clone()
    for parameter in half.network.parameters():
        parameter.data = parameter.data.half().float()
    tokens = tokens.to(policy.device)
    valid = tokens != PAD_INDEX
    exact = Policy(policy.network, policy.tokenizer, half_precision=False)
    rounded = Policy(half.network, policy.tokenizer, half_precision=False)
    return float((exact.score(tokens) - rounded.score(tokens)).abs()[valid].mean())


class _Journal:
    """steps.csv (every 20 steps), epochs.csv, and TensorBoard events where asked for.

    Of a training that is taken up, what it wrote after its checkpoint is left out: it comes again.

    Raises:
        UsageError, ResourceError: the folder or a file in it cannot be made; also of what is written later.
    """

    def __init__(self, out: Path, progress: Progress, tensorboard: bool) -> None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(out, error) from None
        self._files: list[TextIO] = []
        columns = [
            "step",
            "epoch",
            "nats_a_token",
            "learning_rate_share",
            "tokens_per_second",
            "valid_share",
        ]
        self._steps = self._open(out / "steps.csv", columns, _rows_until(out / "steps.csv", progress.step))
        columns = ["epoch", "step", "validation_nll", "seconds"]
        self._epochs = self._open(out / "epochs.csv", columns, map(_epoch_row, progress.history))
        self._loss = self._tokens = 0.0
        self._valid_shares: list[float] = []
        self._board: Any = None
        if tensorboard:
            self._board = summary_writer()(str(out / "tensorboard"), purge_step=progress.step or None)

    def _open(self, path: Path, columns: list[str], rows: Iterable[Sequence[object]]) -> _Rows:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows([columns, *rows])
        try:
            with atomic_write(path) as temporary:
                temporary.write_text(buffer.getvalue(), encoding="utf-8")
            handle = path.open("a", newline="", encoding="utf-8", buffering=1)
        except OSError as error:
            raise write_error(path, error) from None
        self._files.append(handle)
        return _Rows(path, handle)

    def step(self, report: StepReport) -> None:
        self._loss += report.loss * report.tokens
        self._tokens += report.tokens
        if report.valid_share is not None:
            self._valid_shares.append(report.valid_share)
        if report.step % _STEPS_A_ROW == 0:
            loss = self._loss / self._tokens
            valid = round(float(np.mean(self._valid_shares)), 5) if self._valid_shares else ""
            self._loss = self._tokens = 0.0
            self._valid_shares.clear()
            share, speed = round(report.learning_rate_share, 6), round(report.tokens_per_second)
            self._steps.writerow([report.step, report.epoch, round(loss, 5), share, speed, valid])
            if self._board is not None:
                self._board.add_scalar("loss/nats_a_token", loss, report.step)
                self._board.add_scalar("learning_rate_share", share, report.step)
                self._board.add_scalar("tokens_per_second", speed, report.step)
                if valid != "":
                    self._board.add_scalar("valid_share", valid, report.step)

    def epoch(self, row: dict[str, float]) -> None:
        self._epochs.writerow(_epoch_row(row))
        if self._board is not None:
            self._board.add_scalar("validation/nll", row["validation_nll"], int(row["step"]))

    def __enter__(self) -> _Journal:
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._files:
            with suppress(OSError):  # what a full disk did not take was told before
                handle.close()
        if self._board is not None:
            self._board.close()


class _Rows:
    """A CSV file that is open for more rows, each of them handed to the operating system at once."""

    def __init__(self, path: Path, handle: TextIO) -> None:
        self._path = path
        self._writer = csv.writer(handle, lineterminator="\n")

    def writerow(self, row: Sequence[object]) -> None:
        """Raises UsageError, ResourceError: it cannot be written; the disk is full."""
        try:
            self._writer.writerow(row)
        except OSError as error:
            raise write_error(self._path, error) from None


def _epoch_row(row: dict[str, float]) -> list[object]:
    return [int(row["epoch"]), int(row["step"]), round(row["validation_nll"], 5), row["seconds"]]


def _rows_until(path: Path, step: int) -> list[list[str]]:
    """The whole rows of a steps.csv up to a step."""
    if step == 0 or not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]
    rows = csv.reader(line for line in lines if line.endswith("\n"))
    return [row for row in rows if row and row[0].isdigit() and int(row[0]) <= step]
