"""The measurements of `speed` on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from moldesign.benchmarks.speed import Batches, Bench, Effort
from moldesign.benchmarks.timing import Row
from moldesign.errors import UsageError
from moldesign.limits import usable_processors

#: Those of `speed` that a GPU has a part in.
PARTS = ("ceilings", "sampling", "training", "loop")


def gpu_bench(prior: str | Path, effort: Effort, *, tell: Callable[[Row], None] = lambda _: None) -> Bench:
    """A bench on the first CUDA device, with batches that fill it; as many processes score as may run.

    Raises:
        UsageError: no CUDA device; no such prior. CheckpointError: the prior cannot be read.
    """
    if not torch.cuda.is_available():
        raise UsageError("no CUDA device here: `moldesign benchmark speed` measures the processor")
    batches = Batches(
        ceilings=(8192,),
        sampling=(256, 512, 1024, 2048, 4096, 8192),
        training=(256, 1024, 4096),
        loop=(64, 256, 1024),
        workers=(usable_processors(),),
    )
    return Bench.of(prior, effort, batches=batches, device="cuda", tell=tell)
