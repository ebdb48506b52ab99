import pytest
import torch
import torch.nn.functional as F

from moldesign.policy import products
from moldesign.policy.products import linear, room


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("with_bias", [True, False])
def test_a_product_is_that_of_torch(dtype: torch.dtype, with_bias: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    weight, inputs = (torch.randn(n, 32, generator=generator).to(dtype) for n in (24, 9))
    bias = torch.randn(24, generator=generator).to(dtype) if with_bias else None
    expected = F.linear(inputs, weight, bias).float()
    assert torch.allclose(linear(weight, bias)(inputs).float(), expected, atol=0.06, rtol=1e-2)
    transposed = torch.randn(32, 24, generator=generator).to(dtype)
    expected = F.linear(inputs, transposed.t(), bias).float()
    assert torch.allclose(linear(transposed.t(), bias)(inputs).float(), expected, atol=0.06, rtol=1e-2)


def test_products_that_are_wrong_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_packed", lambda *_: lambda inputs: torch.zeros(len(inputs), 32))
    products._packs.cache_clear()
    try:
        assert not products._packs(torch.float32)
    finally:
        products._packs.cache_clear()


def test_few_sizes_serve_for_all() -> None:
    sizes = {room(n) for n in range(1, 1537)}
    assert len(sizes) < 80
    assert all(n <= room(n) for n in range(1, 20000))
    assert len({room(n) for n in range(1, 20000)}) < 160
    assert all(room(n) <= 1.15 * n for n in range(60, 20000))
    assert all(room(size) == size for size in sizes)
