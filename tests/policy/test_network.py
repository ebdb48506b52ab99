import pytest
import torch

from moldesign.policy.network import Network
from moldesign.policy.settings import Architecture


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_state_carries_on_where_it_was_left(cell: str) -> None:
    torch.manual_seed(0)
    shape = Architecture.model_validate({"cell": cell, "layers": 2, "hidden_size": 6, "embedding_size": 3})
    network = Network(shape, 7)
    tokens = torch.randint(7, (5, 4))
    with torch.no_grad():
        whole, _ = network(tokens)
        first, state = network(tokens[:2])
        rest, _ = network(tokens[2:], state)
    assert whole.shape == (5, 4, 7)
    assert torch.allclose(first, whole[:2], atol=1e-6)
    assert torch.allclose(rest, whole[2:], atol=1e-6)
