"""Whether a file is safetensors, and what it is if it is not, before anything of it is loaded."""

from __future__ import annotations

import io
import json
import pickletools
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from moldesign.errors import CheckpointError

#: The longest header that is read, bytes: that of a policy has tens of thousands, and in memory a header
#: takes twenty times as much.
MAX_HEADER = 16 * 2**20

#: The size of the header stands in so many bytes before it, the smallest first.
_SIZE = 8

#: How much of a file that is something else is looked at.
_LOOK = 2**16

_PICKLE = "a pickle, which can run code when it is loaded: it is never opened"
_SIGNATURES = (
    (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", f"what torch.save wrote before torch 1.6, {_PICKLE}"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "packed with gzip"),
    (b"\xfd7zXZ\x00", "packed with xz"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd"),
    (b"BZh", "packed with bzip2"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x93NUMPY", "an array of NumPy"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"GGUF", "GGUF"),
    (b"\x7fELF", "a program"),
    (b"version https://git-lfs", "a pointer of Git LFS: fetch the file itself with git lfs pull"),
)


class Duplicate(ValueError):
    """A name that stands twice in one JSON object: readers differ in which of the two they believe."""


def check_safetensors(path: Path) -> None:
    """Pass if a file begins with a header of safetensors, and is as long as that says.

    Raises:
        CheckpointError: it does not; the one line says what it is instead, if that can be seen.
        FileNotFoundError: no such file. OSError: it cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
        raise CheckpointError(f"{path}: is a folder, a pipe or a device; name a file")
    with path.open("rb") as handle:
        what = _fault(path, handle)
    if what is not None:
        raise CheckpointError(f"{path}: not a whole safetensors file ({what}); copy or download it again")


def strict_json(text: str | bytes) -> Any:
    """What JSON says.

    Raises:
        ValueError: no JSON, nested too deep, a name that stands twice in an object, NaN or infinity.
    """
    try:
        return json.loads(text, object_pairs_hook=_each_once, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _fault(path: Path, handle: BinaryIO) -> str | None:
    """What is wrong with a file; None if nothing is."""
    length = path.stat().st_size
    start = handle.read(_SIZE + 1)
    size = int.from_bytes(start[:_SIZE], "little")
    if start[_SIZE:] != b"{" or size > max(MAX_HEADER, length):
        handle.seek(0)
        return _kind(handle, handle.read(_LOOK)) or f"its header would have {size:,} bytes"
    if size > length - _SIZE:
        return f"cut short: its header has {size:,} bytes, the file {length:,}"
    if size > MAX_HEADER:
        return f"its header has {size:,} bytes, and no more than {MAX_HEADER:,} are read"
    handle.seek(_SIZE)
    try:
        header = strict_json(handle.read(size))
    except ValueError as error:
        return f"its header is damaged: {' '.join(str(error).split())[:200]}"
    return _overrun(header, length - _SIZE - size)


def _overrun(header: Any, length: int) -> str | None:
    """What is wrong with where the tensors are; None if nothing is, as far as this goes."""
    if not isinstance(header, Mapping):
        return "its header is no table"
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        offsets = tensor.get("data_offsets") if isinstance(tensor, Mapping) else None
        if not isinstance(offsets, list) or not all(type(offset) is int for offset in offsets):
            return f"its header does not say where {name[:80]!a} is"
        if max(offsets, default=0) > length:
            return f"cut short: {name[:80]!a} would end after {max(offsets):,} bytes of {length:,}"
    return None


def _kind(handle: BinaryIO, start: bytes) -> str | None:
    """What a file is that begins so; None if that cannot be said."""
    if not start:
        return "it is empty"
    for signature, kind in _SIGNATURES:
        if start.startswith(signature):
            return f"it is {kind}"
    if start.startswith(b"PK\x03\x04"):
        return f"it is {_zip(handle)}"
    if _is_pickle(start):
        return f"it is {_PICKLE}"
    if start[257:262] == b"ustar":
        return "it is a tar archive"
    if start.lstrip()[:1] == b"<":
        return "it is a web page"
    if len(start) <= _SIZE:
        return "cut short"
    text = start.decode("utf-8", errors="ignore").strip()
    return "it is text" if len(text) > _SIZE and text.replace("\n", "").isprintable() else None


def _zip(handle: BinaryIO) -> str:
    try:
        with zipfile.ZipFile(handle) as archive:
            pickled = any(name.rsplit("/")[-1] == "data.pkl" for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        pickled = False
    return f"what torch.save writes, {_PICKLE}" if pickled else "a zip archive"


def _is_pickle(start: bytes) -> bool:
    """Whether the bytes begin as a pickle: by their version or, of the oldest, by what they would do."""
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return True
    try:
        # It names what the pickle would do, and does nothing of it.
        names = {operation.name for operation, _, _ in pickletools.genops(io.BytesIO(start))}
    except Exception:  # of every kind: it is not made for what is no pickle
        return False
    return bool(names - {"STOP"})


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in table if names.count(name) > 1)
        raise Duplicate(f"{twice[:80]!a} stands in it twice")
    return table


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")
