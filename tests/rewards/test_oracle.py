import math
from collections.abc import Sequence

import pytest

from moldesign.errors import RewardError
from moldesign.rewards.loading import load_objective
from moldesign.rewards.oracle import Evaluation, Oracle


class Length:
    """The length of a SMILES over 100; None for those with bromine; counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, smiles: list[str]) -> list[float | None]:
        self.asked.extend(smiles)
        return [None if "Br" in one else len(one) / 100 for one in smiles]


def oracle_of(length: Length, budget: int | None = None) -> tuple[Oracle, list[Evaluation]]:
    ledger: list[Evaluation] = []
    return Oracle(load_objective(length), budget=budget, record=ledger.extend), ledger


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
    oracle, _ = oracle_of(Length(), budget=3)
    oracle(["C", "CBr"])
    length = Length()
    resumed, ledger = oracle_of(length, budget=3)
    resumed.restore(oracle.state())
    assert (resumed.calls, resumed.remaining) == (2, 1)
    batch = resumed(["BrC", "CC", "CCC"])
    assert statuses(batch) == ["repeat", "scored", "unpaid"]
    assert batch[1].call == 3
    assert length.asked == ["CC"]
    assert len(ledger) == 1


def test_a_memory_with_a_gap_is_refused() -> None:
    oracle, _ = oracle_of(Length())
    oracle(["C", "CC"])
    fresh, _ = oracle_of(Length())
    with pytest.raises(ValueError, match="call 1 expected"):
        fresh.restore(oracle.state()[1:])


def test_a_component_that_fails_from_the_first_on_ends_the_run_after_recording_it() -> None:
    ledger: list[Evaluation] = []

    def broken(smiles: list[str]) -> list[float]:
        raise KeyError("model")

    oracle = Oracle(load_objective(broken), record=ledger.extend)
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
    with pytest.raises(RuntimeError, match="the last batch"):
        oracle.submit(["CCCC"])
    assert statuses(asked.result()) == ["scored", "invalid", "scored", "unpaid"]
    assert [evaluation.smiles for evaluation in ledger] == ["CC", "C"]
    assert statuses(oracle(["CC"])) == ["repeat"]
