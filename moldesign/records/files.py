"""Files of a run: written whole or appended line by line, with errors a user can act on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from moldesign.errors import CheckpointError
from moldesign.files import atomic_write, write_error

__all__ = [
    "Appender",
    "make_folder",
    "refuse_links",
    "remove_stale",
    "write_bytes",
    "write_error",
    "write_text",
    "writing",
]


def write_bytes(path: Path, content: bytes) -> None:
    """Put `content` at `path`, whole or not at all. A pipe or a device is written to directly.

    Raises:
        UsageError, ResourceError: the path cannot be written; the disk is full.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        # A link stays a link: what it points to is replaced.
        with atomic_write(path.resolve()) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise write_error(path, error) from None


def write_text(path: Path, text: str) -> None:
    """Put `text` at `path` as UTF-8 with the newlines it has, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def make_folder(path: Path) -> None:
    """Make a folder within one that is there, unless it is there itself.

    Raises:
        UsageError, ResourceError: it cannot be made; the disk is full.
    """
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise write_error(path, error) from None


def remove_stale(directory: Path) -> int:
    """The number of temporary files removed that a killed writer left under `directory`.

    Only for a directory that this process has locked: a living writer has such files too.
    """
    stale = [path for path in directory.rglob(".tmp-*") if path.is_file()]
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)


def refuse_links(directory: Path) -> None:
    """Pass if a run directory holds files and folders only, so that a run writes nowhere but there.

    A directory that somebody else packed may hold a link called like a file of the run, which leads to any
    file of the user's, or a pipe, which would be waited for.

    Raises:
        CheckpointError: it holds something else, or cannot be read.
    """
    folders = [Path(directory)]
    try:
        while folders:
            for entry in os.scandir(folders.pop()):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif not entry.is_file(follow_symlinks=False):
                    what = "a link" if entry.is_symlink() else "no file"
                    raise CheckpointError(
                        f"{entry.path}: is {what}, and a run writes to files of its own only: remove it"
                    )
    except OSError as error:
        raise CheckpointError(f"{directory}: cannot be read ({error.strerror or error})") from None


class Appender:
    """A file of lines, each whole: a line cut short by a crash is removed when it is opened again."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        try:
            self._handle: BinaryIO = self.path.open("a+b")
        except OSError as error:
            raise write_error(self.path, error) from None
        self._handle.truncate(_end_of_last_line(self._handle))

    def first_line(self) -> str | None:
        """The first line without its newline; None in an empty file."""
        self._handle.seek(0)
        line = self._handle.readline()
        return line.decode("utf-8").rstrip("\n") if line else None

    def append(self, line: str) -> None:
        """Write one line and hand it to the operating system, where a killed process cannot lose it.

        Raises:
            ResourceError: the disk is full.
        """
        try:
            self._handle.write(line.encode("utf-8") + b"\n")
            self._handle.flush()
        except OSError as error:
            raise write_error(self.path, error) from None

    def close(self) -> None:
        """Flush to the disk and close.

        Raises:
            ResourceError: the disk is full.
        """
        if not self._handle.closed:
            try:
                with self._handle:  # whose end may have a line to write that there was no room for
                    os.fsync(self._handle.fileno())
            except OSError as error:
                raise write_error(self.path, error) from None


def _end_of_last_line(handle: BinaryIO) -> int:
    """The offset just after the last newline; 0 where there is none."""
    position = handle.seek(0, os.SEEK_END)
    while position > 0:
        start = max(0, position - 65536)
        handle.seek(start)
        newline = handle.read(position - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        position = start
    return 0


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary path that takes the name `path` when the block ends well; errors as in `write_bytes`."""
    try:
        with atomic_write(Path(path).resolve()) as temporary:
            yield temporary
    except OSError as error:
        raise write_error(Path(path), error) from None
