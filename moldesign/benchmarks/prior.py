"""Measures a prior and writes its model card.

python -m moldesign.benchmarks.prior --prior models/zinc250k.safetensors --out runs/card --fcd
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import logging
import math
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moldesign import assets
from moldesign.benchmarks import frechet
from moldesign.benchmarks.cards import draw_figure, model_card
from moldesign.benchmarks.generation import assess, canonical_or_reason, properties, wasserstein
from moldesign.benchmarks.metrics import (
    Epoch,
    Frechet,
    FrechetComparison,
    Likelihood,
    PriorMetrics,
    PropertySummary,
    Storage,
    Training,
    read_metrics,
)
from moldesign.errors import CheckpointError, DataError, MoldesignError, UsageError
from moldesign.files import sha256
from moldesign.language import corpus
from moldesign.limits import usable_processors
from moldesign.policy.checkpoint import Provenance, StoragePrecision, load_policy, read_tensors, save_policy
from moldesign.policy.policy import Policy
from moldesign.policy.pretraining import split
from moldesign.policy.settings import PretrainSettings
from moldesign.policy.training import HALF_PRECISION_TOLERANCE, half_precision_difference
from moldesign.records.environment import environment
from moldesign.records.files import write_text

_DRAW_BATCH = 1024
_STORAGE_MOLECULES = 1000
_LIKELIHOOD_MOLECULES = 5000
_CURVE_POINTS = 200

log = logging.getLogger(__name__)


# -- the training behind a prior ------------------------------------------------------------------


def read_training(folder: Path) -> Training:
    """What a training's folder tells: settings and history of its checkpoint, and the loss curve.

    Raises:
        CheckpointError: no checkpoint of a training there, or of another version.
        DataError: steps.csv is missing or damaged.
    """
    path = folder / "training.safetensors"
    _, meta = read_tensors(path)
    try:
        settings = PretrainSettings.model_validate_json(meta["settings"])
        progress = json.loads(meta["progress"])
        epochs = [Epoch.model_validate(row) for row in progress["history"]]
        finished = progress["epoch"] >= settings.epochs or (
            progress["epochs_without_gain"] >= settings.patience
        )
        seconds = float(progress["seconds"])
    except (KeyError, ValueError):
        raise CheckpointError(f"{path}: not the checkpoint of a training, or of another version") from None
    return Training(
        settings=settings,
        epochs=epochs,
        seconds=seconds,
        finished=finished,
        curve=read_curve(folder / "steps.csv"),
    )


def read_curve(path: Path) -> list[tuple[int, float]]:
    """Step and loss (nats a token) from a training's steps.csv, averaged to at most 200 points.

    Its columns: step, share of the peak rate, loss, and more that is not read. A training that was
    resumed has some steps twice: the later row is the one that counts.

    Raises:
        DataError: no such file, or a row without a step and a loss.
    """
    losses: dict[int, float] = {}
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            for number, row in enumerate(csv.reader(handle), 1):
                if number == 1 and row and not row[0].isdigit():
                    continue
                try:
                    losses[int(row[0])] = float(row[2])
                except (IndexError, ValueError):
                    raise DataError(f"{path}, line {number}: no step and loss") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    steps = sorted(losses)
    width = max(1, math.ceil(len(steps) / _CURVE_POINTS))
    groups = [steps[i : i + width] for i in range(0, len(steps), width)]
    return [(group[-1], round(sum(losses[s] for s in group) / len(group), 5)) for group in groups]


# -- half precision -------------------------------------------------------------------------------


def _precision(path: Path) -> StoragePrecision:
    tensors, _ = read_tensors(path)
    return "float16" if all(t.dtype == torch.float16 for t in tensors.values()) else "float32"


def store(prior: Path, target: Path, held_out: Sequence[str], provenance: Provenance, exact: Path) -> Storage:
    """What was found on writing the prior to `target`: in half precision if it loses nothing by that.

    What half precision changes is measured on `exact`, the same weights in float32. Where those are not
    at hand, a prior in half precision takes the finding from the JSON beside it.

    Raises:
        DataError: in half precision, without `exact` and without that JSON.
    """
    half = _precision(prior) == "float16"
    reference = prior if not half else exact if exact.exists() else None
    if reference is None:
        storage = read_metrics(prior.with_suffix(".json")).storage
    else:
        policy, _ = load_policy(reference)
        known = [text for text in held_out if policy.tokenizer.knows(text)][:_STORAGE_MOLECULES]
        difference = half_precision_difference(policy, policy.encode(known))
        storage = Storage(
            precision="float16" if half or difference <= HALF_PRECISION_TOLERANCE else "float32",
            difference=difference,
            molecules=len(known),
        )
    if not (half and prior.resolve() == target.resolve()):
        save_policy(load_policy(prior)[0], target, provenance, precision=storage.precision)
    return storage


# -- samples --------------------------------------------------------------------------------------


def draw(policy: Policy, n: int, *, seed: int, first_index: int = 0) -> tuple[list[str], np.ndarray]:
    """n SMILES at temperature 1 ("" for one without an end) and their (n,) negative log-likelihoods, nats.

    The i-th depends on the weights, the seed and first_index + i alone.
    """
    smiles: list[str] = []
    nll = [np.empty(0)]
    for start in range(first_index, first_index + n, _DRAW_BATCH):
        size = min(_DRAW_BATCH, first_index + n - start)
        trajectories = policy.sample(size, seed=seed, first_index=start)
        smiles.extend(policy.decode(trajectories))
        nll.append(trajectories.nll.double().cpu().numpy())
    return smiles, np.concatenate(nll)


def draw_valid(policy: Policy, n: int, *, seed: int, first_index: int, valid: Sequence[str]) -> list[str]:
    """Canonical SMILES of n valid samples: `valid`, then further draws from first_index on.

    Fewer where n more draws do not suffice.
    """
    found = list(valid)
    index = first_index
    while len(found) < n and index < first_index + n:
        smiles, _ = draw(policy, min(_DRAW_BATCH, first_index + n - index), seed=seed, first_index=index)
        index += len(smiles)
        found.extend(text for text, _ in map(canonical_or_reason, smiles) if text is not None)
    return found[:n]


# -- the whole ------------------------------------------------------------------------------------


def measure(
    prior: Path,
    out: Path,
    *,
    corpora: Sequence[str] = (),
    training_dir: Path | None = None,
    samples: int = 10_000,
    seed: int = 12_345,
    with_fcd: bool = False,
    trained_on: str = "",
) -> PriorMetrics:
    """The metrics of a prior, after writing it to `out` with card (.md), figure (.png) and metrics (.json).

    Args:
        prior: a policy file; its provenance names it.
        out: a folder, made if need be.
        corpora: what it was trained on, by name or file; none: what the prior says.
        training_dir: the folder of its training; None reads that part from the JSON beside the prior.
        samples: how many to draw; the properties and FCD compare as many valid ones.
        seed: of the samples; not the training's.
        with_fcd: whether to compute FCD: minutes.
        trained_on: the machine of the training, where it was more than the prior's provenance says.

    Raises:
        UsageError: the training's seed, or FCD without the package `fcd`.
        DataError: another corpus than the prior's; too few molecules in it, or none among the samples.
        CheckpointError: the prior or the training cannot be read.
    """
    started = time.monotonic()
    if with_fcd:
        frechet.check_installed()
    _, provenance = load_policy(prior)
    beside = prior.with_suffix(".json")
    training = read_training(training_dir) if training_dir else read_metrics(beside).training
    if seed < 0 or samples < 2:
        raise UsageError("--seed begins at 0, --samples at 2")
    if seed in {training.settings.seed, *(stage.seed for stage in provenance.lineage())}:
        raise UsageError(f"seed {seed} is that of the training; choose another with --seed")
    corpora = list(corpora) or provenance.corpora
    smiles = [text for source in corpora for text in corpus.load(source)]
    if provenance.corpus_sha256 != hashlib.sha256("\n".join(smiles).encode()).hexdigest():
        raise DataError(
            f"{prior}: was trained on other molecules than those of {', '.join(corpora) or 'no corpus'}; "
            "name its corpora, in their order, with --corpus"
        )
    training_rows, held_out_rows = split(len(smiles), training.settings)
    held_out = [smiles[i] for i in held_out_rows]
    if len(held_out) < 2 or len(training_rows) < 4:
        raise DataError(
            f"{', '.join(corpora)}: {len(smiles)} molecules are too few to hold some out and compare"
        )

    name = provenance.name or prior.name.removesuffix(assets.PRIOR_SUFFIX)
    if trained_on:
        provenance = provenance.model_copy(update={"machine": trained_on})
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"{name}{assets.PRIOR_SUFFIX}"
    exact = (training_dir or prior.parent) / "best.safetensors"
    storage = store(prior, file, held_out, provenance, exact)
    log.info("stored as %s (half precision changes %.1e nats a token)", storage.precision, storage.difference)
    # Everything below is measured on the file as it is stored.
    policy, provenance = load_policy(file, device="cuda" if torch.cuda.is_available() else "cpu")

    known = {text for text in map(_canonical, (smiles[i] for i in training_rows)) if text}
    log.info("%d training molecules read", len(known))
    drawn, nll = draw(policy, samples, seed=seed)
    quality, valid = assess(drawn, known)
    log.info("of %d samples %.2f%% are valid", samples, 100 * quality.validity)
    if quality.valid < 2:
        raise DataError(f"{prior}: {quality.valid} of {samples} samples are molecules; train it longer")
    generated = draw_valid(policy, samples, seed=seed, first_index=samples, valid=valid)

    # Two disjoint real samples of one size: the first is what samples are compared with, the second
    # takes their place for the floors.
    shuffled = np.random.default_rng([seed, 1]).permutation(training_rows)
    size = min(len(generated), len(shuffled) // 2)
    generated = generated[:size]
    first, second = ([smiles[i] for i in rows] for rows in (shuffled[:size], shuffled[size : 2 * size]))
    values, corpus_values, other_values = properties(generated), properties(first), properties(second)
    summaries = {
        key: PropertySummary(
            mean=float(values[key].mean()),
            deviation=float(values[key].std()),
            corpus_mean=float(corpus_values[key].mean()),
            corpus_deviation=float(corpus_values[key].std()),
            distance=wasserstein(values[key], corpus_values[key]),
            floor=wasserstein(other_values[key], corpus_values[key]),
        )
        for key in values
    }
    log.info("properties of %d molecules compared", size)
    fcd = _frechet(generated, held_out, first, second) if with_fcd else None

    metrics = PriorMetrics(
        name=name,
        architecture=policy.network.architecture,
        parameters=sum(p.numel() for p in policy.network.parameters()),
        vocabulary=len(policy.tokenizer),
        provenance=provenance,
        training=training,
        held_out=len(held_out),
        storage=storage,
        size=file.stat().st_size,
        sha256=sha256(file),
        seed=seed,
        quality=quality,
        likelihood=Likelihood(
            held_out=_mean_nll(policy, held_out),
            training=_mean_nll(policy, first),
            samples=float(nll.mean()),
            tokens=float(np.mean([len(policy.tokenizer.encode(text)) for text in held_out])),
        ),
        compared=size,
        properties=summaries,
        fcd=fcd,
        seconds=round(time.monotonic() - started, 1),
        environment=_environment(seed, _repeat(name, corpora, samples, seed, with_fcd), with_fcd),
    )
    draw_figure(metrics, values, corpus_values, out / f"{name}.png")
    write_text(out / f"{name}.json", metrics.model_dump_json(indent=2) + "\n")
    write_text(out / f"{name}.md", model_card(metrics))
    return metrics


def _canonical(smiles: str) -> str | None:
    return canonical_or_reason(smiles)[0]


def _mean_nll(policy: Policy, smiles: Sequence[str]) -> float:
    return float(np.nanmean(policy.nll(smiles[:_LIKELIHOOD_MOLECULES])))


def _frechet(
    generated: Sequence[str], held_out: Sequence[str], first: Sequence[str], second: Sequence[str]
) -> Frechet:
    def activations(smiles: Sequence[str]) -> np.ndarray:
        # The corpus may have been written by another RDKit, with another canonical order.
        return frechet.activations([text for text in map(_canonical, smiles) if text])

    of_generated = activations(generated)
    log.info("FCD: 1 of 4 sets read")
    of_held_out = activations(held_out)
    of_first, of_second = activations(first), activations(second)
    log.info("FCD: all sets read")

    def compare(reference: np.ndarray, floor: np.ndarray) -> FrechetComparison:
        return FrechetComparison(
            generated=len(of_generated),
            reference=len(reference),
            distance=frechet.distance(of_generated, reference),
            floor=frechet.distance(floor, reference),
        )

    return Frechet(held_out=compare(of_held_out, of_first), training=compare(of_first, of_second))


def _repeat(name: str, corpora: Sequence[str], samples: int, seed: int, with_fcd: bool) -> list[str]:
    """The command that repeats the measurement from the shipped prior; nothing of this machine's folders."""
    parts = ["python", "-m", "moldesign.benchmarks.prior", "--prior", f"models/{name}{assets.PRIOR_SUFFIX}"]
    if any(source not in assets.corpora() for source in corpora):
        parts += ["--corpus", *(Path(source).name for source in corpora)]
    parts += ["--out", "runs/card", "--samples", str(samples), "--seed", str(seed)]
    return [*parts, "--fcd"] if with_fcd else parts


def _environment(seed: int, command: Sequence[str], with_fcd: bool) -> dict[str, Any]:
    facts: dict[str, Any] = environment(seed=seed, threads=torch.get_num_threads(), command=command)
    if with_fcd:
        facts["versions"]["fcd"] = metadata.version("fcd")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return {**facts, "accelerator": device}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m moldesign.benchmarks.prior",
        description="Measure a prior and write its model card, figure and metrics.",
        epilog="Example: python -m moldesign.benchmarks.prior --prior models/zinc250k.safetensors "
        "--out runs/card --fcd",
    )
    add = parser.add_argument
    add("--prior", required=True, type=Path, help="A policy file.")
    add("--out", required=True, type=Path, help="Folder for prior, card, figure and metrics.")
    add("--corpus", nargs="+", default=[], help="Corpora that it was trained on; default: what it says.")
    add(
        "--training-dir",
        type=Path,
        help="Folder of the training (training.safetensors, steps.csv, best.safetensors); "
        "default: what the JSON beside the prior says.",
    )
    add("--samples", type=int, default=10_000, help="How many to draw (default: 10000).")
    add("--seed", type=int, default=12_345, help="Seed of the samples (default: 12345).")
    add("--fcd", action="store_true", help="Compute FCD too: minutes; needs the package fcd.")
    add("--trained-on", default="", help="Machine of the training, in place of what the prior says.")
    add("--threads", type=int, default=usable_processors(), help="Threads of torch.")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the command."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(relativeCreated)8d ms  %(message)s")
    torch.set_num_threads(args.threads)
    try:
        metrics = measure(
            args.prior,
            args.out,
            corpora=args.corpus,
            training_dir=args.training_dir,
            samples=args.samples,
            seed=args.seed,
            with_fcd=args.fcd,
            trained_on=args.trained_on,
        )
    except MoldesignError as error:
        log.error("%s", error)
        return error.exit_code
    sys.stdout.write((args.out / f"{metrics.name}.md").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
