import math

import numpy as np
import pytest
import torch

from moldesign.policy import sampler
from moldesign.policy.policy import Policy
from moldesign.policy.sampler import choose, drawing_distribution, uniforms

LOGITS = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log()
ROOTS = math.sqrt(0.5) + 0.5 + 2 * math.sqrt(0.125)


@pytest.mark.parametrize(
    ("temperature", "top_p", "expected"),
    [
        (1.0, 1.0, [0.5, 0.25, 0.125, 0.125]),
        # p^2 = 16, 4, 1, 1 sixty-fourths, of 22.
        (0.5, 1.0, [8 / 11, 2 / 11, 1 / 22, 1 / 22]),
        (2.0, 1.0, [math.sqrt(0.5) / ROOTS, 0.5 / ROOTS, math.sqrt(0.125) / ROOTS, math.sqrt(0.125) / ROOTS]),
        # The mass before the third token is 0.75 already.
        (1.0, 0.7, [2 / 3, 1 / 3, 0, 0]),
        (1.0, 0.5, [1, 0, 0, 0]),
        (1.0, 1e-9, [1, 0, 0, 0]),
        # Of two equally probable tokens the first is taken.
        (1.0, 0.8, [4 / 7, 2 / 7, 1 / 7, 0]),
        # The nucleus is that of the tempered distribution: 16/22 is short of 0.75.
        (0.5, 0.75, [0.8, 0.2, 0, 0]),
    ],
)
def test_temperature_and_nucleus(temperature: float, top_p: float, expected: list[float]) -> None:
    found = drawing_distribution(LOGITS, temperature, top_p)
    assert found.dtype == torch.float64
    assert found[0].tolist() == pytest.approx(expected, abs=1e-7)


def test_nucleus_of_logits_out_of_order() -> None:
    shuffled = LOGITS[:, [2, 0, 3, 1]]
    assert drawing_distribution(shuffled, 1.0, 0.7)[0].tolist() == pytest.approx(
        [0, 2 / 3, 0, 1 / 3], abs=1e-7
    )


def test_a_number_chooses_the_token_whose_interval_holds_it() -> None:
    probabilities = torch.tensor([[0.0, 0.0, 0.25, 0.5, 0.0, 0.25, 0.0]], dtype=torch.float64)
    last = 1 - 2.0**-32
    for u, token in [(0.0, 2), (0.2499, 2), (0.25, 3), (0.7499, 3), (0.75, 5), (last, 5)]:
        assert choose(probabilities, torch.tensor([u], dtype=torch.float64)).tolist() == [token]
    # Rounding may leave a sum short of one; the last number still finds a token of some mass.
    assert choose(probabilities * (1 - 1e-9), torch.tensor([last], dtype=torch.float64)).tolist() == [5]


def test_uniform_numbers_belong_to_seed_and_row() -> None:
    rows = uniforms(3, 0, 50, 20)
    assert rows.min() >= 0
    assert rows.max() < 1
    assert len(np.unique(rows)) == rows.size
    assert abs(rows.mean() - 0.5) < 4 / math.sqrt(12 * rows.size)
    assert np.array_equal(uniforms(3, 40, 10, 20), rows[40:])
    assert np.array_equal(uniforms(3, 0, 50, 7), rows[:, :7])
    assert not np.isin(uniforms(4, 0, 50, 20), rows).any()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.1])
def test_leaving_finished_rows_out_changes_nothing(
    tiny: Policy, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    u = uniforms(11, 0, 150, 12)
    tokens, log_probs = sampler.draw(tiny.network, u, temperature=1.3, top_p=0.95)
    monkeypatch.setattr(sampler, "_COMPACT_BELOW", share)
    same_tokens, same_log_probs = sampler.draw(tiny.network, u, temperature=1.3, top_p=0.95)
    assert torch.equal(same_tokens, tokens)
    assert torch.allclose(same_log_probs, log_probs, atol=1e-6)


def test_drawing_ends_with_its_longest_sequence(tiny: Policy) -> None:
    tokens, log_probs = sampler.draw(tiny.network, uniforms(0, 0, 3, 500))
    assert tokens.shape == log_probs.shape
    assert tokens.shape[1] == int((tokens != 0).sum(1).max()) < 500
