import json
import math
import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from moldesign.errors import CheckpointError, ResourceError
from moldesign.policy.checkpoint import Provenance, load_policy, read_provenance, save_policy
from moldesign.policy.policy import Policy

PROVENANCE = Provenance(name="tiny", corpora=["zinc250k"], seed=4, steps=10, validation_nll=31.5)


@pytest.fixture
def saved(tiny: Policy, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_policy(tiny, path, PROVENANCE)
    return path


def refused(path: Path, message: str = "") -> None:
    """Both readers of the file refuse it in one line that begins with its name."""
    for read in (load_policy, read_provenance):
        with pytest.raises(CheckpointError, match=f"^{re.escape(str(path))}: .*{message}") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_a_policy_comes_back_bit_for_bit(tiny: Policy, saved: Path) -> None:
    policy, provenance = load_policy(saved)
    assert provenance == PROVENANCE
    assert policy.tokenizer.vocabulary == tiny.tokenizer.vocabulary
    assert policy.network.architecture == tiny.network.architecture
    mine, theirs = tiny.network.state_dict(), policy.network.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert all(parameter.requires_grad for parameter in policy.network.parameters())
    policy.half_precision = False
    tokens = tiny.encode(["CCO", "N", "OCNCO"])
    assert torch.equal(policy.score(tokens), tiny.score(tokens))
    assert read_provenance(saved) == (
        tiny.network.architecture,
        list(tiny.tokenizer.vocabulary),
        PROVENANCE,
    )


def test_the_same_policy_makes_the_same_bytes_and_no_other_file(tiny: Policy, saved: Path) -> None:
    again = saved.with_name("again.safetensors")
    save_policy(tiny, again, PROVENANCE)
    assert again.read_bytes() == saved.read_bytes()
    assert sorted(path.name for path in saved.parent.iterdir()) == ["again.safetensors", "tiny.safetensors"]


def test_half_precision_halves_the_weights_and_loads_in_single(tiny: Policy, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_policy(tiny, path, PROVENANCE, precision="float16")
    with safe_open(path, framework="pt") as handle:
        assert {handle.get_tensor(name).dtype for name in handle.keys()} == {torch.float16}  # noqa: SIM118
    policy, _ = load_policy(path)
    for name, value in policy.network.state_dict().items():
        assert torch.equal(value, tiny.network.state_dict()[name].half().float())


def test_a_loaded_policy_does_not_change_with_its_file(saved: Path) -> None:
    policy, _ = load_policy(saved)
    before = policy.network.head.weight.detach().clone()
    size = saved.stat().st_size
    with saved.open("r+b") as handle:
        handle.write(b"\1" * size)
    assert torch.equal(policy.network.head.weight, before)


def test_a_truncated_file_is_refused(saved: Path) -> None:
    size = saved.stat().st_size
    for length in (0, 1, 7, 8, 9, 100, size // 2, size - 1):
        os.truncate(saved, length)
        refused(saved, "not a whole safetensors file")
        saved.write_bytes(b"\0" * size)  # as long as it was, and empty
    refused(saved)


def test_a_file_cut_short_is_refused_at_every_percent(saved: Path) -> None:
    whole = saved.read_bytes()
    for percent in range(100):
        saved.write_bytes(whole[: len(whole) * percent // 100])
        refused(saved, "not a whole safetensors file")
    saved.write_bytes(whole)
    load_policy(saved)


def test_a_flipped_bit_is_refused_wherever_it_is(saved: Path) -> None:
    content = saved.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    # Every seventh byte of the header, every 41st of the weights, the first and the last of both.
    places = {*range(0, header, 7), *range(header, len(content), 41), header - 1, header, len(content) - 1}
    for place in sorted(places):
        flipped = bytearray(content)
        flipped[place] ^= 1
        saved.write_bytes(flipped)
        with pytest.raises(CheckpointError, match=f"^{re.escape(str(saved))}: ") as caught:
            load_policy(saved)
        assert "\n" not in str(caught.value)


def test_bytes_after_the_end_are_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes() + b"\0")
    refused(saved)


def test_files_of_other_formats_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "prior.safetensors"
    path.write_bytes(pickle.dumps({"weights": [1.0]}))
    refused(path, "not a whole safetensors file")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"x" * 1000)
    refused(path, "not a whole safetensors file")
    torch.save({"weights": torch.zeros(3)}, path)
    refused(path, "not a whole safetensors file")
    path.write_text("smiles\nCCO\n")
    refused(path, "not a whole safetensors file")
    save_file({"weight": torch.zeros(3)}, path)
    refused(path, "not a moldesign policy")
    path.unlink()
    refused(path, "no such file")
    path.mkdir()
    refused(path)


def rewrite(path: Path, **changes: Any) -> None:
    """Give the file's header other fields, unsealed as in older files unless told otherwise."""
    with safe_open(path, framework="pt") as handle:
        tensors = {name: handle.get_tensor(name).clone() for name in handle.keys()}  # noqa: SIM118
        header = json.loads(handle.metadata()["moldesign-policy"])
    save_file(tensors, path, metadata={"moldesign-policy": json.dumps({**header, "seal": "", **changes})})


def test_a_newer_schema_is_told_from_damage(saved: Path) -> None:
    rewrite(saved, schema_version=2, something_new=1)
    refused(saved, "written in schema 2, this version reads 1; upgrade moldesign")


def test_a_header_that_does_not_fit_is_refused(saved: Path) -> None:
    good = saved.read_bytes()
    changes: list[tuple[dict[str, Any], str]] = [
        ({"architecture": {"hidden_size": 9}}, "do not fit"),
        ({"vocabulary": ["<pad>", "<start>", "<end>", "C"]}, "do not fit"),
        ({"vocabulary": ["C", "N", "O", "<pad>", "<start>", "<end>"]}, "do not fit"),
        ({"sha256": {}}, "not what was saved"),
        ({"surprise": 1}, "header is damaged"),
        ({"seal": "0" * 64}, "header is not what was saved"),
    ]
    for change, message in changes:
        saved.write_bytes(good)
        rewrite(saved, **change)
        with pytest.raises(CheckpointError, match=message) as caught:
            load_policy(saved)
        assert "\n" not in str(caught.value)


def test_a_policy_that_cannot_be_written_leaves_nothing(tiny: Policy, tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "tiny.safetensors"
    with pytest.raises(ResourceError, match=f"^{re.escape(str(path))}: cannot be written"):
        save_policy(tiny, path, PROVENANCE)
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    refused(tmp_path / "pipe.safetensors", "is no file but a folder, a pipe or a device")


def test_weights_that_are_no_numbers_are_refused(tiny: Policy, tmp_path: Path) -> None:
    path = tmp_path / "diverged.safetensors"
    with torch.no_grad():
        tiny.network.head.bias[1] = math.nan
    save_policy(tiny, path, PROVENANCE)
    with pytest.raises(CheckpointError, match="tensor head.bias holds NaN or infinity: its training has"):
        load_policy(path)


def test_a_header_nested_without_end_is_refused(saved: Path) -> None:
    with safe_open(saved, framework="pt") as handle:
        tensors = {name: handle.get_tensor(name).clone() for name in handle.keys()}  # noqa: SIM118
    save_file(tensors, saved, metadata={"moldesign-policy": "[" * 100_000})
    refused(saved, "header is damaged")
