"""A gated recurrent unit over a tree of beginnings, with its gradient: how a processor trains the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from moldesign.policy.network import Network
from moldesign.policy.prefixes import PrefixTree
from moldesign.policy.products import Linear, linear, room
from moldesign.policy.reading import Record


def tree_logits(
    network: Network, tree: PrefixTree, dtype: torch.dtype, records: Sequence[Record] | None = None
) -> tuple[Tensor, Tensor]:
    """(M, V) logits after each of N beginnings, those of network.forward; and the (M, H) states that they
    are of. Differentiable once.

    Behind the N rows stand some that are nobody's: M is `room` of N.

    Args:
        network: of gated recurrent units.
        dtype: what is multiplied and carried on in; sums of a product are of full precision.
        records: of each layer, what it computed of these beginnings before with the same weights.
    """
    rnn: nn.GRU = network.rnn
    tokens = F.pad(tree.tokens, (0, room(len(tree)) - len(tree)))
    outputs = F.one_hot(tokens, len(network.embedding.weight)).to(dtype)
    for i, (weight, own_weight, bias, own_bias) in enumerate(rnn.all_weights):
        if i and rnn.dropout and network.training:
            outputs = F.dropout(outputs, rnn.dropout)
        # The input of the first layer is one of V: their products are a table, of which one-hot takes a row.
        matrix: Tensor = weight if i else F.linear(network.embedding.weight, weight).t()
        record = records[i] if records else None
        outputs = _applied(_Layer, outputs, matrix, bias, own_weight, own_bias, tree, record)
    return _applied(_Affine, outputs, network.head.weight, network.head.bias), outputs


def _applied(function: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    result: Tensor = function.apply(*arguments)
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
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        inputs, weight = ctx.saved_tensors
        return gradient @ weight, (gradient.t() @ inputs).float(), _sum_of_rows(gradient)


class _Layer(torch.autograd.Function):
    """(N, H) states of the N beginnings from their inputs (N, I), level by level.

    With x the input and h the state of the beginning above: r, z = sigmoid((x W' + b + h U' + c)_rz),
    n = tanh((x W' + b)_n + r * (h U' + c)_n), state = (1 - z) * n + z * h, as torch.nn.GRU (Cho et al.
    2014, eq. 5-8). The gradient of a state is the sum over the beginnings below (backpropagation through
    a tree, Goller & Kuechler 1996).
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor,
        own_weight: Tensor,
        own_bias: Tensor,
        tree: PrefixTree,
        record: Record | None,
    ) -> Tensor:
        dtype = inputs.dtype
        half, own_half = weight.to(dtype), own_weight.to(dtype)
        if record is None:
            gates = linear(half, bias.to(dtype))(inputs)
            record = Record.empty(len(gates), gates[:, : len(own_weight) // 3])
            levels(gates, linear(own_half, own_bias.to(dtype)), tree, record)
            record.clear(slice(len(tree), None))
        ctx.tree = tree
        ctx.save_for_backward(inputs, half, own_half, record.both, record.own, record.new, record.states)
        return record.states.detach()  # apart from the record, which another pass may use

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        tree: PrefixTree = ctx.tree
        inputs, weight, own_weight, both, own, new, states = ctx.saved_tensors
        above = F.pad(states[tree.above], (0, 0, 0, len(new) - len(tree)))
        above[0] = 0
        total, count, size = len(new), len(tree), new.shape[1]
        reset, update = both.split(size, 1)
        # Side by side what the gradient of a state is multiplied by to be that of: h as far as it is kept,
        # (x W' + b)_n, those of z and r, (h U' + c)_n. All levels at once; each is multiplied in its turn.
        parts = gradient.new_empty((_extent(tree), 5, size))
        factors = parts[:total]
        factors[:, 0] = update
        torch.ops.aten.tanh_backward.grad_input(1 - update, new, grad_input=factors[:, 1])
        torch.ops.aten.sigmoid_backward.grad_input(above - new, update, grad_input=factors[:, 2])
        torch.ops.aten.sigmoid_backward.grad_input(own, reset, grad_input=factors[:, 3])
        factors[:, 4] = reset
        factors[:, 3:].mul_(factors[:, 1:2])
        parts[count:] = 0
        by_own = parts.flatten(1)[:, 2 * size :]
        product = linear(_in_order(own_weight, _OWN_ORDER).t())
        below: Tensor | None = None
        levels = list(zip(tree.levels, gradient[:count].split(tree.sizes), strict=True))
        for depth, (level, of_state) in reversed([*enumerate(levels)]):
            of_state = of_state if below is None else below.add_(of_state)
            part = parts[level].mul_(of_state[:, None])
            if depth:
                moved = product(by_own[_roomy(level)])[: len(part)]
                below = tree.sum_above(moved.add_(part[:, 0]), depth)
        of_gates, of_own = parts.flatten(1)[:total, size : 4 * size], by_own[:total]
        return (
            of_gates @ _in_order(weight, _GATES_ORDER) if ctx.needs_input_grad[0] else None,
            _in_order(of_gates.t() @ inputs, _GATES_ORDER).float(),
            _in_order(_sum_of_rows(of_gates), _GATES_ORDER),
            _in_order(of_own.t() @ above, _OWN_ORDER).float(),
            _in_order(_sum_of_rows(of_own), _OWN_ORDER),
            None,
            None,
        )


def levels(gates: Tensor, product: Linear, tree: PrefixTree, record: Record | None = None) -> Tensor:
    """(M, H) states of the N beginnings, from their gates (M, 3H) and the product of a state; zeros behind N.

    Args:
        gates: what the input gives to them; overwritten unless there is a record.
        record: of M rows; gets what the gradient needs, the states as well.
    """
    size = gates.shape[1] // 3
    states = gates.new_empty((len(gates), size)) if record is None else record.states
    states[len(tree) :] = 0
    above = gates.new_zeros((room(max(tree.sizes)), size))
    before: Tensor | None = None
    for level, parents in zip(tree.levels, tree.parents, strict=True):
        n = level.stop - level.start
        if before is not None:
            torch.index_select(before, 0, parents, out=above[:n])
        before = states[level]
        kept = None if record is None else record.rows(level)
        gated(gates[level], product(above[: room(n)])[:n], above[:n], kept, out=before)
    return states


def gated(
    gates: Tensor, own: Tensor, state: Tensor, kept: Record | None = None, out: Tensor | None = None
) -> Tensor:
    """The next state (B, H) of a gated recurrent unit: that of `_Layer`.

    Args:
        gates: (B, 3H) what the input gives; overwritten unless there is a record.
        own: (B, 3H) the product of the state.
        kept: of B rows; gets what the gradient needs, the states as well.
        out: (B, H) gets the next state, where that is not in the record.
    """
    size = state.shape[1]
    two, new = gates.split([2 * size, size], 1)
    own_two, own_new = own.split([2 * size, size], 1)
    if kept is None:
        reset, update = two.add_(own_two).sigmoid_().split(size, 1)
        candidate = torch.addcmul(new, reset, own_new).tanh_()
    else:
        own_new, out = kept.own.copy_(own_new), kept.states
        reset, update = torch.add(two, own_two, out=kept.both).sigmoid_().split(size, 1)
        candidate = torch.addcmul(new, reset, own_new, out=kept.new).tanh_()
    return torch.lerp(candidate, state, update, out=out)


# The thirds of a weight, r, z, n, as the gradients stand side by side: n, z, r and z, r, n. Applied twice,
# each gives the first order back.
_GATES_ORDER, _OWN_ORDER = [2, 1, 0], [1, 0, 2]


def _in_order(weight: Tensor, order: list[int]) -> Tensor:
    """(3H, ...) with its thirds in another order."""
    thirds: Tensor = weight.unflatten(0, (3, -1))
    return thirds[order].flatten(0, 1)


def _extent(tree: PrefixTree) -> int:
    """Rows that hold all beginnings, and all that the products of a level may run into."""
    ends: list[int] = [_roomy(level).stop for level in tree.levels]
    return max(room(len(tree)), *ends)


def _roomy(level: slice) -> slice:
    """The level and what stands behind it, whose products nobody reads: see `room`."""
    return slice(level.start, level.start + room(level.stop - level.start))


def _sum_of_rows(matrix: Tensor) -> Tensor:
    """(n,) float32, summed in full precision: as a product it takes a tenth of the time of sum(0)."""
    return (matrix.new_ones((1, len(matrix))) @ matrix)[0].float()
