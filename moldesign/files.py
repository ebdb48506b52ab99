"""Files that are whole or not there at all."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moldesign.errors import MoldesignError, ResourceError, UsageError

#: No room: on the disk, in the quota, or under the limit of a file's size (`ulimit -f`).
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
#: Nor can it be written to by whoever names the path better.
_UNWRITABLE = {errno.EROFS: "the file system is read-only", errno.EIO: "the device has a fault"}


def write_error(path: Path | str, error: OSError) -> MoldesignError:
    """The error to raise when `path` cannot be written: a disk that takes nothing apart from a wrong path."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return ResourceError(f"{path}: cannot be written ({reason}): free some disk space")
    if error.errno in _UNWRITABLE:
        return ResourceError(f"{path}: cannot be written ({_UNWRITABLE[error.errno]}): choose another place")
    return UsageError(f"{path}: cannot be written ({reason})")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it takes the name `path` when the block ends well.

    Written, flushed to disk, renamed, and the directory flushed: after a crash at any moment the
    old file or the new one is there, whole. If the block raises, the temporary file is removed.
    The temporary keeps the suffixes of `path`, for writers that choose a format by suffix.
    """
    path = Path(path)
    temporary = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as handle:
            # Some writers make files that only their owner may read; this one is as any new file.
            os.fchmod(handle.fileno(), 0o666 & ~_umask())
            os.fsync(handle.fileno())
        temporary.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
