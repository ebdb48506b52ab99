"""What half precision changes in what is drawn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from moldesign.chem.molecules import parse
from moldesign.language.tokenizer import START_INDEX
from moldesign.policy import sampler
from moldesign.policy.inference import InferenceNetwork
from moldesign.policy.policy import MAX_LENGTH, Policy
from moldesign.policy.trajectories import Sequences


def fidelity(policy: Policy, n: int, *, read: int = 1000, seed: int = 0) -> dict[str, Any]:
    """How far the engine's half precision is from full precision, with the same weights.

    Args:
        n: molecules drawn in each precision, from the same random numbers, for the valid share.
        read: of these, so many that both precisions read for the divergence.

    Returns:
        kl_a_token: mean of KL(half || full) over the tokens of drawn molecules, nats;
        log_prob_difference: standard deviation over molecules of log p, nats; valid_half and
        valid_full: shares of what was drawn; equal: share of sequences that are the same in both.
    """
    half = InferenceNetwork(policy.network)
    full = InferenceNetwork(policy.network, half_precision=False)
    drawn = [sampler.draw(network, n, seed=seed, max_length=MAX_LENGTH) for network in (half, full)]
    valid = [_valid_share(policy, sequences) for sequences in drawn]
    tokens = drawn[0].tokens[:read]
    steps = drawn[0].valid_steps[:read]
    divergence, difference = _divergence(half, full, tokens, steps)
    written = [policy.decode(sequences) for sequences in drawn]
    return {
        "molecules": n,
        "kl_a_token": divergence,
        "log_prob_difference": difference,
        "valid_half": valid[0],
        "valid_full": valid[1],
        "equal": sum(a == b for a, b in zip(*written, strict=True)) / n,
    }


def _valid_share(policy: Policy, sequences: Sequences) -> float:
    texts = policy.decode(sequences)
    return sum(text != "" and parse(text) is not None for text in texts) / len(texts)


@torch.inference_mode()
def _divergence(
    half: InferenceNetwork, full: InferenceNetwork, tokens: Tensor, valid: Tensor
) -> tuple[float, float]:
    """Mean KL a token, and the standard deviation of the difference of log p a sequence."""
    last = torch.full_like(tokens[:, 0], START_INDEX)
    states, full_states = half.start(len(tokens)), full.start(len(tokens))
    total = torch.zeros((), dtype=torch.float64)
    differences = torch.zeros(len(tokens), dtype=torch.float64)
    for step in range(tokens.shape[1]):
        logits, states = half.step(last, states)
        full_logits, full_states = full.step(last, full_states)
        p, q = logits.double().log_softmax(-1), full_logits.double().log_softmax(-1)
        # Where both are -inf, at pad and start, there is no divergence.
        total += (p.exp() * (p - q)).nan_to_num(0.0).sum(-1)[valid[:, step]].sum()
        last = tokens[:, step]
        gap = (p - q).gather(1, last[:, None])[:, 0].nan_to_num(0.0)
        differences += gap.where(valid[:, step], torch.zeros_like(gap))
    return float(total / valid.sum()), float(differences.std())
