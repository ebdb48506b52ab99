import math
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
import pytest

from moldesign.chem.molecules import Mol, to_smiles
from moldesign.errors import RewardError
from moldesign.rewards.executors import ObjectivePool
from moldesign.rewards.loading import load_objective
from moldesign.rewards.objective import Objective
from moldesign.rewards.oracle import Evaluation, Oracle
from moldesign.rewards.reward import Values
from moldesign.rewards.scores import Scores


class Length:
    """The length of a SMILES over 100; None for those with bromine; counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, smiles: list[str]) -> list[float | None]:
        self.asked.extend(smiles)
        return [None if "Br" in one else len(one) / 100 for one in smiles]


class Paper(list[Evaluation]):
    """A book on paper: what was paid, and what is reserved."""

    def __init__(self) -> None:
        self.reserved: list[str] = []

    def reserve(self, smiles: Sequence[str]) -> None:
        assert not {*smiles} & {*self.reserved, *(one.smiles for one in self)}
        self.reserved += smiles

    def record(self, paid: Sequence[Evaluation]) -> None:
        self.extend(paid)
        self.release([one.smiles for one in paid])

    def release(self, smiles: Sequence[str]) -> None:
        for one in smiles:
            self.reserved.remove(one)


def oracle_of(length: Length, budget: int | None = None) -> tuple[Oracle, Paper]:
    ledger = Paper()
    return Oracle(load_objective(length), budget=budget, book=ledger), ledger


def statuses(evaluations: Sequence[Evaluation]) -> list[str]:
    return [evaluation.status for evaluation in evaluations]


def test_one_call_is_one_new_canonical_molecule() -> None:
    length = Length()
    oracle, ledger = oracle_of(length)
    batch = oracle(["OCC", "CCO", "C(", "CCN", "", "C(O)C"])
    assert statuses(batch) == ["scored", "repeat", "invalid", "scored", "invalid", "repeat"]
    assert [evaluation.smiles for evaluation in batch] == ["CCO", "CCO", "C(", "CCN", "", "CCO"]
    assert [evaluation.call for evaluation in batch] == [1, 1, None, 2, None, 1]
    assert batch[1].score == batch[0].score == 0.03
    assert batch[2].reason == "not a SMILES (grammar)"
    assert math.isnan(batch[2].score)
    assert statuses(oracle(["NCC", "CCC"])) == ["repeat", "scored"]
    assert length.asked == ["CCO", "CCN", "CCC"]
    assert [(row.call, row.smiles) for row in ledger] == [(1, "CCO"), (2, "CCN"), (3, "CCC")]
    assert oracle.calls == 3
    assert oracle.remaining is None
    assert not oracle.spent


def test_stereoisomers_are_different_molecules() -> None:
    oracle, _ = oracle_of(Length())
    batch = oracle(["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "CC(N)C(=O)O"])
    assert statuses(batch) == ["scored"] * 3


def test_the_budget_is_never_exceeded_inside_a_batch() -> None:
    length = Length()
    oracle, ledger = oracle_of(length, budget=3)
    first = oracle(["C", "CC"])
    assert (oracle.calls, oracle.remaining, oracle.spent) == (2, 1, False)
    second = oracle(["CC", "CCC", "CCCC", "CCCC", "C(", "CCC"])
    assert statuses(first) == ["scored", "scored"]
    assert statuses(second) == ["repeat", "scored", "unpaid", "unpaid", "invalid", "repeat"]
    assert (oracle.calls, oracle.remaining, oracle.spent) == (3, 0, True)
    assert statuses(oracle(["CCCCC", "C"])) == ["unpaid", "repeat"]
    assert length.asked == ["C", "CC", "CCC"]
    assert len(ledger) == 3
    unpaid = second[2]
    assert (unpaid.smiles, unpaid.call, unpaid.raw) == ("CCCC", None, ())
    assert math.isnan(unpaid.score)


def test_a_failed_call_is_charged_and_remembered() -> None:
    length = Length()
    oracle, ledger = oracle_of(length, budget=2)
    failed, again, scored = oracle(["CBr", "BrC", "CC"])
    assert (failed.status, failed.call, failed.reason) == ("failed", 1, "score: gave no value")
    assert math.isnan(failed.score)
    assert again.status == "repeat"
    assert math.isnan(again.score)
    assert scored.status == "scored"
    assert statuses(oracle(["CBr"])) == ["repeat"]
    assert length.asked == ["CBr", "CC"]
    assert statuses(ledger) == ["failed", "scored"]


def test_components_in_the_order_of_the_labels() -> None:
    oracle = Oracle(load_objective("druglike"))
    assert oracle.labels == ("qed", "sa", "alerts")
    (benzaldehyde,) = oracle(["O=Cc1ccccc1"])
    assert benzaldehyde.raw[2] == 1
    assert benzaldehyde.shaped[2] == 0
    assert benzaldehyde.score == 0
    assert benzaldehyde.status == "scored"


def test_what_was_paid_before_is_free_and_counts() -> None:
    oracle, written = oracle_of(Length(), budget=3)
    oracle(["C", "CBr"])
    length = Length()
    resumed, ledger = oracle_of(length, budget=3)
    resumed.restore(written)
    assert (resumed.calls, resumed.remaining) == (2, 1)
    batch = resumed(["BrC", "CC", "CCC"])
    assert statuses(batch) == ["repeat", "scored", "unpaid"]
    assert batch[1].call == 3
    assert length.asked == ["CC"]
    assert len(ledger) == 1


def test_what_was_paid_after_a_state_is_a_call_again_for_nothing() -> None:
    """As after a kill: the state is older than the book, and the same molecules come again."""
    whole, book = oracle_of(Length(), budget=4)
    whole(["C", "CBr"])
    state = whole.state()
    expected = [whole(["CBr", "CC", "CCC"]), whole(["CC", "CCCC", "CCCCC"])]

    length = Length()
    resumed, more = oracle_of(length, budget=4)
    resumed.restore(book[:3], state)  # CCC was not paid yet
    assert (resumed.calls, resumed.paid, resumed.remaining, resumed.spent) == (2, 3, 2, False)
    assert [resumed(["CBr", "CC", "CCC"])] == expected[:1]
    assert (resumed.calls, resumed.paid) == (4, 4)
    assert [statuses(resumed(["CC", "CCCC", "CCCCC"]))] == [statuses(expected[1])]
    assert length.asked == ["CCC"]
    assert [one.call for one in more] == [4]
    assert [vars(one) | {"seconds": 0.0, "asked": 0} for one in resumed.tally.components] == [
        vars(one) | {"seconds": 0.0, "asked": 0} for one in whole.tally.components
    ]


def test_what_is_ahead_is_never_paid_again_nor_over_the_budget_when_other_molecules_come() -> None:
    whole, book = oracle_of(Length(), budget=4)
    state = whole.state()
    whole(["C", "CC"])
    length = Length()
    resumed, more = oracle_of(length, budget=4)
    resumed.restore(book, state)
    batch = resumed(["CCC", "CCCC", "CCCCC", "CC"])
    assert statuses(batch) == ["scored", "scored", "unpaid", "scored"]
    assert [one.call for one in batch] == [3, 4, None, 2]
    assert (resumed.calls, resumed.paid, resumed.spent) == (3, 4, False)
    again = oracle_of(Length(), budget=4)[0]
    again.restore([*book, *more], resumed.state())
    assert (again.calls, again.paid) == (3, 4)
    assert statuses(again(["CCCC", "C"])) == ["repeat", "scored"]
    assert again.spent


def test_a_state_with_a_batch_in_flight() -> None:
    whole, book = oracle_of(Length(), budget=9)
    whole(["C"])
    before = whole.state()
    whole(["CC"])
    second, more = oracle_of(Length(), budget=9)
    second.restore(book, before)
    second.submit(["CC", "CCC"])
    state = second.state()
    third, _ = oracle_of(Length(), budget=9)
    third.restore(book, state)
    assert (third.calls, third.paid) == (1, 2)
    assert [(one.call, one.status) for one in third(["CC", "CCC"])] == [(2, "scored"), (3, "scored")]
    assert more == []


def test_a_memory_with_a_gap_is_refused() -> None:
    oracle, written = oracle_of(Length())
    oracle(["C", "CC"])
    fresh, _ = oracle_of(Length())
    with pytest.raises(ValueError, match="call 1 expected"):
        fresh.restore(written[1:])


def test_a_component_that_fails_from_the_first_on_ends_the_run_after_recording_it() -> None:
    ledger = Paper()

    def broken(smiles: list[str]) -> list[float]:
        raise KeyError("model")

    oracle = Oracle(load_objective(broken), book=ledger)
    chains = ["C" * n for n in range(1, 33)]
    assert set(statuses(oracle(chains[:-1]))) == {"failed"}
    with pytest.raises(
        RewardError, match="'broken' failed for each of the last 32 .*broken: KeyError: 'model'"
    ):
        oracle(chains)
    assert len(ledger) == 32


def test_a_component_that_fails_for_all_of_three_batches_ends_the_run() -> None:
    oracle, ledger = oracle_of(Length())
    oracle(["CC"])
    for n in (1, 21):
        assert set(statuses(oracle(["Br" + "C" * k for k in range(n, n + 20)]))) == {"failed"}
    oracle(["CC", "CCBr"])  # only repeats: neither a third batch nor an end of the failures
    with pytest.raises(RewardError, match="'score' failed for each of the last 41 molecules"):
        oracle(["Br" + "C" * 50])
    assert len(ledger) == 42


def test_a_score_between_failures_lets_a_run_go_on() -> None:
    oracle, _ = oracle_of(Length())
    for n in range(0, 100, 20):
        oracle(["Br" + "C" * k for k in range(n + 1, n + 21)] + ["C" * (n + 1)])
    assert oracle.calls == 105


def test_a_wrong_number_of_values_fails_the_molecules() -> None:
    oracle = Oracle(load_objective(lambda smiles: [1.0] * 7), budget=5)
    (evaluation,) = oracle(["CC"])
    assert evaluation.status == "failed"
    assert evaluation.reason == "score: ValueError: gave 7 values for 1 molecules"
    assert oracle.calls == 1


def test_the_tally_counts_what_each_component_did() -> None:
    oracle, _ = oracle_of(Length())
    oracle(["CC", "CCBr", "CCC", "CC"])
    (tally,) = oracle.tally.components
    assert (tally.valued, tally.failed, tally.asked) == (2, 1, 3)
    assert tally.hit_rate in (0.0, 0.5, 1.0)
    assert tally.milliseconds > 0


def test_a_batch_can_be_asked_for_and_its_result_taken_later() -> None:
    length = Length()
    oracle, ledger = oracle_of(length, budget=2)
    asked = oracle.submit(["CC", "C(", "C", "CCC"])
    assert ledger == []
    assert sorted(asked.mols) == [0, 2, 3]
    assert [to_smiles(asked.mols[row]) for row in (0, 2, 3)] == ["CC", "C", "CCC"]
    assert statuses(asked.result()) == ["scored", "invalid", "scored", "unpaid"]
    assert [evaluation.smiles for evaluation in ledger] == ["CC", "C"]
    assert statuses(oracle(["CC"])) == ["repeat"]


def test_a_molecule_in_flight_is_not_paid_again_and_counts_against_the_budget() -> None:
    length = Length()
    oracle, ledger = oracle_of(length, budget=4)
    first = oracle.submit(["OCC", "CCN", "C(", "CCO"])
    assert (oracle.calls, oracle.in_flight, oracle.remaining, oracle.spent) == (0, 2, 2, False)
    second = oracle.submit(["CCO", "CCC", "NCC", "CCCC", "CCCC", "CCCCC"])
    assert (oracle.calls, oracle.in_flight, oracle.remaining, oracle.spent) == (0, 4, 0, True)
    assert ledger.reserved == ["CCO", "CCN", "CCC", "CCCC"]
    third = oracle.submit(["CCC", "CF"])
    assert (length.asked, ledger) == ([], [])
    assert statuses(first.result()) == ["scored", "scored", "invalid", "repeat"]
    evaluations = second.result()
    assert statuses(evaluations) == ["repeat", "scored", "repeat", "scored", "repeat", "unpaid"]
    assert [evaluation.call for evaluation in evaluations] == [1, 3, 2, 4, 4, None]
    assert statuses(third.result()) == ["repeat", "unpaid"]
    assert length.asked == ["CCO", "CCN", "CCC", "CCCC"]
    assert [row.call for row in ledger] == [1, 2, 3, 4]
    assert (oracle.calls, oracle.in_flight, oracle.remaining) == (4, 0, 0)


def test_results_are_asked_for_once_and_in_order() -> None:
    oracle, ledger = oracle_of(Length())
    first, second = oracle.submit(["C"]), oracle.submit(["CC"])
    with pytest.raises(RuntimeError, match="in the order of the batches"):
        second.result()
    with pytest.raises(RuntimeError, match="in the order of the batches"):
        oracle(["CCC"])  # behind two that nobody has asked for
    assert statuses(first.result()) == statuses(second.result()) == ["scored"]
    with pytest.raises(RuntimeError, match="once"):
        second.result()
    assert [(row.call, row.smiles) for row in ledger] == [(1, "C"), (2, "CC")]
    assert statuses(oracle(["CCC"])) == ["scored"]


def test_a_batch_that_fails_leaves_those_behind_it_to_be_paid() -> None:
    def broken_once(smiles: list[str]) -> list[float]:
        scored.append(smiles)
        if len(scored) == 1:
            raise RewardError("the licence has expired")
        return [0.5] * len(smiles)

    scored: list[list[str]] = []
    book = Paper()
    oracle = Oracle(load_objective(broken_once), budget=2, book=book)
    first, second = oracle.submit(["CC", "CCC"]), oracle.submit(["CC", "CCCC", "CCC"])
    with pytest.raises(RewardError, match="the licence has expired"):
        first.result()
    assert (oracle.calls, oracle.in_flight, book.reserved) == (0, 0, [])
    # The second found the budget promised to the first: nothing of it was new.
    evaluations = second.result()
    assert statuses(evaluations) == ["unpaid", "unpaid", "unpaid"]
    assert [evaluation.reason for evaluation in evaluations] == [
        "it was never scored", "the budget is spent", "it was never scored",
    ]  # fmt: skip
    (again,) = oracle(["CC"])
    assert (again.status, again.call, oracle.remaining) == ("scored", 1, 1)


def test_who_wants_no_more_calls_gets_none_also_of_what_is_in_flight() -> None:
    class One:
        """A reward that wants no more after one batch."""

        finished = False

        def __call__(self, mols: Sequence[Mol], /) -> Values:
            self.finished = True
            asked.extend(to_smiles(mol) for mol in mols)
            return np.full(len(mols), 0.5)

    asked: list[str] = []
    oracle = Oracle(Objective.of(One()))
    first, second = oracle.submit(["C", "CC"]), oracle.submit(["CC", "CCC"])
    assert statuses(first.result()) == ["scored", "scored"]
    assert oracle.spent
    assert statuses(second.result()) == ["repeat", "unpaid"]
    assert asked == ["C", "CC"]


class Elsewhere:
    """An objective of which others have the batches in hand, until the test says that they are done."""

    def __init__(self, future: type[Future[Scores]] = Future) -> None:
        self.objective = load_objective(Length())
        self.future = future
        self.labels = self.objective.labels
        self.finished = False
        self.batches: list[tuple[Future[Scores], list[Mol]]] = []

    def submit(self, mols: Sequence[Mol], smiles: Sequence[str]) -> Future[Scores]:
        self.batches.append((self.future(), list(mols)))
        return self.batches[-1][0]

    def finish(self, batch: int) -> None:
        future, mols = self.batches[batch]
        future.set_result(self.objective.evaluate(mols))


def test_the_order_of_the_calls_does_not_depend_on_who_is_done_first() -> None:
    elsewhere = Elsewhere()
    oracle = Oracle(elsewhere)
    first, second = oracle.submit(["C", "CC"]), oracle.submit(["CC", "CCC"])
    assert oracle.in_hand == oracle.in_flight == 3
    elsewhere.finish(1)
    elsewhere.finish(0)
    first.wait()
    assert [e.call for e in first.result()] == [1, 2]
    assert [e.call for e in second.result()] == [2, 3]


def test_what_others_have_in_hand_is_collected_and_what_nobody_has_is_forgotten() -> None:
    elsewhere, ledger = Elsewhere(), Paper()
    oracle = Oracle(elsewhere, book=ledger)
    oracle.submit(["C", "CC"])
    oracle.submit(["CC", "CCC"])
    elsewhere.finish(0)
    elsewhere.finish(1)
    oracle.collect()
    assert [(row.call, row.smiles) for row in ledger] == [(1, "C"), (2, "CC"), (3, "CCC")]
    assert oracle.in_flight == 0

    length = Length()
    inline, _ = oracle_of(length)
    asked = inline.submit(["C"])
    asked.wait()
    assert (inline.in_flight, inline.in_hand) == (1, 0)
    inline.collect()
    assert (inline.in_flight, inline.calls, length.asked) == (0, 0, [])


def test_a_wait_that_is_interrupted_loses_nothing_that_others_have_in_hand() -> None:
    class Interrupted(Future[Scores]):
        waits = 0

        def result(self, timeout: float | None = None) -> Scores:
            self.waits += 1
            if self.waits == 1:
                raise KeyboardInterrupt
            return super().result(timeout)

    elsewhere = Elsewhere(Interrupted)
    oracle = Oracle(elsewhere)
    asked = oracle.submit(["C"])
    elsewhere.finish(0)
    with pytest.raises(KeyboardInterrupt):
        asked.result()
    oracle.collect()
    assert oracle.calls == 1


def test_batches_in_flight_in_a_pool_give_what_one_process_gives() -> None:
    objective = load_objective("druglike")
    batches = [["CCO", "c1ccccc1O", "C("], ["OCC", "CCN", "Oc1ccccc1"], ["CCN", "CC(=O)Nc1ccc(O)cc1"]]
    here = Oracle(objective, budget=4)
    expected = [here(batch) for batch in batches]
    with ObjectivePool(objective, workers=2) as pool:
        there = Oracle(pool, budget=4)
        asked = [there.submit(batch) for batch in batches]
        assert repr([one.result() for one in asked]) == repr(expected)


def test_what_could_not_be_recorded_is_recorded_with_the_next() -> None:
    oracle, ledger = oracle_of(Length())
    record, full = ledger.record, [True, False]

    def refusing(paid: Sequence[Evaluation]) -> None:
        if full.pop(0):
            raise OSError("no space left")
        record(paid)

    ledger.record = refusing  # type: ignore[method-assign]
    with pytest.raises(OSError, match="no space left"):
        oracle(["C", "CC"])
    oracle(["CCC"])
    # Calls follow each other without a gap, so that the ledger can be taken up.
    assert [(one.call, one.smiles) for one in ledger] == [(1, "C"), (2, "CC"), (3, "CCC")]
    assert ledger.reserved == []
    other = Oracle(load_objective(Length()))
    other.restore(ledger)
    assert other.calls == 3


def test_failures_that_are_met_again_do_not_end_a_run_that_was_repaired() -> None:
    broken = Oracle(load_objective(lambda smiles: [None] * len(smiles)))
    batches = [["C" * i + "Br" for i in range(first, first + 12)] for first in (1, 13, 25)]
    paid = [one for batch in batches[:2] for one in broken(batch)]
    with pytest.raises(RewardError, match="failed for each of the last 36 molecules"):
        broken(batches[2])
    paid += [broken.recall("C" * i + "Br") for i in range(25, 37)]

    repaired = Oracle(load_objective(lambda smiles: [0.5] * len(smiles)))
    repaired.restore(paid, {**repaired.state(), "calls": 0, "ahead": []})
    assert [one.status for batch in batches for one in repaired(batch)] == ["failed"] * 36
    assert repaired(["CCO"])[0].score == 0.5
