"""The network for drawing: the same weights as those that are trained, laid out for one token at a time."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from moldesign.language.tokenizer import PAD_INDEX, START_INDEX
from moldesign.policy.network import Network, autocast_dtype

Linear = Callable[[Tensor], Tensor]
#: Of each layer what its cell carries on, (B, hidden) each: h of a GRU, h and c of an LSTM.
States = list[tuple[Tensor, ...]]


class InferenceNetwork:
    """(tokens, state) -> (logits, state) for a step of many sequences, without a gradient.

    The input product of the first layer is a row of a table, since its input is one of V tokens.
    The other matrices are packed once for the processor, in bfloat16 where the device multiplies
    that in hardware. A copy: what is trained afterwards does not reach it.

    On a processor with packed products a row does not depend on those beside it, to the bit, nor
    on the number of threads.

    Attributes:
        steps, rows: how often, and for how many sequences in all, a step was computed.
    """

    def __init__(self, network: Network, *, half_precision: bool = True) -> None:
        self.device = next(network.parameters()).device
        self.dtype = (autocast_dtype(self.device) if half_precision else None) or torch.float32
        self.steps = self.rows = 0
        self.vocabulary_size, self._hidden_size = network.head.out_features, network.head.in_features
        self._cell, self._carried = (_gru, 1) if network.architecture.cell == "gru" else (_lstm, 2)
        rnn = network.rnn
        with torch.no_grad():
            # In full precision, rounded once.
            self._table = F.linear(network.embedding.weight, rnn.weight_ih_l0, rnn.bias_ih_l0).to(self.dtype)
            # The products of what is below and of the layer's own state; of the first layer the latter alone.
            self._layers = [
                (
                    self._linear(getattr(rnn, f"weight_ih_l{i}"), getattr(rnn, f"bias_ih_l{i}"))
                    if i
                    else None,
                    self._linear(getattr(rnn, f"weight_hh_l{i}"), getattr(rnn, f"bias_hh_l{i}")),
                )
                for i in range(rnn.num_layers)
            ]
            bias = network.head.bias.clone()
            bias[[PAD_INDEX, START_INDEX]] = float("-inf")  # no policy ever writes them
            self._head = self._linear(network.head.weight, bias)

    def start(self, n: int) -> States:
        """The state before the first token of n sequences."""
        return [
            tuple(
                torch.zeros((n, self._hidden_size), dtype=self.dtype, device=self.device)
                for _ in range(self._carried)
            )
            for _ in self._layers
        ]

    def step(self, tokens: Tensor, states: States) -> tuple[Tensor, States]:
        """Logits (B, V) of the next token, -inf for pad and start, and the state after tokens (B,)."""
        self.steps += 1
        self.rows += len(tokens)
        after: States = []
        output = tokens
        for (below, own), state in zip(self._layers, states, strict=True):
            gates = self._table.index_select(0, tokens) if below is None else below(output)
            state = self._cell(gates, own(state[0]), *state)
            after.append(state)
            output = state[0]
        return self._head(output), after

    def _linear(self, weight: Tensor, bias: Tensor) -> Linear:
        weight, bias = weight.to(self.dtype, copy=True), bias.to(self.dtype, copy=True)
        if self.device.type == "cpu" and _packs(self.dtype):
            return _packed(weight, bias)
        return functools.partial(F.linear, weight=weight, bias=bias)


def select_rows(states: States, rows: Tensor) -> States:
    """The state of some sequences, in the order of `rows`; one may stand there several times."""
    return [tuple(part.index_select(0, rows) for part in state) for state in states]


def _gru(gates: Tensor, own: Tensor, state: Tensor) -> tuple[Tensor]:
    """The next state (B, H) of a gated recurrent unit; overwrites `gates`.

    r, z = sigmoid(gates + own), n = tanh(gates_n + r * own_n), h' = (1 - z) * n + z * h, in the order
    of torch.nn.GRU (Cho et al. 2014, eq. 5-8, the reset behind the product).
    """
    size = state.shape[1]
    reset_update = gates[:, : 2 * size].add_(own[:, : 2 * size]).sigmoid_()
    new = torch.addcmul(gates[:, 2 * size :], reset_update[:, :size], own[:, 2 * size :]).tanh_()
    return (torch.lerp(new, state, reset_update[:, size:]),)


def _lstm(gates: Tensor, own: Tensor, _: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """The next output and cell (B, H) of a long short-term memory; overwrites `gates`.

    i, f, o = sigmoid, g = tanh of gates + own; c' = f * c + i * g, h' = o * tanh(c') (torch.nn.LSTM).
    """
    write, keep, new, read = gates.add_(own).chunk(4, dim=1)
    cell = torch.addcmul(keep.sigmoid() * cell, write.sigmoid(), new.tanh())
    return read.sigmoid() * cell.tanh(), cell


def _packed(weight: Tensor, bias: Tensor) -> Linear:
    """x -> x W' + b with the weight in the order of bytes that the processor's product reads."""
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
