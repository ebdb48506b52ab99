"""The network for drawing: the same weights as those that are trained, laid out for one token at a time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from moldesign.policy.network import Network, autocast_dtype, mask_unspeakable
from moldesign.policy.prefixes import PrefixTree
from moldesign.policy.products import Linear, linear, room
from moldesign.policy.reading import Record, fingerprint
from moldesign.policy.recurrence import gated, levels

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
        self, tokens: Tensor, states: States, records: Sequence[Record] | None = None
    ) -> tuple[Tensor, States]:
        """Logits (B, V) of the next token, -inf for pad and start, and the state after tokens (B,).

        Args:
            records: of each layer what gets its part of the step, B rows; of a GRU only.
        """
        self.steps += 1
        self.rows += len(tokens)
        after: States = []
        output = tokens
        for i, ((below, own), state) in enumerate(zip(self._layers, states, strict=True)):
            gates = self._table.index_select(0, tokens) if below is None else below(output)
            if records is None:
                carried = self._cell(gates, own(state[0]), *state)
            else:
                carried = (gated(gates, own(state[0]), state[0], records[i]),)
            after.append(carried)
            output = carried[0]
        return self._head(output), after

    def read(self, tree: PrefixTree) -> tuple[Tensor, Tensor]:
        """Logits (M, V) after each of the N beginnings of a tree, as `step` gives them, and the states (M, H)
        that they are of; of a GRU only.

        Behind the N rows stand some that are nobody's: M is `room` of N.
        """
        output = F.pad(tree.tokens, (0, room(len(tree)) - len(tree)))
        for below, own in self._layers:
            gates = self._table.index_select(0, output) if below is None else below(output)
            output = levels(gates, own, tree)
        return self._head(output), output

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


def _gru(gates: Tensor, own: Tensor, state: Tensor) -> tuple[Tensor]:
    """The next state (B, H) of a gated recurrent unit; overwrites `gates`."""
    return (gated(gates, own, state),)


def _lstm(gates: Tensor, own: Tensor, _: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """The next output and cell (B, H) of a long short-term memory; overwrites `gates`.

    i, f, o = sigmoid, g = tanh of gates + own; c' = f * c + i * g, h' = o * tanh(c') (torch.nn.LSTM).
    """
    write, keep, new, read = gates.add_(own).chunk(4, dim=1)
    cell = torch.addcmul(keep.sigmoid() * cell, write.sigmoid(), new.tanh())
    return read.sigmoid() * cell.tanh(), cell
