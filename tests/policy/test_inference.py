import pytest
import torch

from moldesign.assets import prior_path
from moldesign.language.tokenizer import END_INDEX, PAD_INDEX, START_INDEX, Tokenizer
from moldesign.policy import products
from moldesign.policy.checkpoint import load_policy
from moldesign.policy.inference import InferenceNetwork, select_rows
from moldesign.policy.network import autocast_dtype
from moldesign.policy.policy import Policy
from moldesign.policy.settings import Architecture

TOKENS = torch.tensor([[3, 4, 5, 3, 3], [5, 5, 4, 3, END_INDEX], [4, 3, 3, 5, 4]])


def read(network: InferenceNetwork, tokens: torch.Tensor) -> torch.Tensor:
    """(T, B, V) logits of each action given those before, a step at a time."""
    last, states = torch.full((len(tokens),), START_INDEX), network.start(len(tokens))
    logits = []
    for column in tokens.t():
        step, states = network.step(last, states)
        logits.append(step.float())
        last = column
    return torch.stack(logits)


@pytest.mark.parametrize("packed", [True, False])
def test_a_step_at_a_time_gives_the_logits_of_the_whole(
    tiny: Policy, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    if not packed:
        monkeypatch.setattr(products, "_packs", lambda _: False)
    with torch.no_grad():
        found = read(InferenceNetwork(tiny.network, half_precision=False), TOKENS)
        expected = tiny.logits(TOKENS)
    assert torch.isneginf(found[..., [PAD_INDEX, START_INDEX]]).all()
    assert torch.allclose(found[..., END_INDEX:], expected[..., END_INDEX:], atol=1e-5)


def test_half_precision_is_a_choice(tiny: Policy) -> None:
    assert InferenceNetwork(tiny.network, half_precision=False).dtype == torch.float32
    half = InferenceNetwork(tiny.network)
    assert half.dtype == (autocast_dtype(torch.device("cpu")) or torch.float32)
    with torch.no_grad():
        found, expected = read(half, TOKENS), tiny.logits(TOKENS)
    assert torch.allclose(found[..., END_INDEX:], expected[..., END_INDEX:], atol=0.2)


def test_rows_are_selected_in_any_order_and_number(tiny: Policy) -> None:
    network = InferenceNetwork(tiny.network, half_precision=False)
    _, states = network.step(torch.tensor([3, 4, 5]), network.start(3))
    chosen = select_rows(states, torch.tensor([2, 0, 2]))
    again, _ = network.step(torch.tensor([4, 4, 4]), chosen)
    expected, _ = network.step(torch.tensor([4, 4, 4]), states)
    assert torch.equal(again, expected[[2, 0, 2]])
    assert (network.steps, network.rows) == (3, 9)


def test_training_does_not_reach_a_copy(tiny: Policy) -> None:
    network = InferenceNetwork(tiny.network, half_precision=False)
    before = read(network, TOKENS)
    with torch.no_grad():
        for parameter in tiny.network.parameters():
            parameter.zero_()
    assert torch.equal(read(network, TOKENS), before)


@pytest.mark.parametrize("half_precision", [True, False])
def test_a_row_does_not_depend_on_those_beside_it_nor_on_threads(half_precision: bool) -> None:
    if not products._packs(torch.float32):
        pytest.skip("this build of torch has no packed products")
    shape = Architecture(layers=2, hidden_size=96, embedding_size=32)
    policy = Policy.fresh(shape, Tokenizer.for_corpus([]), seed=1)
    network = InferenceNetwork(policy.network, half_precision=half_precision)
    tokens = torch.randint(3, 90, (300, 4), generator=torch.Generator().manual_seed(0))
    together = read(network, tokens)
    for size in (1, 2, 3, 17, 64, 65, 299):
        assert torch.equal(read(network, tokens[:size]), together[:, :size])
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert torch.equal(read(network, tokens), together)
    finally:
        torch.set_num_threads(before)


def test_half_precision_changes_the_distribution_less_than_it_says() -> None:
    if autocast_dtype(torch.device("cpu")) is None:
        pytest.skip("no bfloat16 in hardware")
    policy, _ = load_policy(prior_path("druglike"))
    tokens = policy.draw(200, seed=9).tokens
    valid = tokens != PAD_INDEX
    exact = read(InferenceNetwork(policy.network, half_precision=False), tokens).log_softmax(-1)
    fast = read(InferenceNetwork(policy.network), tokens).log_softmax(-1)
    divergence = (fast.exp() * (fast - exact)).nan_to_num(0.0).sum(-1).t()[valid].mean()
    assert 0 < float(divergence) < 1e-3
