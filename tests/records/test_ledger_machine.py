"""The ledger against a model of it, over sequences of calls that nobody thought of."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from moldesign.errors import CheckpointError
from moldesign.records.ledger import Ledger, LedgerRow

LABELS = ("qed", "weight")

NAMES = st.integers(0, 30).map(lambda n: "C" * n + "O")
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
ROWS = st.lists(st.tuples(NAMES, NUMBERS, st.booleans()), max_size=5, unique_by=lambda row: row[0])


class LedgerMachine(RuleBasedStateMachine):
    """A ledger on disk, and the rows that it must hold.

    What a ledger learns to do becomes a rule that changes the model in the same way; the invariants look at
    the ledger as its writer and as a reader see it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ledger.sqlite"
        #: By call, from 1: what every reader has to find.
        self.expected: list[LedgerRow] = []
        #: What is being scored, in order.
        self.reserved: list[str] = []
        self.step = 0

    @initialize()
    def open(self) -> None:
        self.ledger = Ledger(self.path, LABELS)

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()

    def rows(self, drawn: list[tuple[str, float, bool]]) -> list[LedgerRow]:
        """The drawn molecules as the next calls."""
        first = len(self.expected) + 1
        return [
            LedgerRow(
                smiles=smiles,
                status="failed" if failed else "scored",
                score=math.nan if failed or math.isinf(score) else score,
                raw=(score, 1.0 / 3.0),
                shaped=(math.nan, score),
                reason="qed: no value" if failed else None,
                call=first + i,
                step=self.step,
                time=0.0,
            )
            for i, (smiles, score, failed) in enumerate(drawn)
        ]

    @rule(drawn=ROWS)
    def add(self, drawn: list[tuple[str, float, bool]]) -> None:
        rows = self.rows(drawn)
        known = {row.smiles for row in self.expected}
        self.step += 1
        if known & {row.smiles for row in rows}:
            with pytest.raises(CheckpointError, match="already"):
                self.ledger.add(rows, step=self.step)
            return
        self.ledger.add(rows, step=self.step)
        self.expected += [replace(row, step=self.step) for row in rows]
        paid = {row.smiles for row in rows}
        self.reserved = [smiles for smiles in self.reserved if smiles not in paid]

    @rule(drawn=ROWS)
    def reserve(self, drawn: list[tuple[str, float, bool]]) -> None:
        smiles = [one for one, _, _ in drawn]
        if {*smiles} & {row.smiles for row in self.expected}:
            with pytest.raises(CheckpointError, match="already"):
                self.ledger.reserve(smiles, step=self.step)
            return
        self.ledger.reserve(smiles, step=self.step)
        self.reserved += smiles

    @rule(drawn=ROWS)
    def release(self, drawn: list[tuple[str, float, bool]]) -> None:
        names = {one for one, _, _ in drawn}
        self.ledger.release(names)
        self.reserved = [smiles for smiles in self.reserved if smiles not in names]

    @precondition(lambda self: self.expected)
    @rule(drawn=ROWS, data=st.data())
    def add_a_call_again(self, drawn: list[tuple[str, float, bool]], data: st.DataObject) -> None:
        taken = data.draw(st.integers(1, len(self.expected)))
        rows = [*self.rows(drawn), replace(self.expected[0], call=taken, smiles="new")]
        with pytest.raises(CheckpointError, match="already"):
            self.ledger.add(rows, step=self.step)

    @rule(drawn=ROWS)
    def add_with_a_value_too_few(self, drawn: list[tuple[str, float, bool]]) -> None:
        rows = self.rows([*drawn, ("last", 0.5, False)])
        rows[-1] = replace(rows[-1], raw=(0.5,))
        with pytest.raises(ValueError, match="2 values needed"):
            self.ledger.add(rows, step=self.step)

    @rule()
    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = Ledger(self.path, LABELS)

    @rule()
    def open_for_other_components(self) -> None:
        with pytest.raises(CheckpointError, match="holds the components qed, weight"):
            Ledger(self.path, ("qed",))

    @invariant()
    def the_writer_and_a_reader_find_every_row(self) -> None:
        with Ledger.read_only(self.path) as reader:
            assert reader.labels == LABELS
            for ledger in (self.ledger, reader):
                assert ledger.calls == len(self.expected)
                found = ledger.rows()
                assert list(map(bits, found)) == list(map(bits, self.expected))
                assert ledger.reserved() == self.reserved
        assert all(row.time > 1.6e9 for row in found)

    @invariant()
    def the_table_holds_the_same(self) -> None:
        table = self.ledger.read()
        assert table["smiles"].tolist() == [row.smiles for row in self.expected]
        assert table["call"].tolist() == list(range(1, len(self.expected) + 1))
        assert table["score"].isna().tolist() == [math.isnan(row.score) for row in self.expected]


def bits(row: LedgerRow) -> dict[str, object]:
    """A row but for its time, with numbers that are equal where they are the same, NaN too."""
    numbers = {name: [value.hex() for value in getattr(row, name)] for name in ("raw", "shaped")}
    return {**vars(row), "time": None, "score": row.score.hex(), **numbers}


TestLedger = LedgerMachine.TestCase
# Each step commits to the disk more than once.
TestLedger.settings = settings(max_examples=settings().max_examples // 10, stateful_step_count=10)
