"""Matrix products in the order of bytes that the processor reads fastest."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

#: (n, inputs) -> (n, outputs).
Linear = Callable[[Tensor], Tensor]


# Up to so many rows their number is rounded up to a multiple of the second.
_STEPS = ((16, 4), (128, 8), (512, 16), (1536, 32), (8192, 128), (float("inf"), 512))


def linear(weight: Tensor, bias: Tensor | None = None) -> Linear:
    """x -> x W' + b, without a gradient; the weight (outputs, inputs) is laid out once for many products.

    On processors with oneDNN a row of the result depends on neither the other rows nor the number of
    threads, to the bit.
    """
    if weight.device.type == "cpu" and _packs(weight.dtype):
        return _packed(weight, bias)
    return functools.partial(F.linear, weight=weight, bias=bias)


def room(n: int) -> int:
    """The number of rows, n or a few more, that a product of n rows is computed for.

    oneDNN compiles a product for each number of rows, which takes as long as the product of 200 rows, and
    keeps a thousand of them, half a megabyte each: so a few sizes serve for all.
    """
    step = next(step for limit, step in _STEPS if n <= limit)
    return -(-n // step) * step


def _packed(weight: Tensor, bias: Tensor | None) -> Linear:
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), None)
    product = torch.ops.mkldnn._linear_pointwise
    return lambda inputs: product(inputs, packed, bias, "none", [], "")


@functools.cache
def _packs(dtype: torch.dtype) -> bool:
    """Whether this build of torch has packed products, and they are right. Their names are not public."""
    weight = torch.arange(32 * 16, dtype=torch.float32).reshape(32, 16).sin().to(dtype)
    bias, inputs = weight[:, 0].clone(), weight[:4].clone()
    try:
        found = _packed(weight, bias)(inputs)
    except (AttributeError, RuntimeError):
        return False
    return torch.allclose(found.float(), F.linear(inputs, weight, bias).float(), atol=0.02)
