"""What torch computes on, and how fast it multiplies there."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import torch

from moldesign.policy.network import autocast_dtype
from moldesign.policy.products import linear
from moldesign.policy.settings import Architecture

#: Rows of a product on a processor: sequences that are drawn at a time.
_ROWS = 256
#: Of a square product that keeps a GPU busy, and that a small one finishes at once.
_SQUARE = 4096


def device_facts() -> dict[str, Any]:
    """What torch computes on, as JSON has it.

    Returns:
        `type`: cuda or cpu; `gpus`: the names of those that torch sees; `cuda_build` and `cudnn`: what this
        torch was made with, null for none; `precision`: what a policy multiplies in; `capability`: the
        instructions that torch uses on the processor; `deterministic`: whether torch was told to be.
    """
    device = torch.device("cuda" if _cuda_here() else "cpu")
    count = torch.cuda.device_count() if device.type == "cuda" else 0
    return {
        "type": device.type,
        "gpus": [torch.cuda.get_device_name(index) for index in range(count)],
        "cuda_build": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.version.cuda else None,
        "precision": "float32" if autocast_dtype(device) is None else "bfloat16",
        "capability": torch.backends.cpu.get_cpu_capability(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def _cuda_here() -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a driver that is too old, which the caller says in one line
        return torch.cuda.is_available()


def product_rates(device: torch.device, seconds: float = 0.25) -> dict[str, float]:
    """GFLOP/s of matrix products in float32 and in bfloat16, the best of as many as fit in `seconds` each.

    On a processor: a batch by the matrix that a layer of the default network multiplies its state by, with
    the threads that torch has now. On a GPU: square products.

    Raises:
        RuntimeError: the device cannot multiply.
    """
    shape = Architecture()
    if device.type == "cuda":
        m = k = n = _SQUARE
    else:
        m, k, n = _ROWS, shape.hidden_size, 3 * shape.hidden_size
    x, weight = torch.randn(m, k, device=device), torch.randn(n, k, device=device)
    products = {
        "float32": _product(x, weight, torch.float32),
        "bfloat16": _product(x, weight, torch.bfloat16),
    }
    for product in products.values():
        product()  # what the first call prepares is no part of it
    best = dict.fromkeys(products, float("inf"))
    started = time.perf_counter()
    # In turns: what slows the machine for a while slows both.
    while time.perf_counter() - started < seconds * len(products):
        for name, product in products.items():
            before = time.perf_counter()
            product()
            best[name] = min(best[name], time.perf_counter() - before)
    return {name: 2e-9 * m * k * n / taken for name, taken in best.items()}


def _product(x: torch.Tensor, weight: torch.Tensor, dtype: torch.dtype) -> Callable[[], None]:
    """One product of x and the weight, waited for."""
    inputs, multiply = x.to(dtype), linear(weight.to(dtype))

    @torch.inference_mode()
    def work() -> None:
        multiply(inputs)
        if inputs.device.type == "cuda":
            torch.cuda.synchronize(inputs.device)

    return work
