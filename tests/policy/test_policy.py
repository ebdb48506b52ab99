import math
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from moldesign.language.tokenizer import END_INDEX, PAD_INDEX, START_INDEX, Tokenizer
from moldesign.policy import sampler
from moldesign.policy.policy import Policy
from moldesign.policy.settings import Architecture

MAX_LENGTH = 4


def language() -> torch.Tensor:
    """Every sequence of at most 4 actions over three atoms: ended, or cut off at 4."""
    ended = [[*atoms, END_INDEX] for n in range(MAX_LENGTH) for atoms in product((3, 4, 5), repeat=n)]
    cut = [list(atoms) for atoms in product((3, 4, 5), repeat=MAX_LENGTH)]
    rows = [row + [PAD_INDEX] * (MAX_LENGTH - len(row)) for row in ended + cut]
    return torch.tensor(rows)


def keys(tokens: torch.Tensor) -> list[tuple[int, ...]]:
    padded = F.pad(tokens, (0, MAX_LENGTH - tokens.shape[1]), value=PAD_INDEX)
    return [tuple(row) for row in padded.tolist()]


def test_probabilities_of_the_whole_language_and_of_what_is_cut_off_sum_to_one(tiny: Policy) -> None:
    tokens = language()
    probabilities = tiny.score(tokens).double().sum(1).exp()
    assert len(tokens) == 1 + 3 + 9 + 27 + 81
    assert float(probabilities.sum()) == pytest.approx(1, abs=1e-5)
    assert float(probabilities.max()) > 3 * float(probabilities.median())  # it is no uniform policy


def test_log_probs_stop_at_the_end_token(tiny: Policy) -> None:
    short = torch.tensor([[3, 4, END_INDEX]])
    alone = tiny.log_probs(short)
    padded = tiny.log_probs(F.pad(short, (0, 5)))
    assert torch.allclose(padded[:, :3], alone, atol=1e-6)
    assert torch.equal(padded[:, 3:], torch.zeros(1, 5))
    other_batch = tiny.log_probs(torch.tensor([[5, 5, 5, 5, 5, 5, 5, 2], [3, 4, 2, 0, 0, 0, 0, 0]]))
    assert torch.allclose(other_batch[1, :3], alone[0], atol=1e-6)
    assert torch.allclose(tiny.score(F.pad(short, (0, 5))), padded, atol=1e-6)


def test_log_probs_have_a_gradient_that_padding_does_not_change(tiny: Policy) -> None:
    gradients = []
    for width in (0, 6):
        tiny.network.zero_grad()
        tiny.log_probs(F.pad(torch.tensor([[3, 4, END_INDEX]]), (0, width))).sum().backward()
        gradients.append([p.grad.clone() for p in tiny.network.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(list(tiny.network.parameters()))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*gradients, strict=True))
    # No weight of the actions that are never taken: padding and start.
    assert tiny.network.head.bias.grad is not None
    assert tiny.network.head.bias.grad[[PAD_INDEX, START_INDEX]].tolist() == [0, 0]


def test_samples_are_as_frequent_as_they_are_probable(tiny: Policy) -> None:
    n = 6000
    tokens = language()
    expected = tiny.score(tokens).double().sum(1).exp().numpy() * n
    place = {key: i for i, key in enumerate(keys(tokens))}
    drawn = tiny.sample(n, seed=5, max_length=MAX_LENGTH)
    counts = np.bincount([place[key] for key in keys(drawn.tokens)], minlength=len(tokens))
    usual = expected >= 5
    observed = np.append(counts[usual], counts[~usual].sum())
    wanted = np.append(expected[usual], expected[~usual].sum())
    chi_square = float(((observed - wanted) ** 2 / wanted).sum())
    freedom = len(observed) - 1
    assert freedom > 20
    assert abs(chi_square - freedom) < 4 * math.sqrt(2 * freedom)


def test_a_sample_knows_its_log_probs_and_whether_it_ended(tiny: Policy) -> None:
    drawn = tiny.sample(200, seed=1, max_length=MAX_LENGTH)
    assert torch.allclose(drawn.log_probs, tiny.log_probs(drawn.tokens), atol=1e-5)
    assert torch.allclose(drawn.nll, -drawn.log_probs.sum(1))
    assert torch.equal(drawn.valid_steps, drawn.tokens != PAD_INDEX)
    assert drawn.finished.tolist() == [END_INDEX in row for row in drawn.tokens.tolist()]
    assert 0 < int(drawn.finished.sum()) < 200
    texts = tiny.decode(drawn)
    for text, row, finished in zip(texts, drawn.tokens.tolist(), drawn.finished.tolist(), strict=True):
        assert text == ("".join(" CNO"[i - 2] for i in row if i > END_INDEX) if finished else "")


def test_a_sample_depends_on_seed_and_index_alone(tiny: Policy) -> None:
    everything = keys(tiny.sample(300, seed=7, max_length=MAX_LENGTH).tokens)
    pieces = [
        key
        for first in range(0, 300, 100)
        for key in keys(tiny.sample(100, seed=7, first_index=first, max_length=MAX_LENGTH).tokens)
    ]
    assert pieces == everything
    assert keys(tiny.sample(1, seed=7, first_index=250, max_length=MAX_LENGTH).tokens)[0] == everything[250]
    assert keys(tiny.sample(300, seed=8, max_length=MAX_LENGTH).tokens) != everything


def test_a_chunk_is_no_border(tiny: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tiny.sample(100, seed=7, temperature=2.0)
    monkeypatch.setattr("moldesign.policy.sampler.WAVE", 7)
    monkeypatch.setattr("moldesign.policy.policy._SCORE_BATCH", 11)
    chunked = tiny.sample(100, seed=7, temperature=2.0)
    assert torch.equal(chunked.tokens, whole.tokens)
    assert torch.allclose(chunked.log_probs, whole.log_probs, atol=1e-5)
    assert torch.allclose(chunked.drawing_log_probs, whole.drawing_log_probs, atol=1e-5)


def test_drawing_in_half_precision_repeats() -> None:
    policy = Policy.fresh(
        Architecture(layers=1, hidden_size=32, embedding_size=16), Tokenizer.for_corpus([]), seed=0
    )
    first, second = (policy.sample(50, seed=3, max_length=30) for _ in range(2))
    assert torch.equal(first.tokens, second.tokens)
    assert torch.equal(first.log_probs, second.log_probs)
    exact = Policy(policy.network, policy.tokenizer, half_precision=False)
    assert torch.allclose(first.log_probs, exact.score(first.tokens), atol=0.05)


@pytest.mark.parametrize(("temperature", "top_p"), [(0.5, 1.0), (1.7, 1.0), (1.0, 0.6), (0.8, 0.7)])
def test_probabilities_of_drawing_are_kept_apart_from_those_of_the_policy(
    tiny: Policy, temperature: float, top_p: float
) -> None:
    drawn = tiny.sample(150, seed=2, temperature=temperature, top_p=top_p, max_length=6)
    assert torch.allclose(drawn.log_probs, tiny.log_probs(drawn.tokens), atol=1e-5)
    with torch.no_grad():
        logits = tiny.logits(drawn.tokens)
    reshaped = torch.stack([sampler.drawing_distribution(step, temperature, top_p) for step in logits])
    expected = reshaped.log().gather(2, drawn.tokens.t()[..., None])[..., 0].t()
    expected = expected.masked_fill(~drawn.valid_steps, 0.0)
    assert torch.allclose(drawn.drawing_log_probs.double(), expected, atol=1e-4)
    assert not torch.allclose(drawn.drawing_log_probs, drawn.log_probs, atol=1e-2)


def test_at_temperature_1_drawing_is_the_policy(tiny: Policy) -> None:
    drawn = tiny.sample(20, seed=2)
    assert torch.equal(drawn.drawing_log_probs, drawn.log_probs)


def test_padding_and_start_are_never_written(tiny: Policy) -> None:
    with torch.no_grad():
        tiny.network.head.bias[[PAD_INDEX, START_INDEX]] = 50.0
    for temperature, top_p in ((1.0, 1.0), (10.0, 1.0), (1.0, 0.1)):
        drawn = tiny.sample(200, seed=0, temperature=temperature, top_p=top_p, max_length=MAX_LENGTH)
        assert not (drawn.tokens == START_INDEX).any()
        assert not (drawn.tokens[:, 0] == PAD_INDEX).any()
        assert set(keys(drawn.tokens)) <= set(keys(language()))
    assert float(tiny.score(language()).double().sum(1).exp().sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "options",
    [{"temperature": value} for value in (0.0, -1.0, math.nan, math.inf)]
    + [{"top_p": value} for value in (0.0, 1.1, math.nan)],
)
def test_impossible_temperature_and_top_p_are_refused(tiny: Policy, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="temperature must be positive"):
        tiny.sample(1, seed=0, **options)


def test_no_samples_are_an_empty_batch(tiny: Policy) -> None:
    drawn = tiny.sample(0, seed=0)
    assert len(drawn) == 0
    assert tiny.decode(drawn) == []


def test_nll_of_smiles_is_nan_where_a_token_is_unknown(tiny: Policy) -> None:
    nll = tiny.nll(["CCO", "CF", "N", "?"])
    assert np.isnan(nll).tolist() == [False, True, False, True]
    assert nll[0] == pytest.approx(-float(tiny.score(tiny.encode(["CCO"])).sum()), abs=1e-5)
    assert np.isnan(tiny.nll(["F"])).all()


def test_dropout_is_off_but_in_pretraining() -> None:
    shape = Architecture(layers=2, hidden_size=16, embedding_size=8, dropout=0.5)
    policy = Policy.fresh(shape, Tokenizer.for_corpus([]), seed=0)
    tokens = policy.encode(["CCO", "c1ccccc1"])
    policy.network.train()  # the mode in which CUDA differentiates a recurrent layer
    assert torch.equal(policy.log_probs(tokens), policy.log_probs(tokens))
    policy.network.use_dropout(True)
    assert not torch.equal(policy.log_probs(tokens), policy.log_probs(tokens))
    assert torch.equal(policy.score(tokens), policy.score(tokens))


def test_a_clone_is_independent(tiny: Policy) -> None:
    before = tiny.score(language())
    clone = tiny.clone()
    assert torch.equal(clone.score(language()), before)
    assert not clone.half_precision
    with torch.no_grad():
        clone.network.head.bias.add_(1)
        clone.network.head.bias[3] += 1
    assert torch.equal(tiny.score(language()), before)
    assert not torch.equal(clone.score(language()), before)


def test_fresh_weights_are_a_function_of_the_seed_and_leave_the_generator_alone() -> None:
    shape, tokenizer = Architecture(layers=1, hidden_size=4, embedding_size=4), Tokenizer.for_corpus([])
    before = torch.get_rng_state()
    heads = [Policy.fresh(shape, tokenizer, seed=seed).network.head.weight for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
