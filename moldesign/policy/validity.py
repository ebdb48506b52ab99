"""Sequences that a policy writes and that mean no molecule: what the validity gradient pushes down."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from moldesign.chem import molecules
from moldesign.language.tokenizer import PAD_INDEX
from moldesign.policy.policy import Policy


def drawn_invalid(policy: Policy, n: int, *, seed: int, first_index: int) -> Tensor:
    """(k, T) tokens of those of n sequences drawn from the policy that RDKit cannot read, or that never end.

    With the indicator of validity as reward and a baseline of 1, they alone bear a gradient: that of
    P(valid) is E[(1 - 1) grad log pi] over the valid and E[(0 - 1) grad log pi] over the rest (Williams
    1992, eq. 11). So 1/n of the sum of their negative log-likelihoods estimates it without bias.
    """
    drawn = policy.draw(n, seed=seed, first_index=first_index)
    tokens, ended = drawn.tokens, drawn.finished.tolist()
    texts = map(policy.tokenizer.decode, tokens.tolist())
    invalid = [not end or molecules.parse(text) is None for text, end in zip(texts, ended, strict=True)]
    rows = tokens[torch.from_numpy(np.array(invalid, dtype=bool)).to(tokens.device)]
    width = int((rows != PAD_INDEX).sum(1).max()) if len(rows) else 0
    return rows[:, :width].clone()
