import errno
import hashlib
import os
from pathlib import Path

import pytest

from moldesign.files import atomic_write, make_folder, open_to_all, read_text, sha256, write_error


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_text("old")
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == tmp_path
        assert temporary.suffixes == [".csv", ".gz"]
        assert temporary.name.startswith(".tmp-")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_raises_leaves_the_old_file_alone(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a.txt"):
        pass


def test_a_private_temporary_becomes_a_file_like_any_other(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a.txt") as temporary:
            temporary.touch(0o600)
        assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_text_that_somebody_wrote(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("Süß = 1\n", encoding="utf-8")
    assert read_text(path) == "Süß = 1\n"
    with pytest.raises(OSError, match="longer than 8 bytes"):
        read_text(path, most=8)
    os.mkfifo(tmp_path / "pipe")
    for endless in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="a pipe or a device, not a file"):
            read_text(endless)
    with pytest.raises(IsADirectoryError):
        read_text(tmp_path)
    path.write_bytes(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        read_text(path)


def test_a_folder_that_is_made_is_not_open_to_all(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_folder(tmp_path / "a" / "b")
        make_folder(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert not open_to_all(tmp_path / "a", tmp_path / "a" / "b", tmp_path / "absent")
    (tmp_path / "a").chmod(0o1777)
    assert open_to_all(tmp_path / "a" / "b", tmp_path / "a")


def test_sha256_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc" * 100_000)
    assert sha256(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (errno.ENOSPC, 6, "a.csv: cannot be written (No space left on device): free some disk space"),
        (errno.EDQUOT, 6, "free some disk space"),
        (errno.EFBIG, 6, "free some disk space"),
        (errno.EROFS, 6, "a.csv: cannot be written (the file system is read-only): choose another place"),
        (errno.EIO, 6, "the device has a fault"),
        (errno.EACCES, 2, "a.csv: cannot be written (Permission denied)"),
        (errno.ENOENT, 2, "a.csv: cannot be written (No such file or directory)"),
    ],
)
def test_a_disk_that_takes_nothing_is_told_from_a_wrong_path(number: int, code: int, said: str) -> None:
    error = write_error("a.csv", OSError(number, os.strerror(number)))
    assert error.exit_code == code
    assert said in str(error)
