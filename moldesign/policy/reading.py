"""What a network computed of a batch while it was drawn, kept so that it need not be computed again."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moldesign.policy.prefixes import PrefixTree
from moldesign.policy.products import room


@dataclass(frozen=True)
class Record:
    """Of a layer of gated recurrent units what its gradient needs, a row for each of N beginnings
    and, once joined, some zeros behind them.

    Attributes:
        above: (N, H) the state above; both: (N, 2H) reset and update; own: (N, H) what the layer's own state
            gives to the candidate, before the reset; new: (N, H) the candidate; states: (N, H).
    """

    above: Tensor
    both: Tensor
    own: Tensor
    new: Tensor
    states: Tensor

    def head(self, n: int) -> Record:
        """The first n rows."""
        return Record(*(part[:n] for part in vars(self).values()))

    @classmethod
    def joined(cls, records: list[Record]) -> Record:
        """The rows of several, one behind the other, and zeros behind them up to a size of `room`."""
        parts = zip(*(vars(record).values() for record in records), strict=True)
        count = sum(len(record.new) for record in records)
        return cls(
            *(torch.cat([*part, part[0].new_zeros(room(count) - count, part[0].shape[1])]) for part in parts)
        )


@dataclass(frozen=True)
class Reading:
    """The forward pass of a batch: its tree of beginnings, and a record a layer.

    Attributes:
        tokens: (B, T) of the batch.
        weights: those of the network then, by their fingerprint.
    """

    tokens: Tensor
    tree: PrefixTree
    layers: list[Record]
    weights: Tensor


def fingerprint(network: nn.Module) -> Tensor:
    """Some 64 weights of each parameter, from all over it: other ones after a step of an optimizer.

    The version that torch counts for a tensor would do, did fused optimizers count.
    """
    flat = [parameter.detach().flatten() for parameter in network.parameters()]
    return torch.cat([weights[:: max(1, len(weights) // 64)] for weights in flat])


class Recorder:
    """Takes down a drawing as it goes on.

    Attributes:
        records: where a step of the network puts what it computed.

    Args:
        rows: sequences, all of which begin together.
        length: tokens of a sequence at most.
    """

    def __init__(self, rows: int, length: int) -> None:
        self._nodes = torch.zeros((rows, length), dtype=torch.int64)
        self._valid = torch.zeros((rows, length), dtype=torch.bool)
        self._levels: list[slice] = []
        self._parents: list[Tensor] = []
        self._tokens: list[Tensor] = []
        self._layers: list[list[Record]] = []
        self.records: list[Record] = []

    def step(self, rows: Tensor, group: Tensor, parents: Tensor, tokens: Tensor) -> None:
        """Take down a step, whose `records` are there: one a layer.

        Args:
            rows: (n,) the sequences that are being written; group: (n,) the state that each is in.
            parents: (m,) of each state the one that it came from, none at the first step.
            tokens: of each state what it was read with. Behind the first m, here and in the records, stand
                rows that are nobody's.
        """
        begin, depth = (self._levels[-1].stop if self._levels else 0), len(self._levels)
        count = len(parents) if depth else 1
        self._nodes[rows, depth] = begin + group
        self._valid[rows, depth] = True
        self._levels.append(slice(begin, begin + count))
        self._parents.append(parents)
        self._tokens.append(tokens[:count].clone())
        self._layers.append([record.head(count) for record in self.records])
        self.records.clear()

    def reading(self, tokens: Tensor, weights: Tensor) -> Reading:
        """What was taken down of tokens (rows, length) by these weights."""
        depth = len(self._levels)
        tree = PrefixTree(
            levels=self._levels,
            parents=self._parents,
            tokens=torch.cat(self._tokens),
            nodes=self._nodes[:, :depth],
            valid=self._valid[:, :depth],
        )
        layers = [Record.joined(list(one)) for one in zip(*self._layers, strict=True)]
        return Reading(tokens[:, :depth].clone(), tree, layers, weights)
