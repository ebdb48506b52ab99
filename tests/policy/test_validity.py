from itertools import product
from pathlib import Path

import pytest
import torch

from moldesign.chem import molecules
from moldesign.language.tokenizer import SPECIALS, Tokenizer
from moldesign.policy.checkpoint import Provenance
from moldesign.policy.policy import Policy
from moldesign.policy.pretraining import Pretraining, StepReport
from moldesign.policy.settings import Architecture, PretrainSettings
from moldesign.policy.validity import drawn_invalid

LETTERS = ["C", "N", "("]


@pytest.fixture
def terse() -> Policy:
    """A policy over three letters that seldom writes more than seven of them."""
    shape = Architecture(layers=1, hidden_size=8, embedding_size=4)
    policy = Policy.fresh(shape, Tokenizer([*SPECIALS, *LETTERS]), seed=1)
    policy.half_precision = False
    with torch.no_grad():
        policy.network.head.bias[2] += 1.8
    return policy


def test_they_are_the_drawn_sequences_that_rdkit_cannot_read(terse: Policy) -> None:
    drawn = terse.sample(300, seed=7, first_index=40)
    wrong = [text for text in terse.decode(drawn) if molecules.parse(text) is None]
    assert 30 < len(wrong) < 270
    invalid = drawn_invalid(terse, 300, seed=7, first_index=40)
    assert [terse.tokenizer.decode(row) for row in invalid.tolist()] == wrong


def test_a_sequence_that_never_ends_is_among_them(terse: Policy) -> None:
    with torch.no_grad():
        terse.network.head.bias[2] = -1e9
        terse.network.head.bias[5] = -1e9
    # C and N alone: each sequence would be a molecule, had it an end.
    assert drawn_invalid(terse, 5, seed=0, first_index=0).shape == (5, 140)


def test_where_all_are_valid_there_are_none(terse: Policy) -> None:
    with torch.no_grad():
        terse.network.head.bias[3] += 1e9
        terse.network.head.weight.zero_()
        terse.network.head.bias[2] += 1e9
        terse.network.embedding.weight.zero_()
    # Either C or the end, as likely: the empty SMILES is none.
    rows = drawn_invalid(terse, 50, seed=0, first_index=0)
    assert {terse.tokenizer.decode(row) for row in rows.tolist()} == {""}
    with torch.no_grad():
        terse.network.head.bias[2] = 0.0
        terse.network.head.bias[3] = 1e9
    assert len(drawn_invalid(terse, 3, seed=0, first_index=0)) == 3


def test_their_likelihood_estimates_the_gradient_of_validity_without_bias(terse: Policy) -> None:
    bias = terse.network.head.bias
    # P(valid) by enumeration: the sequences of up to 7 letters hold all but a hair of the probability.
    texts = ["".join(letters) for n in range(8) for letters in product(LETTERS, repeat=n)]
    probabilities = terse.log_probs(terse.encode(texts)).sum(1).exp()
    assert probabilities.detach().sum() > 0.999
    valid = torch.tensor([molecules.parse(text) is not None for text in texts])
    (exact,) = torch.autograd.grad(probabilities[valid].sum(), bias)

    def estimate(seed: int) -> torch.Tensor:
        rows = drawn_invalid(terse, 200, seed=seed, first_index=0)
        (gradient,) = torch.autograd.grad(-terse.log_probs(rows).sum() / 200, bias)
        return gradient

    estimates = torch.stack([estimate(seed) for seed in range(60)])
    error = (estimates.mean(0) - exact)[2:] / (estimates.std(0) / 60**0.5)[2:]
    assert error.abs().max() < 4.5
    # The wrong sign would be far off.
    assert ((-estimates.mean(0) - exact)[2:] / (estimates.std(0) / 60**0.5)[2:]).abs().max() > 9


def test_with_it_a_training_writes_more_that_is_valid(tmp_path: Path) -> None:
    # Branches and rings of several sizes: a network of 24 units closes them only now and then.
    rings = [f"C1{'C' * n}({'N' * m})C{'O' * k}1" for n in range(1, 5) for m in range(1, 4) for k in range(4)]

    def share(weight: float, seed: int) -> float:
        shape = Architecture(layers=1, hidden_size=24, embedding_size=12)
        settings = PretrainSettings(
            epochs=60, batch_size=12, learning_rate=0.03, adamw_learning_rate=0.01,
            warmup_steps=5, validation_share=0, validity_weight=weight, seed=seed,
        )  # fmt: skip
        policy = Policy.fresh(shape, Tokenizer.for_corpus([]), seed=seed)
        reports: list[StepReport] = []
        run = Pretraining(rings, policy, settings, tmp_path / f"{weight}-{seed}", Provenance())
        run.run(on_step=reports.append)
        drew = [report.step for report in reports if report.valid_share is not None]
        assert drew == (list(range(121, 241)) if weight else [])
        drawn = policy.sample(400, seed=99)
        return sum(molecules.parse(text) is not None for text in policy.decode(drawn)) / 400

    # Each share has a standard error of at most 0.02, their means of 0.011.
    with_it, without = (sum(share(weight, seed) for seed in (0, 1, 2)) / 3 for weight in (10.0, 0.0))
    assert with_it > without + 0.04
