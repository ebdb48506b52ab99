"""A gated recurrent unit over a tree of beginnings, with its gradient: how a processor trains the network."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from moldesign.policy.network import Network
from moldesign.policy.prefixes import PrefixTree
from moldesign.policy.products import linear, room

# Rows behind the last level that a product may run into: as many as `room` adds at most.
_SPARE = 32


def tree_logits(network: Network, tree: PrefixTree, dtype: torch.dtype) -> Tensor:
    """(N, V) logits after each of N beginnings, those of network.forward; differentiable once.

    Args:
        network: of gated recurrent units.
        dtype: what is multiplied and carried on in; sums of a product are of full precision.
    """
    rnn: nn.GRU = network.rnn
    outputs = F.one_hot(tree.tokens, len(network.embedding.weight)).to(dtype)
    for i, (weight, own_weight, bias, own_bias) in enumerate(rnn.all_weights):
        if i and rnn.dropout and network.training:
            outputs = F.dropout(outputs, rnn.dropout)
        # The input of the first layer is one of V: their products are a table, of which one-hot takes a row.
        matrix: Tensor = weight if i else F.linear(network.embedding.weight, weight).t()
        outputs = _recurrence(_affine(outputs, matrix, bias), own_weight, own_bias, tree)
    return _affine(outputs, network.head.weight, network.head.bias)


def _affine(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    result: Tensor = _Affine.apply(inputs, weight, bias)  # type: ignore[no-untyped-call]
    return result


def _recurrence(gates: Tensor, weight: Tensor, bias: Tensor, tree: PrefixTree) -> Tensor:
    result: Tensor = _Recurrence.apply(gates, weight, bias, tree)  # type: ignore[no-untyped-call]
    return result


class _Affine(torch.autograd.Function):
    """x W' + b in the precision of x, for weights in full precision."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        half = weight.to(inputs.dtype)
        ctx.save_for_backward(inputs, half)
        return linear(half, bias.to(inputs.dtype))(inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        inputs, weight = ctx.saved_tensors
        below = linear(weight.t())(gradient) if ctx.needs_input_grad[0] else None
        return below, (gradient.t() @ inputs).float(), _sum_of_rows(gradient)


class _Recurrence(torch.autograd.Function):
    """(N, H) states of the N beginnings from their gates (N, 3H), level by level.

    With h the state of the beginning above: r, z = sigmoid(gates_rz + (h U' + c)_rz),
    n = tanh(gates_n + r * (h U' + c)_n), state = (1 - z) * n + z * h, as torch.nn.GRU (Cho et al. 2014,
    eq. 5-8). The gradient of a state is the sum over the beginnings below (backpropagation through
    a tree, Goller & Kuechler 1996).
    """

    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor, bias: Tensor, tree: PrefixTree) -> Tensor:
        half = weight.to(gates.dtype)
        product = linear(half, bias.to(gates.dtype))
        count, size = len(gates), weight.shape[1]
        new, own_new, states = (gates.new_empty((count, size)) for _ in range(3))
        above = gates.new_empty((count + _SPARE, size))
        reset_update = gates.new_empty((count, 2 * size))
        for level, parents, before in zip(tree.levels, tree.parents, [None, *tree.levels], strict=False):
            if before is None:
                above[level] = 0
            else:
                torch.index_select(states[before], 0, parents, out=above[level])
            own = product(above[_roomy(level)])[: level.stop - level.start]
            both = torch.add(gates[level, : 2 * size], own[:, : 2 * size], out=reset_update[level]).sigmoid_()
            own_new[level] = own[:, 2 * size :]
            torch.addcmul(
                gates[level, 2 * size :], both[:, :size], own[:, 2 * size :], out=new[level]
            ).tanh_()
            torch.lerp(new[level], above[level], both[:, size:], out=states[level])
        ctx.tree = tree
        ctx.save_for_backward(half, above[:count], new, own_new, reset_update)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        tree: PrefixTree = ctx.tree
        weight, above, new, own_new, reset_update = ctx.saved_tensors
        product = linear(weight.t())
        count, size = new.shape
        reset, update = reset_update[:, :size], reset_update[:, size:]
        # Of the gates, and of their part that the layer's own state has: they differ in the last third.
        of_gates = gradient.new_empty((count, 3 * size))
        of_own = gradient.new_empty((count + _SPARE, 3 * size))
        sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
        tanh_backward = torch.ops.aten.tanh_backward.grad_input
        below: Tensor | None = None
        for depth in reversed(range(len(tree.levels))):
            level = tree.levels[depth]
            of_state = gradient[level].clone() if below is None else below.add_(gradient[level])
            kept = of_state * update[level]
            of_new = tanh_backward(of_state - kept, new[level], grad_input=of_gates[level, 2 * size :])
            own = of_own[level]
            sigmoid_backward(of_new * own_new[level], reset[level], grad_input=own[:, :size])
            moved = of_state.mul_(above[level] - new[level])
            sigmoid_backward(moved, update[level], grad_input=own[:, size : 2 * size])
            torch.mul(of_new, reset[level], out=own[:, 2 * size :])
            if depth:
                of_above = kept.add_(product(of_own[_roomy(level)])[: len(kept)])
                below = tree.sum_above(of_above, depth)
        of_own = of_own[:count]
        of_gates[:, : 2 * size] = of_own[:, : 2 * size]
        return of_gates, (of_own.t() @ above).float(), _sum_of_rows(of_own), None


def _roomy(level: slice) -> slice:
    """The level and what stands behind it, whose products nobody reads: see `room`."""
    return slice(level.start, level.start + room(level.stop - level.start))


def _sum_of_rows(matrix: Tensor) -> Tensor:
    """(n,) float32, summed in full precision: as a product it takes a tenth of the time of sum(0)."""
    return (matrix.new_ones((1, len(matrix))) @ matrix)[0].float()
