"""Random numbers by counter: any of them without those before it."""

from __future__ import annotations

import torch
from torch import Tensor

# Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3, table 2 and section 4.3.
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_MASK = 0xFFFFFFFF


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int, int]) -> tuple[Tensor, ...]:
    """The four random 32-bit words of each counter, int64, by Philox4x32-10.

    Args:
        counter: four words each, int64 in [0, 2^32), of shapes that broadcast.
        key: two words.
    """
    first, second, third, fourth = counter
    low_key, high_key = key
    for _ in range(_ROUNDS):
        # Products beyond 2^63 wrap to the same 64 bits; the mask takes the sign out of the shift.
        left, right = first * _MULTIPLIERS[0], third * _MULTIPLIERS[1]
        first, second, third, fourth = (
            ((right >> 32) & _MASK) ^ second ^ low_key,
            right & _MASK,
            ((left >> 32) & _MASK) ^ fourth ^ high_key,
            left & _MASK,
        )
        low_key, high_key = (low_key + _WEYL[0]) & _MASK, (high_key + _WEYL[1]) & _MASK
    return first, second, third, fourth


def uniforms(seed: int, first_index: int, n: int, length: int, device: torch.device | str = "cpu") -> Tensor:
    """(n, length) float64 in [0, 1): row i is a function of (seed, first_index + i) alone.

    Keyed by seed and counted by row, so that a molecule depends on the seed and its own number and
    not on the batch. On a grid of 2^-32, so that u * total < total in float64.

    Args:
        seed, first_index: in [0, 2^64) and [0, 2^63).
    """
    rows = torch.arange(first_index, first_index + n, device=device)[:, None]
    blocks = torch.arange(-(-length // 4), device=device)
    counter = (blocks.expand(n, -1), rows & _MASK, (rows >> 32) & _MASK, torch.zeros_like(rows))
    words = torch.stack(torch.broadcast_tensors(*philox(counter, (seed & _MASK, seed >> 32))), dim=-1)
    return words.flatten(1)[:, :length].double() / float(1 << 32)
