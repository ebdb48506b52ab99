"""Length-bucketed padded batches of encoded SMILES."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from moldesign.language.tokenizer import PAD_INDEX

# Rows that are sorted together by length: large enough that a batch holds equal lengths
# (0.2% padding; random batches waste 24%), small enough that batches differ every epoch.
_BUCKET_IN_BATCHES = 50


class EncodedCorpus:
    """Encoded SMILES, packed: one byte or two a token, no Python object a molecule."""

    def __init__(self, rows: Sequence[Sequence[int]], vocabulary_size: int) -> None:
        dtype = np.uint8 if vocabulary_size <= 256 else np.uint16
        self.lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
        self._offsets = np.concatenate([[0], np.cumsum(self.lengths)])
        self._tokens = np.empty(int(self._offsets[-1]), dtype=dtype)
        for row, start, stop in zip(rows, self._offsets[:-1], self._offsets[1:], strict=True):
            self._tokens[start:stop] = row

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def token_count(self) -> int:
        """Tokens in all, end tokens included."""
        return int(self._offsets[-1])

    def padded(self, indices: Sequence[int] | np.ndarray) -> Tensor:
        """The rows as one tensor: (B, T) int64, PAD_INDEX after the end token."""
        lengths = self.lengths[indices]
        steps = np.arange(lengths.max())
        held = steps < lengths[:, None]
        out = np.full(held.shape, PAD_INDEX, dtype=np.int64)
        out[held] = self._tokens[(self._offsets[indices][:, None] + steps)[held]]
        return torch.from_numpy(out)


def pad(rows: Sequence[Sequence[int]]) -> Tensor:
    """Rows of indices as one tensor: (B, T) int64, PAD_INDEX after the end token."""
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[PAD_INDEX] * (width - len(row))] for row in rows], dtype=torch.int64)


def bucketed_batches(
    lengths: np.ndarray, batch_size: int, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """Index arrays of one epoch: every row once, rows of about one length together, batches in random order.

    The order is a function of the generator's state alone, so (seed, epoch) names it.
    """
    order = generator.permutation(len(lengths))
    bucket = batch_size * _BUCKET_IN_BATCHES
    batches: list[np.ndarray] = []
    for start in range(0, len(order), bucket):
        rows = order[start : start + bucket]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches.extend(rows[i : i + batch_size] for i in range(0, len(rows), batch_size))
    for index in generator.permutation(len(batches)):
        yield batches[index]
