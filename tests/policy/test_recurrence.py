import pytest
import torch
import torch.nn.functional as F

from moldesign.language.tokenizer import END_INDEX, PAD_INDEX, SPECIALS, Tokenizer
from moldesign.policy import products
from moldesign.policy.policy import Policy
from moldesign.policy.prefixes import PrefixTree
from moldesign.policy.products import room
from moldesign.policy.settings import Architecture


@pytest.fixture
def policy() -> Policy:
    shape = Architecture(layers=3, hidden_size=24, embedding_size=10)
    policy = Policy.fresh(shape, Tokenizer([*SPECIALS, *"BCNOPSFI"]), seed=3)
    with torch.no_grad():
        for parameter in policy.network.parameters():
            parameter.mul_(2)
    return policy


def batch(rows: int = 40) -> torch.Tensor:
    """(rows, 14) tokens, some of them cut off, with beginnings that many share."""
    generator = torch.Generator().manual_seed(1)
    shared = torch.randint(3, 5, (rows, 4), generator=generator)
    own = torch.randint(2, 11, (rows, 10), generator=generator)
    tokens = torch.cat([shared, own], 1)
    ended = (tokens == END_INDEX).cumsum(1) - (tokens == END_INDEX).long() > 0
    return tokens.masked_fill(ended, PAD_INDEX)


def gradients(policy: Policy, log_probs: torch.Tensor) -> list[torch.Tensor]:
    """Of a loss in which every sequence, and every action, has a weight of its own."""
    policy.network.zero_grad()
    generator = torch.Generator().manual_seed(5)
    (log_probs * torch.randn(log_probs.shape, generator=generator)).sum().backward()
    return [p.grad.clone() for p in policy.network.parameters() if p.grad is not None]


def by_torch(policy: Policy, tokens: torch.Tensor) -> torch.Tensor:
    """(B, T) log-probabilities by torch's own recurrent layer, padding and all."""
    losses = F.cross_entropy(
        policy.logits(tokens).flatten(0, 1),
        tokens.t().flatten(),
        ignore_index=PAD_INDEX,
        reduction="none",
    )
    return -losses.view(tokens.t().shape).t()


@pytest.mark.parametrize("packed", [True, False])
def test_log_probs_and_gradients_are_those_of_torch(
    policy: Policy, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    if not packed:
        monkeypatch.setattr(products, "_packs", lambda _: False)
    policy.half_precision = False
    tokens = batch()
    assert len(PrefixTree.of(tokens)) < 0.8 * int((tokens != PAD_INDEX).sum())
    found, expected = policy.log_probs(tokens), by_torch(policy, tokens)
    assert torch.allclose(found, expected, atol=1e-5)
    ours, theirs = gradients(policy, found), gradients(policy, expected)
    assert len(ours) == len(theirs) == len(list(policy.network.parameters()))
    for mine, other in zip(ours, theirs, strict=True):
        assert float((mine - other).norm() / other.norm()) < 1e-5


def test_half_precision_is_as_near_to_the_truth_as_torch_s(policy: Policy) -> None:
    tokens = batch(200)
    policy.half_precision = False
    exact = gradients(policy, by_torch(policy, tokens))
    policy.half_precision = True
    ours = gradients(policy, policy.log_probs(tokens))
    theirs = gradients(policy, by_torch(policy, tokens))

    def error(found: list[torch.Tensor]) -> float:
        return max(float((a - b).norm() / b.norm()) for a, b in zip(found, exact, strict=True))

    assert error(ours) < max(1.5 * error(theirs), 1e-5) < 0.2


def test_dropout_between_layers_is_drawn_anew_and_off_outside_training(policy: Policy) -> None:
    policy.network.architecture = policy.network.architecture.model_copy(update={"dropout": 0.5})
    tokens = batch()
    plain = policy.log_probs(tokens)
    policy.network.use_dropout(True)
    first, second = policy.log_probs(tokens), policy.log_probs(tokens)
    assert not torch.allclose(first, second, atol=1e-3)
    assert torch.allclose(policy.score(tokens), plain.detach(), atol=0.05)
    policy.network.use_dropout(False)
    assert torch.equal(policy.log_probs(tokens), plain)


def test_work_is_that_of_the_beginnings(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    linear = products.linear

    def counting(weight: torch.Tensor, bias: torch.Tensor | None = None) -> products.Linear:
        product = linear(weight, bias)

        def multiply(inputs: torch.Tensor) -> torch.Tensor:
            rows.append(len(inputs))
            return product(inputs)

        return multiply

    monkeypatch.setattr("moldesign.policy.recurrence.linear", counting)
    tokens = batch()
    tree = PrefixTree.of(tokens)
    log_probs = policy.log_probs(tokens)
    # Of three layers the input and the own products, and the head: each beginning once, and the little room.
    own = [room(level.stop - level.start) for level in tree.levels]
    assert sum(rows) == 4 * room(len(tree)) + 3 * sum(own) < 7.9 * len(tree)
    assert len(rows) == 4 + 3 * len(tree.levels)
    rows.clear()
    log_probs.sum().backward()
    # Back level by level the own products, but for the state before the root; the others are plain products.
    assert sum(rows) == 3 * sum(own[1:])
    assert len(rows) == 3 * (len(tree.levels) - 1)
