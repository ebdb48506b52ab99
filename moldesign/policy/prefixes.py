"""The beginnings that sequences share: a tree of what a network has to read, each beginning once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from moldesign.language.tokenizer import PAD_INDEX, START_INDEX


@dataclass(frozen=True)
class PrefixTree:
    """The different beginnings of a batch, level by level: first the empty one, then those of one token, ...

    Sequences that begin alike are in the same state of the network, so it is enough to compute it
    once; and no state of padding is computed at all.

    Attributes:
        levels: slices of the N nodes, those of a level together.
        parents: of each level (n,) int64, the place within the level above; the first has none.
        tokens: (N,) int64, the token that a node is read with: its last one, the start token at the root.
        nodes: (B, T) int64, the node that an action follows on; 0 where the sequence has ended.
        valid: (B, T) bool, where there is an action.
    """

    levels: list[slice]
    parents: list[Tensor]
    tokens: Tensor
    nodes: Tensor
    valid: Tensor

    @classmethod
    def of(cls, tokens: Tensor) -> PrefixTree:
        """The tree of tokens (B, T), PAD_INDEX behind the end of each."""
        device = tokens.device
        valid = tokens != PAD_INDEX
        size = int(tokens.max()) + 1 if tokens.numel() else 1
        nodes = torch.zeros_like(tokens)
        # Of each sequence that goes on: its row, and the place of its node within the level.
        rows = valid[:, 0].nonzero()[:, 0]
        place = torch.zeros_like(rows)
        read = [torch.full((1,), START_INDEX, device=device)]
        parents = [torch.zeros(0, dtype=torch.int64, device=device)]
        levels = [slice(0, 1)]
        for step in range(1, tokens.shape[1]):
            going_on = valid[rows, step].nonzero()[:, 0]
            if not len(going_on):
                break
            rows, place = rows[going_on], place[going_on]
            branches, place = torch.unique(place * size + tokens[rows, step - 1], return_inverse=True)
            begin = levels[-1].stop
            levels.append(slice(begin, begin + len(branches)))
            parents.append(branches // size)
            read.append(branches % size)
            nodes[rows, step] = begin + place
        return cls(levels, parents, torch.cat(read), nodes, valid)

    @cached_property
    def sizes(self) -> list[int]:
        """Beginnings of each level."""
        return [level.stop - level.start for level in self.levels]

    @cached_property
    def _branching(self) -> list[bool]:
        """Of each level whether two of its beginnings go on from the same one above; they stand in order."""
        return [bool((parents[1:] == parents[:-1]).any()) for parents in self.parents]

    @cached_property
    def above(self) -> Tensor:
        """(N,) int64: of each node the one that it goes on from; of the root itself."""
        begins = [0, *(level.start for level in self.levels)]
        moved = [parents + begin for parents, begin in zip(self.parents[1:], begins[1:], strict=False)]
        return torch.cat([self.tokens.new_zeros(1), *moved])

    def sum_above(self, values: Tensor, depth: int) -> Tensor:
        """(m, H) of the m beginnings of the level above: the sum of the values (n, H) below each."""
        parents, count = self.parents[depth], self.sizes[depth - 1]
        if self._branching[depth]:
            # In full precision: a beginning may have hundreds below it.
            total = torch.zeros((count, values.shape[1]), device=values.device)
            return total.index_add_(0, parents, values.float()).to(values.dtype)
        if len(parents) == count:
            return values
        return values.new_zeros((count, values.shape[1])).index_copy_(0, parents, values)

    def __len__(self) -> int:
        return len(self.tokens)
