import math
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from moldesign.errors import CheckpointError
from moldesign.records.ledger import Ledger, LedgerRow


def row(call: int, smiles: str, score: float = 0.5, **changes: object) -> LedgerRow:
    fields: dict[str, object] = {
        "smiles": smiles, "status": "scored", "score": score, "raw": (score, 300.0),
        "shaped": (score, 1.0), "reason": None, "call": call, "step": 0, "time": 0.0, **changes,
    }  # fmt: skip
    return LedgerRow(**fields)  # type: ignore[arg-type]


class Unpaid:
    smiles, status, score = "CCC", "unpaid", math.nan
    raw = shaped = (math.nan, math.nan)
    reason = None
    origin = ""
    call: int | None = None


def failed(call: int, smiles: str) -> LedgerRow:
    nothing = (math.nan, math.nan)
    return row(call, smiles, math.nan, status="failed", reason="qed: no value", raw=nothing, shaped=nothing)


def test_rows_come_back_bit_for_bit(tmp_path: Path) -> None:
    odd = row(1, "CCO", 0.1 + 0.2, raw=(math.inf, np.float64(-1e-300)), shaped=(-math.inf, 5e-324))
    with Ledger(tmp_path / "ledger.sqlite", ["qed", "mw"]) as ledger:
        ledger.add([odd, failed(2, "CCN")], step=7)
    with Ledger.read_only(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.labels == ("qed", "mw")
        assert ledger.calls == 2
        first, second = ledger.rows()
    assert (first.smiles, first.score) == (odd.smiles, odd.score)
    assert (first.raw, first.shaped) == (odd.raw, odd.shaped)
    assert (first.status, first.reason, first.call, first.step) == ("scored", None, 1, 7)
    assert first.time > 1.6e9
    assert (second.status, second.reason) == ("failed", "qed: no value")
    assert math.isnan(second.score)
    assert all(math.isnan(value) for value in second.raw + second.shaped)


def test_the_table_has_a_column_for_each_component(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite", ["qed", "weight"]) as ledger:
        ledger.add([row(1, "CCO", 0.25), failed(2, "CCN")], step=0)
        table = ledger.read()
    assert list(table.columns) == [
        "call", "step", "time", "smiles", "status", "score", "reason", "origin",
        "qed_raw", "qed_score", "weight", "weight_score",
    ]  # fmt: skip
    assert table["qed_raw"].tolist()[0] == 0.25
    assert table["weight"].tolist()[0] == 300.0
    assert pd.isna(table["score"].iloc[1])
    assert table["call"].dtype == np.int64


def test_an_empty_ledger_reads_as_an_empty_table(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite", ["a"]) as ledger:
        table = ledger.read()
    assert len(table) == 0
    assert table["score"].dtype == np.float64


def test_commits_reach_the_disk(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite", ["a"]) as ledger:
        assert ledger._connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert ledger._connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.sqlite"]


def test_a_batch_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite", ["a", "b"]) as ledger:
        ledger.add([row(1, "CCO")], step=0)
        for clash in [row(3, "CCO"), row(1, "CCC")]:
            with pytest.raises(CheckpointError, match="already"):
                ledger.add([row(2, "CCN"), clash], step=1)
        with pytest.raises(ValueError, match="only paid calls"):
            ledger.add([row(2, "CCN"), Unpaid()], step=1)
        assert [found.smiles for found in ledger.rows()] == ["CCO"]
        ledger.add([row(2, "CCN")], step=1)
        assert ledger.calls == 2


def test_a_batch_writes_as_much_to_a_long_ledger_as_to_a_short_one(tmp_path: Path) -> None:
    written = []
    for before in (100, 20_000):
        path = tmp_path / f"{before}.sqlite"
        with Ledger(path, ["a", "b"]) as ledger:
            # Names in no order, as molecules come.
            names = [f"{i * 2654435761 % 2**32:08x}" for i in range(before + 640)]
            ledger.add([row(i + 1, name) for i, name in enumerate(names[:before])], step=0)
            ledger._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            for first in range(before, before + 640, 64):
                batch = [row(i + 1, names[i]) for i in range(first, first + 64)]
                ledger.add(batch, step=1)
            written.append(path.with_name(path.name + "-wal").stat().st_size)
    short, long = written
    assert long < 1.3 * short


def test_a_molecule_is_known_when_a_ledger_is_opened_again(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite", ["a", "b"]) as ledger:
        ledger.add([row(1, "CCO")], step=0)
    with Ledger(tmp_path / "ledger.sqlite", ["a", "b"]) as ledger:
        with pytest.raises(CheckpointError, match=r"already \(CCO\)"):
            ledger.add([row(2, "CCO")], step=1)
        with pytest.raises(CheckpointError, match=r"already \(CCN\)"):
            ledger.add([row(2, "CCN"), row(3, "CCN")], step=1)
        assert ledger.calls == 1


def test_a_reader_looks_on_while_a_run_adds(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite", ["a", "b"]) as ledger:
        ledger.add([row(1, "CCO")], step=0)
        with Ledger.read_only(tmp_path / "ledger.sqlite") as reader:
            assert reader.calls == 1
            ledger.add([row(2, "CCN")], step=0)
            assert reader.calls == 2
            with pytest.raises(CheckpointError, match="readonly"):
                reader.add([row(3, "CCC")], step=0)


def test_other_components_are_refused(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger.sqlite", ["a", "b"]).close()
    with pytest.raises(CheckpointError, match="holds the components a, b"):
        Ledger(tmp_path / "ledger.sqlite", ["a"])


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no ledger here"):
        Ledger.read_only(tmp_path / "missing.sqlite")
    assert not (tmp_path / "missing.sqlite").exists()
    rubbish = tmp_path / "rubbish.sqlite"
    rubbish.write_bytes(b"rubbish" * 1000)
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE x (y)")
    empty = tmp_path / "empty.sqlite"
    empty.touch()
    for path in (rubbish, foreign, empty):
        before = path.read_bytes()
        with pytest.raises(CheckpointError, match=path.name):
            Ledger.read_only(path)
        assert path.read_bytes() == before
    for path in (rubbish, foreign):
        with pytest.raises(CheckpointError, match=path.name):
            Ledger(path, ["a"])


def test_a_ledger_with_a_view_in_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path, ["qed"]).close()
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE calls RENAME TO others")
        endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT x AS call FROM n"
        connection.execute(f"CREATE VIEW calls AS {endless}")
    connection.close()
    with pytest.raises(CheckpointError, match="it holds more than tables"):
        Ledger(path, ["qed"])
    with pytest.raises(CheckpointError, match="it holds more than tables"):
        Ledger.read_only(path)


def test_a_truncated_ledger_is_an_error_not_fewer_rows(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path, ["a", "b"]) as ledger:
        ledger.add([row(i, "C" * i) for i in range(1, 500)], step=0)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(CheckpointError, match=r"damaged|cannot be used"):
        Ledger.read_only(path).rows()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_ledger_on_a_medium_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite", ["a", "b"]) as ledger:
        ledger.add([row(1, "CCO")], step=0)
    tmp_path.chmod(0o500)
    try:
        with Ledger.read_only(tmp_path / "ledger.sqlite") as ledger:
            assert ledger.calls == 1
    finally:
        tmp_path.chmod(0o700)


ADDS_FOR_EVER = """
import sys
from moldesign.records.ledger import Ledger, LedgerRow
ledger = Ledger(sys.argv[1], ["a"])
call = 0
while True:
    rows = [
        LedgerRow(str(i), "scored", i / 7, (i / 7,), (0.5,), None, i, 0, 0.0)
        for i in range(call + 1, call + 9)
    ]
    ledger.add(rows, step=call // 8)
    call += 8
    print(call, flush=True)
"""


@pytest.mark.parametrize("acknowledged", [8, 80, 808])
def test_a_killed_run_loses_no_row_that_was_added(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "ledger.sqlite"
    process = subprocess.Popen(
        [sys.executable, "-c", ADDS_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    last = 0
    while last < acknowledged:
        line = process.stdout.readline()
        assert line, "the writer stopped by itself"
        last = int(line)
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split()
    process.wait()
    process.stdout.close()
    last = int(rest[-1]) if rest else last

    with Ledger.read_only(path) as ledger:
        seen = ledger.rows()
    assert len(seen) >= last
    assert len(seen) % 8 == 0
    assert [found.call for found in seen] == list(range(1, len(seen) + 1))
    assert all(found.score == found.call / 7 for found in seen)
    with Ledger(path, ["a"]) as ledger:
        assert ledger._connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        after = len(seen) + 1
        ledger.add([row(after, "after", raw=(1.0,), shaped=(1.0,))], step=0)
        assert ledger.calls == after


# -- what is under way -------------------------------------------------------------------------------------


def test_what_is_reserved_is_known_until_it_is_paid_or_released(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path, ["qed", "mw"]) as ledger:
        ledger.reserve(["C", "CC", "CCC"], step=1)
        with Ledger.read_only(path) as other:
            assert (other.reserved(), other.calls) == (["C", "CC", "CCC"], 0)
        ledger.add([row(1, "C"), failed(2, "CCC")], step=1)
        assert ledger.reserved() == ["CC"]
        with pytest.raises(CheckpointError, match="in the ledger already"):
            ledger.reserve(["CCCC", "CCC"], step=2)
        assert ledger.reserved() == ["CC"]
        ledger.release(["CC"])
        assert ledger.reserved() == []
        assert ledger.calls == 2


def test_a_call_is_paid_and_no_longer_reserved_in_one(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite", ["qed", "mw"]) as ledger:
        ledger.add([row(1, "C")], step=1)
        ledger.reserve(["CC"], step=2)
        with pytest.raises(CheckpointError, match="a call that is in the ledger already"):
            ledger.add([row(1, "CC")], step=2)
        assert (ledger.calls, ledger.reserved()) == (1, ["CC"])


@pytest.mark.parametrize("layout", [1, 2])
def test_a_ledger_of_an_older_layout_is_brought_up_to_date(tmp_path: Path, layout: int) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path, ["qed", "mw"]) as ledger:
        ledger.add([row(1, "C")], step=1)
    connection = sqlite3.connect(path)
    if layout < 2:
        connection.execute("DROP TABLE reserved")
    connection.execute("ALTER TABLE calls DROP COLUMN origin")
    connection.execute(f"PRAGMA user_version={layout}")
    connection.commit()
    connection.close()
    with Ledger.read_only(path) as old:
        assert (old.calls, old.reserved(), old.rows()[0].origin) == (1, [], "")
    with Ledger(path, ["qed", "mw"]) as ledger:
        ledger.reserve(["CC"], step=2)
        assert ([one.smiles for one in ledger.rows()], ledger.reserved()) == (["C"], ["CC"])
        ledger.add([row(2, "CC", origin="edit")], step=2)
        assert [one.origin for one in ledger.rows()] == ["", "edit"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE calls SET raw = '3'",
        "UPDATE calls SET raw = '[1, 2, 3]'",
        "UPDATE calls SET shaped = '[]'",
        "UPDATE calls SET raw = '[[1], 2]'",
        "UPDATE calls SET smiles = CAST(x'4343ff4f' AS TEXT)",
        "UPDATE facts SET value = '3'",
        'UPDATE facts SET value = \'["a", "a"]\'',
        "UPDATE facts SET value = '[' || printf('%.100000c', '[')",
        "DROP TABLE calls",
    ],
)
def test_a_ledger_that_holds_something_else_is_refused_in_one_line(tmp_path: Path, change: str) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path, ["a", "b"]) as ledger:
        ledger.add([row(1, "CCO")], step=0)
    with sqlite3.connect(path) as connection:
        connection.execute(change)
    connection.close()
    with pytest.raises(CheckpointError, match="ledger.sqlite: ") as caught, Ledger.read_only(path) as ledger:
        ledger.read()
    assert "\n" not in str(caught.value)
