"""The ledger: every oracle call of a run, on disk before it is made and the moment it is scored."""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import pandas as pd

from moldesign.errors import CheckpointError, MoldesignError, ResourceError
from moldesign.files import sync_names, write_error
from moldesign.records.columns import LEDGER, component_columns

#: Marks the file as a ledger of ours ("mold") and the layout of its tables.
_APPLICATION = 0x6D6F6C64
_LAYOUT = 3

#: No index of the molecules: each call would change a page of it somewhere, and each batch would write more
#: the longer the ledger is (9 KB a call after 100,000, against 0.4 KB). `add` knows them by heart.
_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE calls (
    call   INTEGER PRIMARY KEY,
    smiles TEXT NOT NULL,
    score  REAL,
    status TEXT NOT NULL,
    reason TEXT,
    raw    TEXT NOT NULL,
    shaped TEXT NOT NULL,
    step   INTEGER NOT NULL,
    time   REAL NOT NULL,
    origin TEXT NOT NULL DEFAULT ''
);
"""

#: What is being scored: whoever finds a row here after a crash knows which molecules were under way.
_RESERVED = "CREATE TABLE reserved (smiles TEXT NOT NULL, step INTEGER NOT NULL, time REAL NOT NULL)"

#: Of the columns that are no numbers, and of those that are whole.
_TYPES = {
    "call": "int64",
    "step": "int64",
    "smiles": "str",
    "status": "str",
    "reason": "str",
    "origin": "str",
}


class Paid(Protocol):
    """One paid oracle call. `score` is NaN and `reason` a text where the call failed."""

    @property
    def smiles(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def score(self) -> float: ...
    @property
    def raw(self) -> tuple[float, ...]: ...
    @property
    def shaped(self) -> tuple[float, ...]: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def call(self) -> int | None: ...
    @property
    def origin(self) -> str: ...


@dataclass(frozen=True)
class LedgerRow:
    """One paid oracle call as the ledger keeps it. `time` is in seconds since 1970, UTC."""

    smiles: str
    status: str
    score: float
    raw: tuple[float, ...]
    shaped: tuple[float, ...]
    reason: str | None
    call: int
    step: int
    time: float
    origin: str = ""


class Ledger:
    """The oracle calls of a run in SQLite: what `add` returned from survives a kill and a power cut.

    Molecules are reserved before they are scored: those that still are when a ledger is opened were under way
    when its last writer died, and nobody knows what became of them.

    One writer at a time (the run's lock sees to it); readers are free to look on meanwhile.
    """

    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        """Open a ledger to add to, making it where it is not there yet.

        Args:
            labels: of the components, in the order of `raw` and `shaped`.

        Raises:
            CheckpointError: not a ledger, damaged, or one of other components.
        """
        self.path = Path(path)
        self.labels = tuple(labels)
        self._known: set[str] | None = None
        component_columns(self.labels)
        with _explained(self.path):
            self._connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            with _explained(self.path):
                # WAL: one fsync a commit, and readers do not hold the writer up. FULL: a commit is
                # on the disk when it returns.
                self._connection.execute("PRAGMA trusted_schema=OFF")
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=FULL")
                if not self._has_tables():
                    self._make_tables()
            self._check(self.labels)
            self._bring_up_to_date()
        except BaseException:
            self._connection.close()
            raise

    @classmethod
    def read_only(cls, path: Path) -> Self:
        """A ledger to read from, also while a run adds to it; its labels come from the file.

        Raises:
            CheckpointError: no such file, not a ledger, or damaged.
        """
        ledger = cls.__new__(cls)
        ledger.path = Path(path)
        ledger._known = None
        if not ledger.path.is_file():
            raise CheckpointError(f"{ledger.path}: there is no ledger here")
        ledger._connection = _connect_to_read(ledger.path)
        try:
            ledger.labels = ledger._check(None)
        except BaseException:
            ledger._connection.close()
            raise
        return ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close; the write-ahead log is folded into the one file."""
        self._connection.close()

    @property
    def calls(self) -> int:
        """The number of paid calls."""
        with _explained(self.path):
            return int(self._connection.execute("SELECT count(*) FROM calls").fetchone()[0])

    def reserve(self, smiles: Sequence[str], *, step: int) -> None:
        """Keep which molecules are about to be scored, all of them or none; on the disk when this returns.

        Raises:
            CheckpointError: a molecule that the ledger has already.
            ResourceError: the disk is full.
        """
        now = time.time()
        self._new(smiles)
        with _explained(self.path), self._transaction():
            self._connection.executemany(
                "INSERT INTO reserved (smiles, step, time) VALUES (?, ?, ?)",
                [(one, int(step), now) for one in smiles],
            )

    def release(self, smiles: Iterable[str]) -> None:
        """Forget that these molecules were reserved."""
        with _explained(self.path), self._transaction():
            self._unreserve(smiles)

    def reserved(self) -> list[str]:
        """The molecules that are being scored, in the order in which they were reserved."""
        with _explained(self.path):
            if self._layout() < 2:
                return []
            return [one for (one,) in self._connection.execute("SELECT smiles FROM reserved ORDER BY rowid")]

    def _unreserve(self, smiles: Iterable[str]) -> None:
        self._connection.executemany("DELETE FROM reserved WHERE smiles = ?", [(one,) for one in smiles])

    def add(self, rows: Sequence[Paid], *, step: int) -> None:
        """Keep paid calls, all of them or none, no longer reserved; on the disk when this returns.

        Raises:
            ValueError: a row without a call number, or with other than one value a component.
            CheckpointError: a call or a molecule that the ledger has already.
            ResourceError: the disk is full.
        """
        now = time.time()
        values = []
        for row in rows:
            if row.call is None:
                raise ValueError(f"{row.smiles}: only paid calls belong in the ledger")
            if not len(row.raw) == len(row.shaped) == len(self.labels):
                raise ValueError(f"{row.smiles}: {len(self.labels)} values needed, raw and shaped")
            score = None if math.isnan(row.score) else float(row.score)
            raw, shaped = _to_json(row.raw), _to_json(row.shaped)
            outcome = (score, row.status, row.reason, raw, shaped)
            values.append((int(row.call), row.smiles, *outcome, int(step), now, row.origin))
        if not values:
            return
        new = self._new(row.smiles for row in rows)
        with _explained(self.path), self._transaction():
            self._connection.executemany(
                "INSERT INTO calls (call, smiles, score, status, reason, raw, shaped, step, time, origin) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            self._unreserve(row.smiles for row in rows)
        self._molecules().update(new)

    def rows(self) -> list[LedgerRow]:
        """Every paid call in order, as it was added: numbers come back bit for bit."""
        return list(self._rows())

    def read(self) -> pd.DataFrame:
        """Every paid call in order, a table.

        Columns: call, step, time, smiles, status, score, reason, then raw and shaped of each
        component (named by `component_columns`). NaN where a call failed.
        """
        with _explained(self.path):
            return self._table()

    def _table(self) -> pd.DataFrame:
        pairs = component_columns(self.labels)
        values: dict[str, list[object]] = {
            name: [] for name in (*LEDGER, *(n for pair in pairs for n in pair))
        }
        for row in self._rows():  # one at a time: as objects, all of them take more room than the table
            for name in LEDGER:
                values[name].append(getattr(row, name))
            for (raw, shaped), of_raw, of_shaped in zip(pairs, row.raw, row.shaped, strict=True):
                values[raw].append(of_raw)
                values[shaped].append(of_shaped)
        return pd.DataFrame(
            {name: pd.Series(column, dtype=_TYPES.get(name, "float64")) for name, column in values.items()}
        )

    def _rows(self) -> Iterator[LedgerRow]:
        with _explained(self.path):
            origins = "origin" if self._layout() >= 3 else "''"
            for (
                smiles,
                status,
                score,
                raw,
                shaped,
                reason,
                call,
                step,
                when,
                origin,
            ) in self._connection.execute(
                f"SELECT smiles, status, score, raw, shaped, reason, call, step, time, {origins} "
                "FROM calls ORDER BY call"
            ):
                yield LedgerRow(
                    smiles=smiles,
                    status=status,
                    score=math.nan if score is None else score,
                    raw=_from_json(raw),
                    shaped=_from_json(shaped),
                    reason=reason,
                    call=call,
                    step=step,
                    time=when,
                    origin=origin,
                )

    def _molecules(self) -> set[str]:
        """The molecules in the ledger, read from it once."""
        if self._known is None:
            with _explained(self.path):
                self._known = {smiles for (smiles,) in self._connection.execute("SELECT smiles FROM calls")}
        return self._known

    def _new(self, molecules: Iterable[str]) -> set[str]:
        """Molecules that are to be added. Raises CheckpointError: one twice, or one that is there already."""
        known = self._molecules()
        new: set[str] = set()
        for smiles in molecules:
            if smiles in known or smiles in new:
                raise CheckpointError(f"{self.path}: a molecule that is in the ledger already ({smiles})")
            new.add(smiles)
        return new

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _has_tables(self) -> bool:
        return bool(self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])

    def _make_tables(self) -> None:
        with self._transaction():
            for statement in (*_TABLES.split(";"), _RESERVED):
                self._connection.execute(statement)
            self._connection.execute("INSERT INTO facts VALUES ('labels', ?)", (json.dumps(self.labels),))
            self._connection.execute(f"PRAGMA application_id={_APPLICATION}")
            self._connection.execute(f"PRAGMA user_version={_LAYOUT}")
        sync_names(self.path.resolve().parent)

    def _bring_up_to_date(self) -> None:
        """Give a ledger of an older layout what it lacks.

        From 1 to 2: the table of what is reserved. From 2 to 3: what proposed a molecule.
        """
        with _explained(self.path):
            layout = self._layout()
            if layout == _LAYOUT:
                return
            with self._transaction():
                if layout < 2:
                    self._connection.execute(_RESERVED)
                self._connection.execute("ALTER TABLE calls ADD COLUMN origin TEXT NOT NULL DEFAULT ''")
                self._connection.execute(f"PRAGMA user_version={_LAYOUT}")

    def _layout(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def _check(self, labels: tuple[str, ...] | None) -> tuple[str, ...]:
        """The labels in the file, after a look at what the file is."""
        with _explained(self.path):
            application = self._connection.execute("PRAGMA application_id").fetchone()[0]
            layout = self._layout()
            if application != _APPLICATION:
                raise CheckpointError(f"{self.path}: not a ledger of moldesign")
            if not 1 <= layout <= _LAYOUT:
                raise CheckpointError(
                    f"{self.path}: a ledger of layout {layout}; this version reads up to {_LAYOUT}: upgrade"
                )
            kinds = {kind for (kind,) in self._connection.execute("SELECT type FROM sqlite_master")}
            if kinds - {"table", "index"}:
                # A view or a trigger would run whatever it says, at the next query.
                raise CheckpointError(f"{self.path}: not a ledger of moldesign (it holds more than tables)")
            stored = self._connection.execute("SELECT value FROM facts WHERE name = 'labels'").fetchone()
            if stored is None:
                raise CheckpointError(f"{self.path}: damaged (no component labels)")
            found = tuple(json.loads(stored[0]))
            component_columns(found)
        if labels is not None and labels != found:
            raise CheckpointError(
                f"{self.path}: the ledger holds the components {', '.join(found)}; "
                f"the objective has {', '.join(labels)}"
            )
        return found


def _connect_to_read(path: Path) -> sqlite3.Connection:
    address = path.resolve().as_uri()
    with _explained(path):
        connection = sqlite3.connect(f"{address}?mode=ro", uri=True, isolation_level=None)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return connection
        except sqlite3.OperationalError:
            connection.close()
            if path.with_name(path.name + "-wal").exists():
                raise
        # On a medium that cannot be written, SQLite cannot make its shared index; without a
        # log beside it the file is complete, and can be read as it lies.
        return sqlite3.connect(f"{address}?immutable=1", uri=True, isolation_level=None)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """SQLite's errors and the disk's as errors a user can act on."""
    try:
        yield
    except OSError as error:
        raise write_error(path, error) from None
    except (sqlite3.Error, ValueError, TypeError, RecursionError) as error:
        # Of other types than were written too: JSON that is none, text that is no UTF-8, a list too long.
        raise _explain(path, error) from error


def _explain(path: Path, error: Exception) -> MoldesignError:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF == sqlite3.SQLITE_FULL:
        return ResourceError(f"{path}: the disk is full: free some space")
    if code is not None and code & 0xFF == sqlite3.SQLITE_IOERR:
        return ResourceError(f"{path}: cannot be written or read ({error}): look for room on the disk")
    if isinstance(error, sqlite3.IntegrityError):
        return CheckpointError(f"{path}: a call that is in the ledger already ({error})")
    if isinstance(error, sqlite3.OperationalError):
        return CheckpointError(f"{path}: cannot be used ({_short(error)})")
    return CheckpointError(f"{path}: not a ledger, or damaged ({_short(error)})")


def _short(error: Exception) -> str:
    """What SQLite says, in one line: it may quote what it found."""
    return " ".join(str(error).split())[:200]


def _to_json(values: Sequence[float]) -> str:
    """A JSON list that keeps every bit; NaN is null, and an infinity a number beyond all doubles."""
    return "[" + ", ".join(_number(float(value)) for value in values) + "]"


def _number(value: float) -> str:
    if math.isnan(value):
        return "null"
    if math.isinf(value):
        return "1e999" if value > 0 else "-1e999"
    return repr(value)


def _from_json(text: str) -> tuple[float, ...]:
    return tuple(math.nan if value is None else float(value) for value in json.loads(text))
