"""What is called .safetensors and is none is told by what it is, without a byte of it being loaded."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from moldesign.errors import CheckpointError
from moldesign.policy import formats
from moldesign.policy.formats import check_safetensors, strict_json

TENSOR = '"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
PETABYTES = '"a":{"dtype":"F32","shape":[1125899906842624],"data_offsets":[0,4503599627370496]}'


def with_header(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode() + b"1234"


def with_tensors(*entries: str) -> bytes:
    return with_header("{" + ",".join(entries) + "}")


def saved(**options: Any) -> bytes:
    stream = io.BytesIO()
    torch.save({"a": torch.zeros(3)}, stream, **options)
    return stream.getvalue()


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("../../escape.txt", "x")
    return stream.getvalue()


class Marker:
    """Leaves a file where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("it-ran",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        *[(pickle.dumps(Marker(), protocol=i), "it is a pickle, which can run code") for i in range(6)],
        (b"cos\nsystem\n(S'touch it-ran'\ntR.", "it is a pickle, which can run code"),
        (saved(), "it is what torch.save writes, a pickle"),
        (saved(_use_new_zipfile_serialization=False), "torch.save wrote before torch 1.6, a pickle"),
        (zipped(), "it is a zip archive"),
        (gzip.compress(b"x"), "it is packed with gzip"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git lfs pull"),
        (b"<!DOCTYPE html><html>404</html>", "it is a web page"),
        (b"smiles\nCCO\n", "it is text"),
        (b"", "it is empty"),
        (b"\x01\0", "cut short"),
        (struct.pack("<Q", 2**60) + b"{}", "its header would have 1,152,921,504,606,846,976 bytes"),
        (with_tensors(TENSOR)[:30], "cut short: its header has 54 bytes, the file 30"),
        (with_tensors(PETABYTES), "'a' would end after 4,503,599,627,370,496 bytes of 4"),
        (with_tensors(TENSOR, TENSOR), "'a' stands in it twice"),
        (with_tensors('"__metadata__":{"k":"1","k":"2"}', TENSOR), "'k' stands in it twice"),
        (with_header('{"a":' + "[" * 100_000), "nested too deep"),
        (with_header('{"a":NaN}'), "NaN is no number"),
        (with_header('{"a":{"dtype":"F32"}}'), "does not say where 'a' is"),
    ],
)  # fmt: skip
def test_what_is_no_safetensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "prior.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=re.escape(said)) as caught:
        check_safetensors(path)
    assert str(caught.value).startswith(f"{path}: not a whole safetensors file (")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_a_header_that_would_fill_memory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_HEADER", 1000)
    path = tmp_path / "prior.safetensors"
    path.write_bytes(with_header("{" + " " * 2000 + "}"))
    with pytest.raises(CheckpointError, match="its header has 2,002 bytes, and no more than 1,000 are read"):
        check_safetensors(path)


def test_pipes_are_not_waited_for_and_policies_pass(tmp_path: Path, small_prior: Path) -> None:
    check_safetensors(small_prior)
    os.mkfifo(tmp_path / "pipe.safetensors")
    for path in (tmp_path, tmp_path / "pipe.safetensors"):
        with pytest.raises(CheckpointError, match="is a folder, a pipe or a device"):
            check_safetensors(path)
    with pytest.raises(FileNotFoundError):
        check_safetensors(tmp_path / "absent.safetensors")


def test_json_that_readers_could_differ_on_is_refused() -> None:
    assert strict_json('{"a": [1, {"a": null}]}') == {"a": [1, {"a": None}]}
    for text in ('{"a": {"b": 1, "b": 2}}', "[Infinity]", "[" * 100_000, "{", "9" * 5000):
        with pytest.raises(ValueError):  # noqa: PT011 - of each kind, none of which is a RecursionError
            strict_json(text)
