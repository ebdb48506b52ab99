"""Files that are whole or not there at all."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moldesign.errors import MoldesignError, ResourceError, UsageError

#: The longest text that somebody writes by hand, in bytes.
MAX_TEXT = 16 * 2**20

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
        sync_names(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_names(directory: Path) -> None:
    """Flush the names of the files in a directory to the disk: they must outlive a power cut too."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def read_text(path: Path, most: int = MAX_TEXT) -> str:
    """The UTF-8 text of a file that somebody wrote by hand, such as an objective.

    Raises:
        OSError: it cannot be read, is no file (a device may never end), or is longer than `most` bytes.
        UnicodeDecodeError: no text.
    """
    # Without waiting for somebody to write to a pipe.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as handle:
        kind = os.fstat(handle.fileno()).st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
        content = handle.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"longer than {most:,} bytes", str(path))
    return content.decode("utf-8")


def open_to_all(*folders: Path) -> bool:
    """Whether every user of the machine may put files into one of the folders: what is there is anybody's."""
    for folder in folders:
        try:
            if folder.stat().st_mode & stat.S_IWOTH:
                return True
        except OSError:  # not there
            continue
    return False


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, open to others no more than its owner's group.

    Raises:
        OSError: it cannot be made.
    """
    for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        missing.mkdir(mode=0o775, exist_ok=True)


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
