from __future__ import annotations

import pytest
import torch

from moldesign.policy.devices import device_facts, product_rates
from moldesign.policy.network import autocast_dtype


def test_the_facts_are_those_of_torch() -> None:
    facts = device_facts()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    assert facts["type"] == device.type
    assert len(facts["gpus"]) == torch.cuda.device_count()
    assert facts["cuda_build"] == torch.version.cuda
    assert facts["precision"] == ("bfloat16" if autocast_dtype(device) else "float32")


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_both_precisions_have_a_rate(device: str) -> None:
    rates = product_rates(torch.device(device), seconds=0.02)
    assert set(rates) == {"float32", "bfloat16"}
    # In GFLOP/s: no processor has fewer than 0.01, and no device a billion.
    assert all(1e-2 < rate < 1e9 for rate in rates.values())
