"""Raw values kept for later runs, in one SQLite file that many processes read and write."""

from __future__ import annotations

import hashlib
import json
import math
import os
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from moldesign.assets import home
from moldesign.files import make_folder, open_to_all

#: Seconds to wait for another process that writes.
BUSY_S = 10.0

_FORMAT = 1
_SCHEMA = """
CREATE TABLE components (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE scores (
    component INTEGER NOT NULL, smiles TEXT NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (component, smiles)
) WITHOUT ROWID;
"""

#: File systems that several machines share. SQLite's write-ahead log works on one machine only.
_SHARED = frozenset(
    "9p afs beegfs ceph cifs fuse.glusterfs fuse.sshfs glusterfs gpfs lustre nfs nfs4 ocfs2 orangefs panfs"
    " pvfs2 smb3 smbfs virtiofs wekafs".split()
)


def component_key(reward: str, version: int, parameters: Mapping[str, Any], *, fingerprint: str = "") -> str:
    """The key of a component's raw values, 64 characters: it changes with whatever may change them.

    Args:
        version: of the reward in the catalogue.
        parameters: all of them, defaults included, as JSON has them.
        fingerprint: of what the reward reads besides, such as the file of a model.
    """
    what = {
        "reward": reward,
        "version": version,
        "parameters": parameters,
        "fingerprint": fingerprint,
        "rdkit": _rdkit(),
    }
    text = json.dumps(what, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _rdkit() -> str:
    return metadata.version("rdkit")


def default_path() -> Path:
    """scores.sqlite in the cache folder; with the machine's name where machines share that folder."""
    folder = home()
    shared = _file_system(folder, _mounts()) in _SHARED
    return folder / (f"scores-{socket.gethostname()}.sqlite" if shared else "scores.sqlite")


def _mounts() -> str:
    try:
        return Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _file_system(path: Path, mounts: str) -> str:
    """The type of file system that a path is on, by the mounts of the kernel; empty if they do not say."""
    inside = [path.absolute(), *path.absolute().parents]
    kind, depth = "", -1
    for line in mounts.splitlines():
        words = line.split()
        point = Path(words[1].encode().decode("unicode_escape"))  # a space is written \040
        if point in inside and len(point.parts) >= depth:
            kind, depth = words[2], len(point.parts)
    return kind


class ScoreCache:
    """Raw values by component and molecule, in a file that is made when it is missing.

    A cache is a help, never a condition: where the file is damaged, locked for long or cannot be
    written, nothing is known and nothing is kept from then on, and one line on stderr says so. So it is where
    every user may write to its folder.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._ids: dict[str, int] = {}
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._inherited: sqlite3.Connection | None = None
        self._process = 0
        self._usable = True

    def get(self, key: str, smiles: Sequence[str]) -> dict[str, float]:
        """The values that are known, by canonical SMILES."""
        with self._lock:
            try:
                connection = self._open()
                if connection is None or (component := self._component(connection, key)) is None:
                    return {}
                # One parameter for any number of molecules.
                rows = connection.execute(
                    "SELECT smiles, value FROM scores"
                    " WHERE component = ? AND smiles IN (SELECT value FROM json_each(?))",
                    (component, json.dumps(list(smiles))),
                )
                return {str(one): float(value) for one, value in rows}
            except (sqlite3.Error, OSError) as error:
                self._give_up(error)
                return {}

    def put(self, key: str, values: Mapping[str, float]) -> None:
        """Keep values by canonical SMILES. Those that are NaN or infinite, a failure, are left out."""
        finite = {smiles: float(value) for smiles, value in values.items() if math.isfinite(value)}
        if not finite:
            return
        with self._lock:
            try:
                connection = self._open()
                if connection is None:
                    return
                with connection:
                    # At once, not at the first write: a reader that becomes a writer cannot wait for another.
                    connection.execute("BEGIN IMMEDIATE")
                    connection.execute("INSERT OR IGNORE INTO components (key) VALUES (?)", (key,))
                    component = self._component(connection, key)
                    connection.executemany(
                        "INSERT OR REPLACE INTO scores VALUES (?, ?, ?)",
                        [(component, smiles, value) for smiles, value in finite.items()],
                    )
            except (sqlite3.Error, OSError) as error:
                self._give_up(error)

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        with self._lock:
            self._close()

    def _open(self) -> sqlite3.Connection | None:
        if self._process != os.getpid():
            # A connection must not be used across a fork, not even to be closed.
            self._inherited, self._connection = self._connection, None
            self._process = os.getpid()
        deadline = time.monotonic() + BUSY_S
        while self._connection is None and self._usable:
            try:
                self._connect()
            except sqlite3.OperationalError as error:
                # Several that make the file at once: the switch to the write-ahead log waits for nobody.
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                self._close()
                time.sleep(0.01)
        return self._connection

    def _connect(self) -> None:
        make_folder(self.path.parent)
        if open_to_all(self.path.parent):
            raise PermissionError("every user of this machine may write to its folder")
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        self._connection = connection
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            if found == 0:
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_FORMAT}")
            elif found != _FORMAT:
                raise sqlite3.DatabaseError(f"format {found}, not {_FORMAT}")
            # A view or a trigger would run whatever it says at the next query.
            if {kind for (kind,) in connection.execute("SELECT type FROM sqlite_master")} - {
                "table",
                "index",
            }:
                raise sqlite3.DatabaseError("holds more than tables")

    def _component(self, connection: sqlite3.Connection, key: str) -> int | None:
        """The number of a component, remembered once it is there."""
        if key not in self._ids:
            row = connection.execute("SELECT id FROM components WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            self._ids[key] = int(row[0])
        return self._ids[key]

    def _give_up(self, error: Exception) -> None:
        self._usable = False
        self._close()
        sys.stderr.write(
            f"the cache of scores {self.path} cannot be used ({error}); the run goes on without it: "
            "if it is damaged, delete it\n"
        )

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        self._ids.clear()
        if connection is not None:
            connection.close()


@cache
def _default(_: Path) -> ScoreCache:
    return ScoreCache(default_path())


def get(key: str, smiles: Sequence[str]) -> dict[str, float]:
    """The values of a component that the user's cache knows, by canonical SMILES."""
    return _default(home()).get(key, smiles)


def put(key: str, values: Mapping[str, float]) -> None:
    """Keep values of a component, by canonical SMILES, in the user's cache; NaN is left out."""
    _default(home()).put(key, values)
