"""The network for drawing: the same weights as those that are trained, laid out for one token at a time."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from moldesign.policy.network import Network, autocast_dtype, mask_unspeakable
from moldesign.policy.products import Linear, linear
from moldesign.policy.reading import Record, fingerprint

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
        weights: by their fingerprint.
    """

    def __init__(self, network: Network, *, half_precision: bool = True) -> None:
        self.device = next(network.parameters()).device
        self.dtype = (autocast_dtype(self.device) if half_precision else None) or torch.float32
        self.steps = self.rows = 0
        self.weights = fingerprint(network)
        self.vocabulary_size, self._hidden_size = network.head.out_features, network.head.in_features
        self._cell: Callable[..., tuple[Tensor, ...]]
        self._cell, self._carried = (_gru, 1) if network.architecture.cell == "gru" else (_lstm, 2)
        rnn = network.rnn
        with torch.no_grad():
            # In full precision, rounded once.
            self._table = F.linear(network.embedding.weight, rnn.weight_ih_l0, rnn.bias_ih_l0).to(self.dtype)
            # The products of what is below and of the layer's own state; of the first layer the latter alone.
            self._layers: list[tuple[Linear | None, Linear]] = []
            for weight, own_weight, bias, own_bias in rnn.all_weights:
                below = self._linear(weight, bias) if self._layers else None
                self._layers.append((below, self._linear(own_weight, own_bias)))
            self._head = self._linear(network.head.weight, mask_unspeakable(network.head.bias))

    @torch.no_grad()
    def refresh(self, network: Network) -> None:
        """Take over the weights of a network of the same shape, in place: where a captured graph reads them.

        Raises:
            TypeError: on a processor with packed products, which are laid out anew by another instance.
        """
        fresh = InferenceNetwork(network, half_precision=self.dtype != torch.float32)
        for mine, theirs in zip(self._tensors(), fresh._tensors(), strict=True):
            mine.copy_(theirs)

    def compile(self, backend: str = "inductor") -> InferenceNetwork:
        """This network, the gates of a layer in one kernel each: for a few batch sizes, compiled one by one.

        By torch.compile, which needs Triton on a GPU and a C++ compiler.
        """
        self._cell = torch.compile(self._cell, backend=backend, dynamic=False)
        return self

    def start(self, n: int) -> States:
        """The state before the first token of n sequences."""
        return [
            tuple(
                torch.zeros((n, self._hidden_size), dtype=self.dtype, device=self.device)
                for _ in range(self._carried)
            )
            for _ in self._layers
        ]

    def step(
        self, tokens: Tensor, states: States, records: list[Record] | None = None
    ) -> tuple[Tensor, States]:
        """Logits (B, V) of the next token, -inf for pad and start, and the state after tokens (B,).

        Args:
            records: gets one of each layer; of a GRU only.
        """
        self.steps += 1
        self.rows += len(tokens)
        after: States = []
        output = tokens
        for (below, own), state in zip(self._layers, states, strict=True):
            gates = self._table.index_select(0, tokens) if below is None else below(output)
            from_own = own(state[0])
            output, *inner = self._cell(gates, from_own, *state)
            after.append((output, *inner[: self._carried - 1]))
            if records is not None:
                both, new = inner
                records.append(Record(state[0], both, from_own[:, 2 * self._hidden_size :], new, output))
        return self._head(output), after

    def _tensors(self) -> list[Tensor]:
        """What a step reads."""
        tensors = [self._table]
        for product in [*(own for pair in self._layers for own in pair if own), self._head]:
            if not isinstance(product, functools.partial):
                raise TypeError("packed products cannot be refreshed in place")
            tensors += product.keywords.values()
        return tensors

    def _linear(self, weight: Tensor, bias: Tensor) -> Linear:
        return linear(weight.to(self.dtype, copy=True), bias.to(self.dtype, copy=True))


def select_rows(states: States, rows: Tensor) -> States:
    """The state of some sequences, in the order of `rows`; one may stand there several times."""
    return [tuple(part.index_select(0, rows) for part in state) for state in states]


def _gru(gates: Tensor, own: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The next state (B, H) of a gated recurrent unit, and its r, z and n; overwrites `gates`.

    r, z = sigmoid(gates + own), n = tanh(gates_n + r * own_n), h' = (1 - z) * n + z * h, in the order
    of torch.nn.GRU (Cho et al. 2014, eq. 5-8, the reset behind the product).
    """
    size = state.shape[1]
    reset_update = gates[:, : 2 * size].add_(own[:, : 2 * size]).sigmoid_()
    new = torch.addcmul(gates[:, 2 * size :], reset_update[:, :size], own[:, 2 * size :]).tanh_()
    return torch.lerp(new, state, reset_update[:, size:]), reset_update, new


def _lstm(gates: Tensor, own: Tensor, _: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """The next output and cell (B, H) of a long short-term memory; overwrites `gates`.

    i, f, o = sigmoid, g = tanh of gates + own; c' = f * c + i * g, h' = o * tanh(c') (torch.nn.LSTM).
    """
    write, keep, new, read = gates.add_(own).chunk(4, dim=1)
    cell = torch.addcmul(keep.sigmoid() * cell, write.sigmoid(), new.tanh())
    return read.sigmoid() * cell.tanh(), cell
