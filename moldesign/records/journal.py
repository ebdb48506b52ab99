"""The journal of a run: steps.csv, one row a step, and log.jsonl, one event a line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from moldesign.errors import CheckpointError
from moldesign.records import tables
from moldesign.records.files import Appender, write_bytes


class StepsJournal:
    """steps.csv: the first row fixes the columns; every row is with the operating system at once."""

    def __init__(self, path: Path, *, keep: int | None = None) -> None:
        """Open to append. A row cut short by a crash is removed.

        Args:
            keep: so many rows stay, those behind them go; None: all stay.

        Raises:
            UsageError: the path cannot be written.
        """
        if keep is not None and path.exists():
            with path.open("rb") as lines:
                write_bytes(path, b"".join(islice(lines, keep + 1 if keep else 0)))
        self._lines = Appender(path)
        self._header = self._lines.first_line()

    def write(self, row: Mapping[str, float | int | str | None]) -> None:
        """Append one step. NaN and None are empty cells.

        Raises:
            CheckpointError: other columns than those of the file.
            ResourceError: the disk is full.
        """
        header = tables.line(row)
        if self._header is None:
            self._lines.append(header)
            self._header = header
        elif header != self._header:
            raise CheckpointError(
                f"{self._lines.path}: the step has other columns than the file "
                f"({header} against {self._header})"
            )
        self._lines.append(tables.line(row.values()))

    def close(self) -> None:
        self._lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class EventLog:
    """log.jsonl: what happened and when (UTC), one JSON object a line."""

    def __init__(self, path: Path) -> None:
        """Open to append. A line cut short by a crash is removed."""
        self._lines = Appender(path)

    def write(self, event: str, **fields: object) -> None:
        """Append one event with its fields. A number that JSON lacks (NaN, infinity) is null."""
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = {"time": stamp, "event": event, **fields}
        # All that is not ASCII is escaped, and the one control character that is ASCII's last.
        self._lines.append(json.dumps(_plain(entry), allow_nan=False).replace("\x7f", "\\u007f"))

    def close(self) -> None:
        self._lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _plain(value: object) -> object:
    """The value in JSON's own types; anything else as its text."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)
