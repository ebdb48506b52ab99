"""What a network computed of a batch while it was drawn, kept so that it need not be computed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moldesign.policy.prefixes import PrefixTree
from moldesign.policy.products import room

# Beginnings of a drawn molecule that it shares with none: room is made for so many from the start.
_USUAL_NODES = 40


@dataclass(frozen=True)
class Record:
    """Of a layer of gated recurrent units what its gradient needs, a row for each beginning.

    Attributes:
        both: (N, 2H) reset and update; own: (N, H) what the layer's own state gives to the candidate,
            before the reset; new: (N, H) the candidate; states: (N, H).
    """

    both: Tensor
    own: Tensor
    new: Tensor
    states: Tensor

    @classmethod
    def empty(cls, rows: int, like: Tensor) -> Record:
        """Room for so many rows of a layer whose states are `like` (..., H)."""
        size = like.shape[1]
        return cls(*(like.new_empty((rows, width)) for width in (2 * size, size, size, size)))

    def rows(self, part: slice) -> Record:
        """Some of the rows: to write to them is to write here."""
        return Record(self.both[part], self.own[part], self.new[part], self.states[part])

    def clear(self, part: slice) -> None:
        """Zeros in some of the rows."""
        for values in vars(self.rows(part)).values():
            values.zero_()


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

    Args:
        rows: sequences, all of which begin together.
        length: tokens of a sequence at most.
        layers: (_, H) a state of each layer.
    """

    def __init__(self, rows: int, length: int, layers: Sequence[Tensor]) -> None:
        self._nodes = torch.zeros((rows, length), dtype=torch.int64)
        self._valid = torch.zeros((rows, length), dtype=torch.bool)
        self._levels: list[slice] = []
        self._parents: list[Tensor] = []
        self._tokens: list[Tensor] = []
        self._layers = [Record.empty(_USUAL_NODES * rows, layer) for layer in layers]

    @property
    def _count(self) -> int:
        return self._levels[-1].stop if self._levels else 0

    def room_for(self, n: int) -> list[Record]:
        """Of each layer where the next step is to write its n rows."""
        count, end = self._count, self._count + n
        if end > len(self._layers[0].new):
            self._layers = [_grown(layer, count, 2 * end) for layer in self._layers]
        return [layer.rows(slice(count, end)) for layer in self._layers]

    def step(self, rows: Tensor, group: Tensor, parents: Tensor, tokens: Tensor) -> None:
        """Take down a step that has written to its room.

        Args:
            rows: (n,) the sequences that are being written; group: (n,) the state that each is in.
            parents: (m,) of each state the one that it came from, none at the first step.
            tokens: of each state what it was read with. Behind the first m, here and in the room, stand
                rows that are nobody's.
        """
        begin, depth = self._count, len(self._levels)
        count = len(parents) if depth else 1
        self._nodes[rows, depth] = begin + group
        self._valid[rows, depth] = True
        self._levels.append(slice(begin, begin + count))
        self._parents.append(parents)
        self._tokens.append(tokens[:count].clone())

    def reading(self, tokens: Tensor, weights: Tensor) -> Reading:
        """What was taken down of tokens (rows, length) by these weights; nothing more can be.

        Its records have `room` of N rows, those behind the N zeros.
        """
        depth = len(self._levels)
        tree = PrefixTree(
            levels=self._levels,
            parents=self._parents,
            tokens=torch.cat(self._tokens),
            nodes=self._nodes[:, :depth],
            valid=self._valid[:, :depth],
        )
        for behind in self.room_for(room(self._count) - self._count):
            behind.clear(slice(None))
        layers = [layer.rows(slice(room(self._count))) for layer in self._layers]
        return Reading(tokens[:, :depth].clone(), tree, layers, weights)


def _grown(record: Record, count: int, size: int) -> Record:
    """Room for `size` rows, the first `count` of them as they were."""
    grown = Record.empty(size, record.new)
    for new, old in zip(vars(grown).values(), vars(record).values(), strict=True):
        new[:count] = old[:count]
    return grown
