"""Sequences that are all different: drawn without replacement, the likeliest one, or every one there is."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from moldesign.errors import UsageError
from moldesign.language.tokenizer import END_INDEX, PAD_INDEX, START_INDEX
from moldesign.policy.inference import InferenceNetwork, select_rows
from moldesign.policy.philox import uniforms
from moldesign.policy.policy import Policy
from moldesign.policy.trajectories import Sequences

#: Sequences that are enumerated at most.
MOST_SEQUENCES = 50_000

# The numbers of this stream are not those that molecules are drawn with.
_STREAM = 1 << 32


@torch.no_grad()
def draw_without_replacement(
    policy: Policy, n: int, *, seed: int, first_index: int = 0, max_length: int
) -> Sequences:
    """n different sequences, as if drawn one by one from what is left; fewer where there are not so many.

    Stochastic beam search: the n largest of all sequences' log-probabilities, each perturbed by a Gumbel
    variable, found from the top down, since the largest perturbed child of a beginning is the
    beginning's own (Kool et al. 2019, Stochastic beams and where to find them, section 3 and algorithm 1).
    In the order in which they would have been drawn.

    Args:
        max_length: tokens of a sequence at most; one that reaches it counts as it is.
    """
    network = InferenceNetwork(policy.network, half_precision=policy.half_precision)
    tokens = torch.full((1, max_length), PAD_INDEX, dtype=torch.int64, device=network.device)
    log_prob, perturbed = (torch.zeros(1, dtype=torch.float64, device=network.device) for _ in range(2))
    open_rows = torch.zeros(1, dtype=torch.int64, device=network.device)  # those that have not ended
    states, last = network.start(1), torch.full_like(open_rows, START_INDEX)
    for depth in range(max_length):
        logits, states = network.step(last, states)
        actions = torch.log_softmax(logits.double(), -1)
        width = actions.shape[1]
        numbers = uniforms(
            seed + _STREAM, (first_index * max_length + depth) * n, len(last), width, network.device
        )
        children = log_prob[open_rows, None] + actions
        keys = _conditioned(children, perturbed[open_rows, None], numbers)
        # What has ended already stays in the running with the key it has.
        closed = torch.ones(len(tokens), dtype=torch.bool, device=network.device)
        closed[open_rows] = False
        ended = closed.nonzero()[:, 0]
        everything = torch.cat([perturbed[ended], keys.flatten()])
        possible = int(everything.isfinite().sum())
        kept, order = everything.topk(min(n, possible))
        is_child = order >= len(ended)
        parent_place = (order - len(ended)).clamp(min=0) // width
        action = (order - len(ended)).clamp(min=0) % width
        source = torch.where(is_child, open_rows[parent_place], _at(ended, order))
        tokens = tokens[source]
        tokens[:, depth] = torch.where(is_child, action, tokens[:, depth])
        log_prob = torch.where(is_child, children[parent_place, action], log_prob[source])
        perturbed = kept
        open_rows = (is_child & (action != END_INDEX)).nonzero()[:, 0]
        if not len(open_rows):
            break
        states, last = select_rows(states, parent_place[open_rows]), action[open_rows]
    length = max(1, int((tokens != PAD_INDEX).sum(1).max()))
    return Sequences(tokens=tokens[:, :length].clone(), reshaped_log_probs=None)


def _at(values: Tensor, places: Tensor) -> Tensor:
    """values[places] where there is such a place; anything elsewhere."""
    if not len(values):
        return torch.zeros_like(places)
    return values[places.clamp(max=len(values) - 1)]


def _conditioned(log_probs: Tensor, maximum: Tensor, numbers: Tensor) -> Tensor:
    """(m, V) Gumbel variables of the children, given that the largest of each row is `maximum` (m, 1).

    Kool et al. 2019, appendix B.3: T = M - relu(v) - log(1 + exp(-|v|)), v = M - G + log(1 - exp(G - Z)).
    """
    gumbel = log_probs - torch.log(-torch.log(numbers.clamp(min=2.0**-33)))
    largest = gumbel.max(1, keepdim=True).values
    v = maximum - gumbel + torch.log1p(-torch.exp(gumbel - largest))
    out = maximum - v.clamp(min=0.0) - torch.log1p(torch.exp(-v.abs()))
    return torch.where(log_probs.isfinite(), out, -torch.inf)


def with_greedy(drawn: Sequences, policy: Policy, max_length: int) -> Sequences:
    """The batch and behind it, as a probe, the sequence whose every action is the likeliest."""
    greedy = policy.draw(1, seed=0, temperature=1e-6, max_length=max_length).tokens
    width = max(drawn.tokens.shape[1], greedy.shape[1])
    rows = [
        torch.nn.functional.pad(part, (0, width - part.shape[1]), value=PAD_INDEX)
        for part in (drawn.tokens, greedy)
    ]
    reshaped = drawn.reshaped_log_probs
    if reshaped is not None:
        reshaped = torch.nn.functional.pad(reshaped, (0, width - reshaped.shape[1], 0, 1))
    return replace(drawn, tokens=torch.cat(rows), reshaped_log_probs=reshaped, reading=None, probes=1)


def enumerate_sequences(policy: Policy, max_length: int) -> Sequences:
    """Every sequence that the policy can write; one of max_length tokens counts whether it ends or not.

    Raises:
        UsageError: there are more than MOST_SEQUENCES.
    """
    check_enumerable(policy, max_length)
    letters = _letters(policy)
    rows: list[list[int]] = []
    beginnings: list[list[int]] = [[]]
    for _ in range(max_length):
        rows += [[*beginning, END_INDEX] for beginning in beginnings]
        beginnings = [[*beginning, letter] for beginning in beginnings for letter in letters]
    rows += beginnings  # cut off before their end
    tokens = torch.tensor(
        [row + [PAD_INDEX] * (max_length - len(row)) for row in rows], dtype=torch.int64, device=policy.device
    )
    return Sequences(tokens=tokens, reshaped_log_probs=None)


def check_enumerable(policy: Policy, max_length: int) -> None:
    """Nothing, if a policy has few enough sequences for `enumerate_sequences`.

    Raises:
        UsageError: it has not.
    """
    n = len(_letters(policy))
    if sum(n**depth for depth in range(max_length + 1)) > MOST_SEQUENCES:
        raise UsageError(
            f"exact: {n} tokens in up to {max_length} places make more than {MOST_SEQUENCES:,} "
            "sequences; take a prior of fewer tokens, or a smaller --max-length"
        )


def _letters(policy: Policy) -> list[int]:
    """The tokens that a molecule is written with."""
    return [i for i in range(len(policy.tokenizer)) if i not in (PAD_INDEX, START_INDEX, END_INDEX)]
