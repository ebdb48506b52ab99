import pytest
import torch

from moldesign.language.tokenizer import END_INDEX, PAD_INDEX, SPECIALS, Tokenizer
from moldesign.policy.policy import Policy
from moldesign.policy.prefixes import PrefixTree
from moldesign.policy.settings import Architecture

ALONG = torch.tensor([[3, 4, 5, 6, 7, END_INDEX], [3, 3, END_INDEX, PAD_INDEX, PAD_INDEX, PAD_INDEX]])


@pytest.fixture
def policy() -> Policy:
    shape = Architecture(layers=3, hidden_size=24, embedding_size=10)
    policy = Policy.fresh(shape, Tokenizer([*SPECIALS, *"BCNOPSFI"]), seed=3)
    policy.half_precision = False
    with torch.no_grad():
        for parameter in policy.network.parameters():
            parameter.mul_(2)
    return policy


def both(drawn: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
    width = max(drawn.shape[1], along.shape[1])
    pad = torch.nn.functional.pad
    return torch.cat([pad(part, (0, width - part.shape[1]), value=PAD_INDEX) for part in (drawn, along)])


def gradients(policy: Policy, log_probs: torch.Tensor) -> list[torch.Tensor]:
    policy.network.zero_grad()
    generator = torch.Generator().manual_seed(5)
    (log_probs * torch.randn(log_probs.shape, generator=generator)).sum().backward()
    return [p.grad.clone() for p in policy.network.parameters() if p.grad is not None]


@pytest.mark.parametrize("along", [ALONG, torch.zeros((0, 1), dtype=torch.int64)])
@pytest.mark.parametrize("max_length", [9, 60])
def test_what_was_computed_while_drawing_gives_the_same_log_probs_and_gradients(
    policy: Policy, along: torch.Tensor, max_length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = policy.draw(80, seed=2, max_length=max_length)
    drawn = policy.draw(80, seed=2, max_length=max_length, along=along)
    assert torch.equal(drawn.tokens, plain.tokens)  # what is read along changes nothing
    assert plain.reading is None
    tokens = both(drawn.tokens, along)
    expected = policy.log_probs(tokens)
    by_recomputing = gradients(policy, expected)

    def never(_: torch.Tensor) -> PrefixTree:
        raise AssertionError("the tree is there")

    assert drawn.reading is not None
    monkeypatch.setattr(PrefixTree, "of", never)
    found = policy.log_probs(tokens, drawn.reading)
    assert torch.allclose(found, expected, atol=1e-5)
    for mine, other in zip(gradients(policy, found), by_recomputing, strict=True):
        assert float((mine - other).norm() / other.norm()) < 1e-5


def test_a_reading_of_other_weights_is_not_used(policy: Policy) -> None:
    drawn = policy.draw(30, seed=2, max_length=20, along=ALONG)
    tokens = both(drawn.tokens, ALONG)
    optimizer = torch.optim.Adam(policy.network.parameters(), lr=0.05, fused=True)
    gradients(policy, policy.log_probs(tokens, drawn.reading))
    optimizer.step()
    assert torch.equal(policy.log_probs(tokens, drawn.reading), policy.log_probs(tokens))


def test_a_reading_of_other_tokens_is_not_used(policy: Policy) -> None:
    drawn = policy.draw(30, seed=2, max_length=20, along=ALONG)
    for others in (drawn.tokens, both(drawn.tokens, ALONG.flip(0))):
        assert torch.equal(policy.log_probs(others, drawn.reading), policy.log_probs(others))


def test_a_large_batch_is_drawn_without(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moldesign.policy.sampler.WAVE", 31)
    drawn = policy.draw(30, seed=2, max_length=20, along=ALONG)
    assert drawn.reading is None
    assert torch.equal(drawn.tokens, policy.draw(30, seed=2, max_length=20).tokens)


def test_half_precision_reads_what_it_drew() -> None:
    policy = Policy.fresh(
        Architecture(layers=2, hidden_size=64, embedding_size=16), Tokenizer.for_corpus([]), seed=0
    )
    drawn = policy.draw(50, seed=3, max_length=30, along=ALONG)
    tokens = both(drawn.tokens, ALONG)
    assert torch.allclose(policy.log_probs(tokens, drawn.reading), policy.log_probs(tokens), atol=0.02)
