"""Drawing sequences from the network, a token at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from moldesign.language.tokenizer import END_INDEX, PAD_INDEX, START_INDEX
from moldesign.policy.inference import InferenceNetwork, select_rows
from moldesign.policy.philox import uniforms
from moldesign.policy.products import room
from moldesign.policy.reading import Recorder
from moldesign.policy.trajectories import Sequences

#: Sequences that begin together: enough for the products to run at their full rate, few enough for their
#: state to stay in the processor's cache. When half as many are left, as many more begin.
WAVE = 1024


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


def choose(cumulative: Tensor, u: Tensor) -> Tensor:
    """(B,) int64: the token where the cumulative distribution (B, V) first exceeds u (B,) of its total."""
    target = (u * cumulative[:, -1]).unsqueeze(-1)
    return torch.searchsorted(cumulative, target, right=True).squeeze(-1)


@torch.no_grad()
def draw(
    network: InferenceNetwork,
    n: int,
    *,
    seed: int,
    max_length: int,
    first_index: int = 0,
    temperature: float = 1.0,
    top_p: float = 1.0,
    along: Tensor | None = None,
    beginnings: Tensor | None = None,
) -> Sequences:
    """n sequences; the i-th is a function of the weights, the seed and first_index + i.

    Sequences that begin with the same tokens are in the same state: it is computed once for all of
    them. A finished sequence leaves; others begin in its place until all n are drawn, so that
    nothing favours those that end early.

    Args:
        max_length: tokens of a sequence at most, the end token with them.
        along: (R, max_length) tokens of other sequences, to be read in the same steps; with it the result
            has a reading: of what is drawn and, behind it, of these. For n + R up to WAVE.
        beginnings: (n, P) tokens that the sequences begin with, no end among them, PAD_INDEX after the last.
    """
    device, size = network.device, network.vocabulary_size
    plain = temperature == 1.0 and top_p == 1.0
    tokens = torch.full((n, max_length), PAD_INDEX, dtype=torch.int64, device=device)
    if beginnings is not None:
        tokens[:, : beginnings.shape[1]] = beginnings[:, :max_length]
    given = along is not None or beginnings is not None
    if along is not None:
        tokens = torch.cat([tokens, along])
    total = len(tokens)
    log_probs = None if plain else torch.zeros((total, max_length), dtype=torch.float64, device=device)
    numbers = torch.empty((total, max_length), dtype=torch.float64, device=device)

    # Of each sequence being written: its row, its next position, and the state that it is in.
    rows, at, group = (torch.empty(0, dtype=torch.int64, device=device) for _ in range(3))
    # Of each state: the token that is read next.
    last, states = rows, network.start(0)
    recorder = None if along is None else Recorder(total, max_length, [state for (state,) in states])
    shared = False  # whether two sequences are in one state
    parents = rows  # of each state: the one that it came from
    begun = 0
    while begun < total or len(rows):
        if begun < total and len(last) <= WAVE // 2:
            wave = torch.arange(begun, min(total, begun + WAVE), device=device)
            numbers[wave] = uniforms(seed, first_index + begun, len(wave), max_length, device)
            begun += len(wave)
            rows, at = torch.cat([rows, wave]), F.pad(at, (0, len(wave)))
            group = F.pad(group, (0, len(wave)), value=len(last))
            last = F.pad(last, (0, 1), value=START_INDEX)
            states = [tuple(F.pad(part, (0, 0, 0, 1)) for part in state) for state in states]
            shared = True

        records = None if recorder is None else recorder.room_for(len(last))
        logits, states = network.step(last, states, records)
        if recorder is not None:
            recorder.step(rows, group, parents, last)
        probabilities = drawing_distribution(logits.float(), temperature, top_p)
        cumulative = probabilities.cumsum(-1)
        chosen = choose(cumulative[group] if shared else cumulative[: len(rows)], numbers[rows, at])
        if given:
            there = tokens[rows, at]
            chosen = torch.where(there == PAD_INDEX, chosen, there)
        tokens[rows, at] = chosen
        if log_probs is not None:
            log_probs[rows, at] = probabilities[group, chosen].log()

        at = at + 1
        going_on = ((chosen != END_INDEX) & (at < max_length)).nonzero()[:, 0]
        if len(going_on) < len(rows):
            rows, at, group, chosen = (part[going_on] for part in (rows, at, group, chosen))
        elif not shared and recorder is None:  # a record may not run on where the next one begins
            last[: len(rows)], parents = chosen, group
            continue
        if shared:
            branches, group = torch.unique(group * size + chosen, return_inverse=True)
            parents, last = branches // size, branches % size
            shared = len(branches) < len(rows)
            if not shared:  # from here on sequences stand in the order of their states
                order = group.argsort()
                rows, at, group = rows[order], at[order], group[order]
        else:
            parents, last, group = group, chosen, torch.arange(len(rows), device=device)
        # Behind them stand some that nobody is in.
        behind = (0, room(len(last)) - len(last))
        states, last = select_rows(states, F.pad(parents, behind)), F.pad(last, behind)
    length = int((tokens[:n] != PAD_INDEX).sum(1).max()) if n else 1
    return Sequences(
        tokens=tokens[:n, :length].clone(),
        reshaped_log_probs=None if log_probs is None else log_probs[:n, :length].clone(),
        reading=None if recorder is None else recorder.reading(tokens, network.weights),
    )
