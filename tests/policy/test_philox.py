import math

import pytest
import torch

from moldesign.policy.philox import philox, uniforms


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        # The known answers published with the method (Random123, kat_vectors, philox4x32 10).
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_known_answers(counter: str, key: str, expected: str) -> None:
    words = [torch.tensor([int(word, 16)]) for word in counter.split()]
    low, high = (int(word, 16) for word in key.split())
    found = philox((words[0], words[1], words[2], words[3]), (low, high))
    assert [f"{int(word):08x}" for word in found] == expected.split()


def test_uniform_numbers_belong_to_seed_and_row() -> None:
    rows = uniforms(3, 0, 50, 20)
    assert rows.min() >= 0
    assert rows.max() < 1
    assert len(rows.unique()) == rows.numel()
    assert abs(float(rows.mean()) - 0.5) < 4 / math.sqrt(12 * rows.numel())
    assert torch.equal(uniforms(3, 40, 10, 20), rows[40:])
    assert torch.equal(uniforms(3, 0, 50, 7), rows[:, :7])
    assert not torch.isin(uniforms(4, 0, 50, 20), rows).any()
    # Both halves of a long seed and of a long index count.
    assert not torch.isin(uniforms(3 + (1 << 40), 0, 50, 20), rows).any()
    assert not torch.isin(uniforms(3, 1 << 40, 50, 20), rows).any()
