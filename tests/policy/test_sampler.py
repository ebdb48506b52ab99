import math
from typing import Any

import pytest
import torch

from moldesign.language.tokenizer import END_INDEX, PAD_INDEX
from moldesign.policy import sampler
from moldesign.policy.inference import InferenceNetwork
from moldesign.policy.policy import Policy
from moldesign.policy.products import room
from moldesign.policy.sampler import choose, draw, drawing_distribution

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
    cumulative = probabilities.cumsum(-1)
    for u, token in [(0.0, 2), (0.2499, 2), (0.25, 3), (0.7499, 3), (0.75, 5), (last, 5)]:
        assert choose(cumulative, torch.tensor([u], dtype=torch.float64)).tolist() == [token]
    # Rounding may leave a sum short of one; the last number still finds a token of some mass.
    assert choose(cumulative * (1 - 1e-9), torch.tensor([last], dtype=torch.float64)).tolist() == [5]


def one_by_one(network: InferenceNetwork, n: int, **options: Any) -> list[list[int]]:
    return [
        [int(t) for t in draw(network, 1, first_index=i, **options).tokens[0] if t != PAD_INDEX]
        for i in range(n)
    ]


def written(tokens: torch.Tensor) -> list[list[int]]:
    return [[t for t in row if t != PAD_INDEX] for row in tokens.tolist()]


@pytest.mark.parametrize("wave", [1, 7, 40, 1024])
def test_sharing_leaving_and_refilling_change_no_sequence(
    tiny: Policy, monkeypatch: pytest.MonkeyPatch, wave: int
) -> None:
    network = InferenceNetwork(tiny.network, half_precision=False)
    options: dict[str, Any] = {"seed": 11, "max_length": 6, "temperature": 1.3, "top_p": 0.95}
    alone = one_by_one(network, 150, **options)
    assert len({len(row) for row in alone}) > 4  # some end early, some late
    assert sum(row[-1] != END_INDEX for row in alone) >= 1  # and some not at all
    monkeypatch.setattr(sampler, "WAVE", wave)
    together = draw(network, 150, **options)
    assert written(together.tokens) == alone
    assert together.reshaped_log_probs is not None
    assert torch.equal(together.reshaped_log_probs == 0, together.tokens == PAD_INDEX)


def test_drawing_ends_with_its_longest_sequence(tiny: Policy) -> None:
    drawn = draw(InferenceNetwork(tiny.network), 3, seed=0, max_length=500)
    assert drawn.tokens.shape[1] == int((drawn.tokens != PAD_INDEX).sum(1).max()) < 500
    assert drawn.reshaped_log_probs is None


def test_a_state_is_computed_once_for_all_who_are_in_it(
    tiny: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def states_read(tokens: torch.Tensor) -> list[int]:
        """Of each step the different beginnings that a token was drawn after."""
        rows = written(tokens)
        return [len({tuple(row[:i]) for row in rows if len(row) > i}) for i in range(tokens.shape[1])]

    network = InferenceNetwork(tiny.network)
    drawn = draw(network, 200, seed=4, max_length=12)
    root, *states = states_read(drawn.tokens)
    count = int((drawn.tokens != PAD_INDEX).sum())
    assert network.rows == root + sum(map(room, states)) < 0.5 * count
    assert network.steps == drawn.tokens.shape[1]
    # Those that begin later share among themselves; no state is computed for a sequence that has ended.
    monkeypatch.setattr(sampler, "WAVE", 16)
    later = InferenceNetwork(tiny.network)
    assert torch.equal(draw(later, 200, seed=4, max_length=12).tokens, drawn.tokens)
    assert network.rows < later.rows < count


def test_nothing_is_drawn_of_nothing(tiny: Policy) -> None:
    assert draw(InferenceNetwork(tiny.network), 0, seed=0, max_length=9).tokens.shape == (0, 1)


def test_what_has_begun_goes_on_as_the_policy_would(tiny: Policy) -> None:
    # One beginning for all: what comes next is drawn from the policy's own distribution after it.
    token = 4
    tokens = tiny.draw(4000, seed=2, max_length=5, beginnings=[[token]] * 4000).tokens
    assert bool((tokens[:, 0] == token).all())
    counts = torch.bincount(tokens[:, 1], minlength=len(tiny.tokenizer)).double()
    forward = tiny.read(torch.tensor([[token, END_INDEX]]), distribution=True)
    assert forward.distribution is not None
    expected = 4000 * forward.distribution[0, 1].detach().double().exp()
    assert float(((counts - expected).abs() / (expected + 1).sqrt()).max()) < 5


def test_each_row_has_a_beginning_of_its_own(tiny: Policy) -> None:
    beginnings = [[], [4], [5, 4, 4], [4, 5, 5, 5, 5, 5, 5, 5]]
    drawn = tiny.draw(4, seed=2, max_length=6, beginnings=beginnings).tokens
    for row, beginning in zip(written(drawn), beginnings, strict=True):
        assert row[: len(beginning)] == beginning[:6]
    # Without one a row is what it would be anyway.
    assert written(drawn)[0] == written(tiny.draw(1, seed=2, max_length=6).tokens)[0]
