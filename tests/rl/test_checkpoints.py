import subprocess
from pathlib import Path

import pytest

from moldesign.errors import ResourceError
from moldesign.rl.checkpoints import Checkpoints


def steps(folder: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("step-")) for path in folder.glob("step-*"))


def test_the_last_two_are_kept_and_the_manifest_says_what_they_are(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoint")
    assert checkpoints.newest(pytest.fail) is None
    for step in (3, 9, 10):
        checkpoints.save(step, {"step": step})
    assert steps(checkpoints.folder) == [9, 10]
    assert checkpoints.newest(pytest.fail) == {"step": 10}
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=checkpoints.folder, capture_output=True, text=True
    )
    assert done.stdout.count(": OK") == 2
    assert done.returncode == 0


def test_what_is_not_what_was_saved_is_passed_over_and_then_replaced(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, {"step": step})
    with (tmp_path / "step-00000002.safetensors").open("r+b") as handle:
        handle.truncate(50)
    said: list[str] = []
    assert checkpoints.newest(said.append) == {"step": 1}
    assert said == [f"{tmp_path}/step-00000002.safetensors: not what was saved; passed over"]
    # It went on from 1: what 2 was does not count, also where it comes again later.
    checkpoints.save(1, {"step": 1, "again": True})
    assert steps(tmp_path) == [1]
    assert checkpoints.newest(pytest.fail) == {"step": 1, "again": True}


def test_a_state_without_its_line_is_none(tmp_path: Path) -> None:
    """As after a kill between the state and the manifest."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"step": 1})
    (tmp_path / "step-00000002.safetensors").write_bytes(
        (tmp_path / "step-00000001.safetensors").read_bytes()
    )
    said: list[str] = []
    assert checkpoints.newest(said.append) == {"step": 1}
    assert len(said) == 1
    for content in (b"", b"\xff\xfe", b"nonsense\n"):
        checkpoints.manifest.write_bytes(content)
        assert checkpoints.newest(said.append) is None


def test_a_full_disk_leaves_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"step": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ResourceError, match="No space left"):
        checkpoints.save(2, {"step": 2})
    assert checkpoints.newest(pytest.fail) == {"step": 1}
    assert steps(tmp_path) == [1]
