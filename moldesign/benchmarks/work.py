"""The work that is timed: drawing, training, reinforcement and the commands, as this package does them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from moldesign.benchmarks.timing import rate, wait_for
from moldesign.chem.molecules import parse
from moldesign.errors import DataError, MoldesignError
from moldesign.language.tokenizer import PAD_INDEX, START_INDEX, tokenize
from moldesign.policy import sampler
from moldesign.policy.checkpoint import Provenance
from moldesign.policy.inference import InferenceNetwork
from moldesign.policy.network import autocast_dtype
from moldesign.policy.policy import MAX_LENGTH, Policy
from moldesign.policy.pretraining import Pretraining, StepReport
from moldesign.policy.settings import PretrainSettings
from moldesign.rl.optimize import optimize

#: REINVENT as both sides run it: the settings of smiles-rnn's script.
SIGMA, LEARNING_RATE = 60.0, 5e-4
#: Steps that are taken before the first that is timed.
WARM_UP = 2
# As many batches as are sorted by length together: so many hold lengths as a whole corpus does.
_BATCHES = 50
# Molecules, at least, whose tokens are counted.
_COUNTED = 1024


@dataclass
class Drawing:
    """A way to draw molecules, and what it wrote while it was timed.

    Attributes:
        draw: one batch of SMILES; the empty string for a sequence that never ended.
    """

    draw: Callable[[], list[str]]
    written: list[str] = field(default_factory=list)

    def rate(self, seconds: float) -> float:
        """Molecules a second."""

        def work() -> int:
            batch = self.draw()
            self.written += batch
            return len(batch)

        return rate(work, seconds)

    def facts(self) -> dict[str, Any]:
        """How many were written, the share that are molecules, and the mean tokens of those that ended."""
        # A token more than the SMILES has: the end.
        lengths = [len(tokenize(text)) + 1 for text in self.written if text]
        return {
            "molecules": len(self.written),
            "valid": round(float(np.mean([parse(text) is not None for text in self.written])), 4),
            "mean_tokens": round(float(np.mean(lengths)), 2) if lengths else None,
        }


def drawing(policy: Policy, batch: int, *, seed: int = 0, captured: bool = True) -> Drawing:
    """The policy's own way: each call draws the next `batch` molecules of the seed, as SMILES.

    Args:
        captured: as the policy does it; False: step by step on a GPU too, where it launches several as one.
    """
    drawn = 0

    def draw() -> list[str]:
        nonlocal drawn
        if captured:
            sequences = policy.draw(batch, seed=seed, first_index=drawn)
        else:
            network = InferenceNetwork(policy.network, half_precision=policy.half_precision)
            sequences = sampler.draw(network, batch, seed=seed, first_index=drawn, max_length=MAX_LENGTH)
        drawn += batch
        return policy.decode(sequences)

    return Drawing(draw)


def count_drawing(policy: Policy, batch: int, *, seed: int = 0) -> dict[str, int]:
    """Tokens of some batches, and the rows and steps computed for them on a processor: counted, not timed."""
    network = InferenceNetwork(policy.network, half_precision=policy.half_precision)
    molecules = batch * -(-_COUNTED // batch)
    tokens = 0
    for first in range(0, molecules, batch):
        drawn = sampler.draw(network, batch, seed=seed, first_index=first, max_length=MAX_LENGTH)
        tokens += int(drawn.valid_steps.sum())
    return {"molecules": molecules, "tokens": tokens, "rows": network.rows, "steps": network.steps}


class Training:
    """Maximum-likelihood training of a copy of a policy on batches of a corpus, by AdamW.

    Args:
        smiles: taken from the beginning, and again from there if they are too few.

    Raises:
        DataError: the policy knows the tokens of none.
    """

    def __init__(self, policy: Policy, smiles: Sequence[str], batch: int, *, steps: int) -> None:
        size = batch * max(_BATCHES, steps + WARM_UP)
        known = list(islice(filter(policy.tokenizer.knows, smiles), size))
        if not known:
            raise DataError("no molecule of the corpus can be written in the tokens of the prior")
        self.smiles = list(islice(cycle(known), size))
        self.steps = steps
        self._policy = policy.clone()
        self._settings = PretrainSettings(
            epochs=1, batch_size=batch, optimizer="adamw", validation_share=0.0, checkpoint_minutes=1e6
        )

    def rate(self) -> float:
        """Tokens a second, padding not counted: gradient steps as `Pretraining` takes them."""
        device = self._policy.device
        done = tokens = 0
        started = seconds = 0.0

        def on_step(report: StepReport) -> None:
            nonlocal done, tokens, started, seconds
            done += 1
            if done > WARM_UP:
                tokens += report.tokens
            if done == WARM_UP:
                wait_for(device)
                started = time.perf_counter()
            elif done == WARM_UP + self.steps:
                wait_for(device)
                seconds = time.perf_counter() - started

        with tempfile.TemporaryDirectory() as folder:
            training = self._pretraining(Path(folder))
            training.run(on_step=on_step, should_stop=lambda: done == WARM_UP + self.steps)
        return tokens / seconds

    def bare_rate(self) -> float:
        """Tokens a second that nn.GRU makes of the same batches, forward and backward: no optimizer, no loop.

        Embedding, recurrent layers, head and cross entropy, in the precision of training.
        """
        policy = self._policy
        with tempfile.TemporaryDirectory() as folder:
            training = self._pretraining(Path(folder))
            # The order is a function of the seed: these are the batches that `rate` timed.
            rows = list(islice(training._epoch_order(0), 1, WARM_UP + self.steps))
        batches = [training.corpus.padded(one).t().contiguous().to(policy.device) for one in rows]
        tokens = sum(int(training.corpus.lengths[one].sum()) for one in rows[1:])
        starts = [torch.full_like(batch[:1], START_INDEX) for batch in batches]
        inputs = [torch.cat([start, batch[:-1]]) for start, batch in zip(starts, batches, strict=True)]
        policy.network.train()
        _forward_and_backward(policy, inputs[0], batches[0])  # the first prepares what the others use
        wait_for(policy.device)
        started = time.perf_counter()
        for one, actions in zip(inputs[1:], batches[1:], strict=True):
            _forward_and_backward(policy, one, actions)
        wait_for(policy.device)
        return tokens / (time.perf_counter() - started)

    def _pretraining(self, folder: Path) -> Pretraining:
        return Pretraining(self.smiles, self._policy, self._settings, folder, Provenance())


def _forward_and_backward(policy: Policy, inputs: Tensor, actions: Tensor) -> None:
    """The gradient of the likelihood of (T, B) actions."""
    dtype = autocast_dtype(inputs.device) if policy.half_precision else None
    with torch.autocast(inputs.device.type, dtype=dtype, enabled=dtype is not None):
        logits, _ = policy.network(inputs)
        loss = F.cross_entropy(
            logits.flatten(0, 1), actions.flatten(), ignore_index=PAD_INDEX, reduction="sum"
        )
    policy.network.zero_grad()
    loss.backward()


@dataclass
class Reinforcement:
    """A REINVENT run towards QED, without replay and diversity filter, which the peer does not have.

    Attributes:
        workers: processes that score; 1: this one.
        time_line: of the last run, the rows of its time line.
    """

    prior: Path
    batch: int
    workers: int
    steps: int
    seed: int = 0
    time_line: list[dict[str, Any]] = field(default_factory=list)

    def rate(self) -> float:
        """Steps a second, by the median step; each call is a new run of another seed."""
        stamps: list[float] = []
        run = optimize(
            "qed",
            prior=self.prior,
            progress=lambda _: stamps.append(time.perf_counter()),
            export={"nearest_for": 0},
            max_steps=WARM_UP + self.steps,
            estimator="dap",
            batch_size=self.batch,
            learning_rate=LEARNING_RATE,
            sigma=SIGMA,
            replay_size=0,
            diversity=False,
            workers=str(self.workers),
            seed=self.seed,
        )
        self.seed += 1
        rows = run.timeline.round(5).to_dict("records")
        self.time_line = [{str(name): value for name, value in row.items()} for row in rows]
        return by_median_step(stamps)


def by_median_step(stamps: Sequence[float]) -> float:
    """Steps a second, given the times at which steps ended; the first are warm-up."""
    return 1 / float(np.median(np.diff(stamps[WARM_UP - 1 :])))


def command_seconds(*arguments: str) -> float:
    """Seconds from the start of `moldesign ARGUMENTS` to its end, a process of its own.

    Raises:
        MoldesignError: it fails.
    """
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "moldesign", *arguments], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise MoldesignError(f"moldesign {' '.join(arguments)}: {done.stderr.strip()}")
    return seconds
