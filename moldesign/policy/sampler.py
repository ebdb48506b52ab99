"""Drawing sequences from the network, a token at a time."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from moldesign.language.tokenizer import END_INDEX, PAD_INDEX, START_INDEX
from moldesign.policy.network import Network, State, autocast_dtype, select_rows

# Finished rows leave the batch when fewer than this share is still being written: each time
# costs a copy of the state, which pays from about here on.
_COMPACT_BELOW = 0.85


def uniforms(seed: int, first_index: int, n: int, length: int) -> np.ndarray:
    """(n, length) float64 in [0, 1): row i is a function of (seed, first_index + i) alone.

    A counter-based generator keyed by row, so that a molecule depends on the seed and its own
    number and not on the batch size. On a grid of 2^-32, so that u * total < total in float64.
    """
    rows = np.empty((n, length))
    for row in range(n):
        bits = np.random.Philox(key=np.array([seed, first_index + row], dtype=np.uint64))
        rows[row] = np.random.Generator(bits).integers(0, 1 << 32, size=length, dtype=np.uint32)
    return rows / float(1 << 32)


def drawing_distribution(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    """(B, V) float64 probabilities: softmax(logits / temperature), cut to the nucleus of mass top_p.

    The nucleus is the smallest set of tokens, most probable first, whose mass reaches top_p
    (Holtzman et al. 2020, The curious case of neural text degeneration, eq. 2-3).
    """
    probabilities = torch.softmax(logits.double() / temperature, dim=-1)
    if top_p < 1.0:
        ranked, order = probabilities.sort(dim=-1, descending=True, stable=True)
        mass_before = ranked.cumsum(-1) - ranked
        ranked = ranked.masked_fill(mass_before >= top_p, 0.0)
        probabilities = torch.zeros_like(probabilities).scatter_(-1, order, ranked)
        probabilities /= probabilities.sum(-1, keepdim=True)
    return probabilities


def choose(probabilities: Tensor, u: Tensor) -> Tensor:
    """(B,) int64: the token where the cumulative distribution (B, V) first exceeds u (B,)."""
    cumulative = probabilities.cumsum(-1)
    target = (u * cumulative[:, -1]).unsqueeze(-1)
    return torch.searchsorted(cumulative, target, right=True).squeeze(-1)


def inference_copy(network: Network, *, half_precision: bool = True) -> Network:
    """The same weights for drawing, dropout off: in bfloat16 where wanted and the device is fast in it."""
    device = next(network.parameters()).device
    fast = copy.deepcopy(network).eval().requires_grad_(False)
    dtype = autocast_dtype(device) if half_precision else None
    return fast if dtype is None else fast.to(dtype)


@torch.inference_mode()
def draw(
    network: Network,
    u: np.ndarray,
    *,
    temperature: float = 1.0,
    top_p: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Sequences drawn from an inference copy of the network, one a row of `u`.

    Args:
        u: (n, T) float64 in [0, 1); one number a token, T the maximum length with the end token.

    Returns:
        tokens: (n, T') int64, PAD_INDEX after the end token; log_probs: (n, T') float64, of each
        token under the distribution that it was drawn from, zero after the end.
    """
    device = next(network.parameters()).device
    n, max_length = u.shape
    numbers = torch.from_numpy(u).to(device)
    tokens = torch.full((n, max_length), PAD_INDEX, dtype=torch.int64, device=device)
    log_probs = torch.zeros((n, max_length), dtype=torch.float64, device=device)
    rows = torch.arange(n, device=device)
    last = torch.full((1, n), START_INDEX, dtype=torch.int64, device=device)
    alive = torch.ones(n, dtype=torch.bool, device=device)
    state: State | None = None
    length = 0
    for step in range(max_length):
        length = step + 1
        logits, state = network(last, state)
        logits = mask_unspeakable(logits[0].float())
        probabilities = drawing_distribution(logits, temperature, top_p)
        chosen = choose(probabilities, numbers[rows, step])
        written = rows[alive]
        tokens[written, step] = chosen[alive]
        log_probs[written, step] = probabilities.gather(1, chosen[:, None])[:, 0].log()[alive]
        alive &= chosen != END_INDEX
        remaining = int(alive.sum())
        if remaining == 0:
            break
        if remaining < _COMPACT_BELOW * len(rows):
            keep = alive.nonzero()[:, 0]
            rows, chosen, state = rows[keep], chosen[keep], select_rows(state, keep)
            alive = torch.ones(len(rows), dtype=torch.bool, device=device)
        last = chosen[None]
    return tokens[:, :length].clone(), log_probs[:, :length].clone()


def mask_unspeakable(logits: Tensor) -> Tensor:
    """Logits (..., V) with padding and start at -inf: no policy ever writes them."""
    mask = torch.zeros(logits.shape[-1], dtype=torch.bool, device=logits.device)
    mask[[PAD_INDEX, START_INDEX]] = True
    return logits.masked_fill(mask, float("-inf"))
