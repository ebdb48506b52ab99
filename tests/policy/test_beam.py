"""Drawing without replacement, the greedy probe, enumeration."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import prod

import numpy as np
import pytest
import torch

from moldesign.errors import UsageError
from moldesign.language.tokenizer import END_INDEX, PAD_INDEX, SPECIALS, Tokenizer
from moldesign.policy.beam import draw_without_replacement, enumerate_sequences, with_greedy
from moldesign.policy.policy import Policy
from moldesign.policy.settings import Architecture

LENGTH = 3


@pytest.fixture
def letters() -> Policy:
    """Writes 13 sequences of C and N, of at most three tokens, none like another."""
    policy = Policy.fresh(
        Architecture(layers=2, hidden_size=6, embedding_size=4), Tokenizer([*SPECIALS, "C", "N"])
    )
    with torch.no_grad():
        for parameter in policy.network.parameters():
            parameter.mul_(3.0)
    policy.half_precision = False
    return policy


def names(tokens: torch.Tensor) -> list[tuple[int, ...]]:
    return [tuple(token for token in row if token != PAD_INDEX) for row in tokens.tolist()]


def test_every_sequence_is_enumerated_once(letters: Policy) -> None:
    every = enumerate_sequences(letters, LENGTH).tokens
    rows = names(every)
    assert len(set(rows)) == len(rows) == 1 + 2 + 4 + 8
    assert float(letters.score(every).sum(1).exp().sum()) == pytest.approx(1.0, abs=1e-5)
    assert all(END_INDEX not in row[:-1] for row in rows)


def test_too_many_to_enumerate_are_refused(letters: Policy) -> None:
    with pytest.raises(UsageError, match=r"exact: 2 tokens in up to 20 places make more than 50,000 seq"):
        enumerate_sequences(letters, 20)


def test_what_is_drawn_is_different_and_comes_as_often_as_without_replacement(letters: Policy) -> None:
    every = enumerate_sequences(letters, LENGTH).tokens
    pi = dict(zip(names(every), letters.score(every).sum(1).exp().tolist(), strict=True))
    n = 3000
    firsts: Counter[tuple[int, ...]] = Counter()
    pairs: Counter[tuple[tuple[int, ...], ...]] = Counter()
    for seed in range(n):
        rows = names(draw_without_replacement(letters, 2, seed=seed, max_length=LENGTH).tokens)
        assert len(set(rows)) == 2
        firsts[rows[0]] += 1
        pairs[tuple(rows)] += 1
    for name, share in pi.items():
        assert firsts[name] / n == pytest.approx(share, abs=4.5 * (share * (1 - share) / n) ** 0.5 + 1e-3)
    for (first, second), count in pairs.most_common(6):
        expected = pi[first] * pi[second] / (1 - pi[first])
        assert count / n == pytest.approx(expected, abs=4.5 * (expected / n) ** 0.5)


def test_all_there_is_is_drawn_once_in_the_order_of_their_keys(letters: Policy) -> None:
    drawn = draw_without_replacement(letters, 40, seed=3, max_length=LENGTH)
    assert sorted(names(drawn.tokens)) == sorted(names(enumerate_sequences(letters, LENGTH).tokens))
    # Fewer are the first of more: keys do not depend on how many are kept.
    assert drawn.reshaped_log_probs is None


def test_the_draw_depends_on_the_seed_and_the_number_of_the_batch(letters: Policy) -> None:
    def draw(seed: int, first: int) -> list[tuple[int, ...]]:
        return names(draw_without_replacement(letters, 4, seed=seed, first_index=first, max_length=9).tokens)

    assert draw(1, 0) == draw(1, 0)
    assert len({tuple(draw(seed, first)) for seed in (1, 2, 3) for first in (0, 4, 8)}) > 5


def test_the_probe_is_the_likeliest_action_after_action(letters: Policy) -> None:
    drawn = letters.draw(5, seed=0, max_length=LENGTH)
    both = with_greedy(drawn, letters, LENGTH)
    assert both.probes == 1
    np.testing.assert_array_equal(both.tokens[:5, : drawn.tokens.shape[1]], drawn.tokens)
    distribution = letters.read(both.tokens[5:], distribution=True).distribution
    assert distribution is not None
    row = names(both.tokens[5:])[0]
    assert [int(best) for best in distribution[0, : len(row)].argmax(1)] == list(row)
    shares = [float(share) for share in letters.score(both.tokens[5:])[0, : len(row)].exp()]
    assert prod(shares) > 0
    reshaped = replace(drawn, reshaped_log_probs=torch.zeros(drawn.tokens.shape, dtype=torch.float64))
    found = with_greedy(reshaped, letters, LENGTH).reshaped_log_probs
    assert found is not None
    assert found.shape == both.tokens.shape
