import errno
import os
from pathlib import Path

import pytest

from moldesign.errors import CheckpointError, ResourceError, UsageError
from moldesign.records.files import (
    Appender,
    refuse_links,
    remove_stale,
    write_bytes,
    write_error,
    write_text,
    writing,
)


def test_a_block_that_raises_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "candidates.csv"
    write_text(path, "old\n")
    with pytest.raises(TypeError), writing(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        temporary.write_text(None)  # type: ignore[arg-type]
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_directory_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        write_text(tmp_path / "nowhere" / "x.csv", "x")


def test_a_full_disk_is_told_from_a_wrong_path() -> None:
    full = write_error(Path("x"), OSError(errno.ENOSPC, "No space left on device"))
    assert isinstance(full, ResourceError)
    assert full.exit_code == 6


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_device_is_written_to_and_a_full_one_reported() -> None:
    write_bytes(Path("/dev/null"), b"x")
    with pytest.raises(ResourceError):
        write_bytes(Path("/dev/full"), b"x")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    target.write_text("old")
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_run_directory_with_links_or_pipes_is_refused(tmp_path: Path) -> None:
    run, victim = tmp_path / "run", tmp_path / "victim"
    (run / "checkpoint").mkdir(parents=True)
    (run / "candidates.csv").write_text("mine")
    refuse_links(run)
    victim.mkdir()
    for name in ("candidates.csv.link", ".lock", "ledger.sqlite-wal", "checkpoint/agent.safetensors"):
        for target in (tmp_path / "absent", victim):
            (run / name).symlink_to(target)
            with pytest.raises(
                CheckpointError, match=f"{name}: is a link, and a run writes to files of its own"
            ):
                refuse_links(run)
            (run / name).unlink()
    os.mkfifo(run / "steps.csv")
    with pytest.raises(CheckpointError, match="steps.csv: is no file"):
        refuse_links(run)
    with pytest.raises(CheckpointError, match="cannot be read"):
        refuse_links(tmp_path / "absent")


def test_stale_temporaries_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    for name in [".tmp-00ff00ff-candidates.csv", "checkpoint/.tmp-12345678-agent.safetensors", "keep.csv"]:
        (tmp_path / name).write_text("x")
    assert remove_stale(tmp_path) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "keep.csv"]


@pytest.mark.parametrize(
    ("before", "after"),
    [("", "new\n"), ("a\nb\n", "a\nb\nnew\n"), ("a\nb,ha", "a\nnew\n"), ("ha", "new\n")],
)
def test_a_line_cut_short_is_removed(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "steps.csv"
    path.write_text(before)
    lines = Appender(path)
    lines.append("new")
    lines.close()
    assert path.read_text() == after


def test_a_cut_line_longer_than_a_block_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("first\n" + "x" * 200_000)
    Appender(path).close()
    assert path.read_text() == "first\n"
