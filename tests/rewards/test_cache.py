from __future__ import annotations

import math
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from moldesign.rewards import cache
from moldesign.rewards.cache import ScoreCache, component_key, default_path

KEY = component_key("qed", 1, {})
OTHER = component_key("sa", 1, {})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "scores.sqlite"


def test_what_is_put_is_there_for_the_next_run(path: Path) -> None:
    store = ScoreCache(path)
    assert store.get(KEY, ["CCO"]) == {}
    store.put(KEY, {"CCO": 0.25, "CCN": -1e-300, "C": 3})
    store.put(OTHER, {"CCO": 7.0})
    store.close()
    again = ScoreCache(path)
    assert again.get(KEY, ["CCO", "CCF", "CCN", "C", "CCO"]) == {"CCO": 0.25, "CCN": -1e-300, "C": 3.0}
    assert again.get(OTHER, ["CCO", "CCN"]) == {"CCO": 7.0}
    assert again.get(component_key("logp", 1, {}), ["CCO"]) == {}
    again.put(KEY, {"CCO": 0.5})
    assert store.get(KEY, ["CCO"]) == {"CCO": 0.5}  # opened again


def test_failures_are_not_kept(path: Path) -> None:
    store = ScoreCache(path)
    store.put(KEY, {"C": math.nan, "CC": math.inf, "CCC": -math.inf, "CCCC": 0.0})
    assert store.get(KEY, ["C", "CC", "CCC", "CCCC"]) == {"CCCC": 0.0}


def test_many_molecules_at_once(path: Path) -> None:
    values = {f"C{'C' * (i % 50)}N{i}": i / 7 for i in range(40_000)}
    store = ScoreCache(path)
    store.put(KEY, values)
    assert store.get(KEY, list(values)) == values
    assert path.stat().st_size < 80 * len(values)


def test_the_key_changes_with_whatever_changes_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def key(reward: str = "similarity", version: int = 1, fingerprint: str = "", **parameters: object) -> str:
        return component_key(reward, version, {"a": 1, "b": [1, 2]} | parameters, fingerprint=fingerprint)

    keys = [key(), key("other"), key(version=2), key(fingerprint="x"), key(a=2), key(b=[2, 1]), key(c=None)]
    monkeypatch.setattr(cache, "_rdkit", lambda: "2020.03.1")
    keys.append(key())
    assert len(set(keys)) == 8
    assert key(b=[1, 2], a=1) == key()  # the order of keys is none of theirs
    assert component_key("x", 1, {"b": 1, "a": 2}) == component_key("x", 1, {"a": 2, "b": 1})


WRITER = """
import sys
from pathlib import Path
from moldesign.rewards.cache import ScoreCache, component_key

path, first, n = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store = ScoreCache(path)
for i in range(first, first + n):
    store.put(component_key("qed", 1, {}), {f"CN{i}": float(i), "CCO": 0.25})
    assert store.get(component_key("qed", 1, {}), [f"CN{i}", "CCO"]) == {f"CN{i}": float(i), "CCO": 0.25}
    print(i, flush=True)
"""


def test_two_processes_write_at_once(path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(1000 * i), "300"], stdout=subprocess.DEVNULL
        )
        for i in range(2)
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    expected = {f"CN{i}": float(i) for start in (0, 1000) for i in range(start, start + 300)}
    assert ScoreCache(path).get(KEY, list(expected)) == expected


def test_a_writer_that_is_killed_leaves_the_rest_whole(path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(path), "0", "1000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(50)]
        writer.send_signal(signal.SIGKILL)
    kept = ScoreCache(path).get(KEY, [f"CN{i}" for i in said])
    assert kept == {f"CN{i}": float(i) for i in said}


def _damage_head(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 100)


def _damage_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)


def _make_newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def _make_other(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE scores (anything)")
    connection.close()


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _add_trigger(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TRIGGER t AFTER INSERT ON scores BEGIN DELETE FROM scores; END")
    connection.close()


def _open_to_all(path: Path) -> None:
    path.parent.chmod(0o777)


HARMS = [_damage_head, _damage_middle, _make_newer, _make_other, _make_folder, _add_trigger, _open_to_all]


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_file_ends_no_run(path: Path, harm: object, capfd: pytest.CaptureFixture[str]) -> None:
    store = ScoreCache(path)
    store.put(KEY, {f"CN{i}": float(i) for i in range(2000)})
    store.close()
    assert callable(harm)
    harm(path)
    store = ScoreCache(path)
    for _ in range(3):
        assert store.get(KEY, [f"CN{i}" for i in range(2000)]) == {}
        store.put(KEY, {"CCO": 1.0})
    (line,) = capfd.readouterr().err.splitlines()
    assert str(path) in line
    assert "delete it" in line


def test_a_file_that_stays_locked_ends_no_run(
    path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cache, "BUSY_S", 0.1)
    store = ScoreCache(path)
    store.put(KEY, {"CCO": 1.0})
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert store.get(KEY, ["CCO"]) == {"CCO": 1.0}  # readers do not wait for writers
    for _ in range(2):
        store.put(KEY, {"CCN": 1.0})
    assert store.get(KEY, ["CCO"]) == {}
    assert len(capfd.readouterr().err.splitlines()) == 1
    other.close()


def test_a_folder_that_cannot_be_made_ends_no_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way of a folder")
    store = ScoreCache(tmp_path / "file" / "scores.sqlite")
    store.put(KEY, {"CCO": 1.0})
    assert store.get(KEY, ["CCO"]) == {}
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_a_process_that_was_forked_opens_the_file_itself(path: Path) -> None:
    store = ScoreCache(path)
    store.put(KEY, {"CCO": 1.0})
    child = os.fork()
    if child == 0:
        store.put(KEY, {"CCN": 2.0})
        os._exit(store.get(KEY, ["CCO", "CCN"]) != {"CCO": 1.0, "CCN": 2.0})
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.get(KEY, ["CCO", "CCN"]) == {"CCO": 1.0, "CCN": 2.0}


def test_the_users_cache_is_in_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        monkeypatch.setenv("MOLDESIGN_HOME", str(folder))
        assert cache.get(KEY, ["CCO"]) == {}
        cache.put(KEY, {"CCO": 0.5})
        assert cache.get(KEY, ["CCO"]) == {"CCO": 0.5}
        assert default_path().parent == folder
        assert default_path().is_file()


MOUNTS = """\
/dev/vda / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb /home/local xfs rw 0 0
server:/data /my\\040data lustre rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/root/.cache/moldesign", "scores.sqlite"),
        ("/home/ann/.cache/moldesign", "scores-node7.sqlite"),
        ("/home/local/cache", "scores.sqlite"),
        ("/homes", "scores.sqlite"),
        ("/my data/cache", "scores-node7.sqlite"),
    ],
)
def test_machines_that_share_the_folder_have_a_file_each(
    folder: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SQLite's write-ahead log needs memory that all its users share.
    monkeypatch.setattr(cache, "_mounts", lambda: MOUNTS)
    monkeypatch.setattr("socket.gethostname", lambda: "node7")
    monkeypatch.setenv("MOLDESIGN_HOME", folder)
    assert default_path() == Path(folder) / name
