"""What a machine allows at most: its rate of matrix products, and how many of them the network needs."""

from __future__ import annotations

from collections.abc import Callable

import torch

from moldesign.benchmarks.timing import wait_for
from moldesign.policy.products import linear
from moldesign.policy.settings import Architecture

_PRODUCTS = 10
_GATES = {"gru": 3, "lstm": 4}
#: Of a square product that any GPU computes at its full rate.
_LARGE = 8192


def state_product(architecture: Architecture) -> tuple[int, int]:
    """Rows and columns of the matrix that a layer's state is multiplied by."""
    return architecture.hidden_size, _GATES[architecture.cell] * architecture.hidden_size


def drawing_flops(architecture: Architecture, vocabulary_size: int) -> float:
    """Floating-point operations that drawing a token needs.

    The input product of the first layer is a row of a table and costs nothing: that layer has one product,
    of its state, every other one two, of its input and of its state, and the head one.
    """
    hidden, gates = state_product(architecture)
    return 2.0 * hidden * (gates * (2 * architecture.layers - 1) + vocabulary_size)


def training_flops(architecture: Architecture, vocabulary_size: int) -> float:
    """Floating-point operations that a token needs in training: three times those of the forward pass.

    There the first layer's input product is computed too.
    """
    _, gates = state_product(architecture)
    first = 2.0 * architecture.embedding_size * gates
    return 3 * (drawing_flops(architecture, vocabulary_size) + first)


def products(
    batch: int, architecture: Architecture, dtype: torch.dtype, device: torch.device
) -> Callable[[], float]:
    """Ten matrix products to be timed; gives their GFLOP.

    On a processor they are the network's own: (batch, hidden) by the matrix of a layer's state, laid out
    beforehand in oneDNN's order. On a GPU they are square and large, whatever the batch.
    """
    m, (k, n) = batch, state_product(architecture)
    if device.type == "cuda":
        m = k = n = _LARGE
    x = torch.randn(m, k, device=device).to(dtype)
    weight, bias = torch.randn(n, k, device=device).to(dtype), torch.zeros(n, dtype=dtype, device=device)
    multiply = linear(weight, bias)

    @torch.inference_mode()
    def work() -> float:
        for _ in range(_PRODUCTS):
            multiply(x)
        wait_for(device)
        return 2e-9 * _PRODUCTS * m * k * n

    work()  # what the first call prepares is no part of it
    return work
