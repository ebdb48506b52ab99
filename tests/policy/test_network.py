import pytest
import torch

from moldesign.policy.network import Network, select_rows
from moldesign.policy.settings import Architecture


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_state_carries_on_where_it_was_left_and_rows_can_be_taken_from_it(cell: str) -> None:
    torch.manual_seed(0)
    shape = Architecture.model_validate({"cell": cell, "layers": 2, "hidden_size": 6, "embedding_size": 3})
    network = Network(shape, 7)
    tokens = torch.randint(7, (5, 4))
    with torch.no_grad():
        whole, _ = network(tokens)
        first, state = network(tokens[:2])
        rows = torch.tensor([3, 1])
        rest, _ = network(tokens[2:, rows], select_rows(state, rows))
    assert whole.shape == (5, 4, 7)
    assert torch.allclose(first, whole[:2], atol=1e-6)
    assert torch.allclose(rest, whole[2:, rows], atol=1e-6)
