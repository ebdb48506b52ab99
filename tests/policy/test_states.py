import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from moldesign.errors import CheckpointError
from moldesign.files import sha256
from moldesign.policy.checkpoint import write_tensors
from moldesign.policy.states import load_state, save_state


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    shared = torch.arange(6.0)
    parameter = torch.nn.Linear(2, 2)
    adam = torch.optim.Adam(parameter.parameters())
    parameter(torch.ones(2)).sum().backward()
    adam.step()
    generator = np.random.default_rng([7, 1])
    generator.normal()
    state: dict[str, Any] = {
        "views": [shared[:3], shared[3:], shared.reshape(2, 3).t()],
        "scalar": torch.tensor(math.nan),
        "empty": np.zeros((0, 3), dtype=np.float32),
        "words": {"a": None, "b": True, "ring": "C1CC1", "quote\n\"'": -1e-300, "$": 3},
        "numbers": [2**200, math.inf, -0.0, 0.1 + 0.2, np.float64(1 / 3), np.int64(7)],
        "pair": (1, [2, (3,)]),
        "optimizer": adam.state_dict(),
        "generator": generator.bit_generator.state,
    }
    digest = save_state(tmp_path / "state", state)
    assert digest == sha256(tmp_path / "state")
    back = load_state(tmp_path / "state")
    for found, saved in zip(back["views"], state["views"], strict=True):
        assert torch.equal(found, saved)
    assert back["scalar"].isnan()
    assert (back["empty"].shape, back["empty"].dtype) == ((0, 3), np.float32)
    assert back["words"] == state["words"]
    assert repr(back["numbers"]) == repr([2**200, math.inf, -0.0, 0.1 + 0.2, 1 / 3, 7])
    assert back["pair"] == state["pair"]

    other = torch.nn.Linear(2, 2)
    again = torch.optim.Adam(other.parameters(), lr=0.5)
    again.load_state_dict(back["optimizer"])
    assert again.param_groups[0]["lr"] == adam.param_groups[0]["lr"]
    for mine, theirs in zip(other.parameters(), parameter.parameters(), strict=True):
        assert torch.equal(again.state[mine]["exp_avg"], adam.state[theirs]["exp_avg"])
    taken_up = np.random.default_rng()
    taken_up.bit_generator.state = back["generator"]
    assert taken_up.normal() == generator.normal()


def test_what_is_no_plain_data_is_no_state(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="no state: object"):
        save_state(tmp_path / "state", {"what": object()})
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("schema", "content", "message"),
    [
        (None, None, "not the state of a run"),
        ("1", b"{", "not the state of a run"),
        ("1", b'{"$": "tensor", "name": "9"}', "not the state of a run"),
        ("2", b"{}", "a state of schema 2; this version reads 1: upgrade"),
    ],
)
def test_another_file_is_no_state(
    tmp_path: Path, schema: str | None, content: bytes | None, message: str
) -> None:
    tensors = {"0": torch.zeros(2)}
    if content is not None:
        tensors["moldesign-state"] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    write_tensors(tmp_path / "state", tensors, {} if schema is None else {"moldesign-state": schema})
    with pytest.raises(CheckpointError, match=message):
        load_state(tmp_path / "state")


def test_a_long_run_has_a_long_state(tmp_path: Path) -> None:
    scaffolds = {f"c1ccccc1{'C' * 60}{n}": n for n in range(250_000)}
    save_state(tmp_path / "state", {"scaffolds": scaffolds})
    assert load_state(tmp_path / "state") == {"scaffolds": scaffolds}
