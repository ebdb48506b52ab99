"""Real scorers in real processes: what they may do wrong, they do here."""

import os
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from moldesign.chem.molecules import read
from moldesign.errors import RewardError, UsageError
from moldesign.rewards.external import ExternalScorer, ScorerError
from moldesign.rewards.objective import Objective
from moldesign.rewards.oracle import Oracle

ROOT = Path(__file__).parents[2]
MOLS = [read("CCO"), read("CCBr"), read("CCN")]

HEAD = """
import json, os, sys, time
def say(x):
    print(x if isinstance(x, str) else json.dumps(x), flush=True)
def asked():
    line = sys.stdin.readline()
    return json.loads(line) if line else {"cmd": "quit"}
"""


class Scorers:
    """Starts scorers from Python text and ends them all."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started: list[ExternalScorer] = []

    def __call__(self, body: str, *, ready_s: float = 30, answer_s: float = 30) -> ExternalScorer:
        path = self._directory / f"scorer_{len(self._started)}.py"
        path.write_text(HEAD + textwrap.dedent(body))
        scorer = ExternalScorer([sys.executable, "-S", str(path)], ready_s=ready_s, answer_s=answer_s)
        self._started.append(scorer)
        return scorer

    def close(self) -> None:
        for scorer in self._started:
            scorer.close()


@pytest.fixture
def scorers(tmp_path: Path) -> Iterator[Scorers]:
    started = Scorers(tmp_path)
    yield started
    started.close()


def always(answer: str) -> str:
    return f"""
    say({{"ready": True}})
    while "smiles" in (request := asked()):
        n = len(request["smiles"])
        say({answer})
    """


def test_the_example_scores_as_rdkit_does() -> None:
    with ExternalScorer(f"{sys.executable} '{ROOT / 'examples' / 'logp_scorer.py'}'") as scorer:
        values = scorer(MOLS)
        assert values == pytest.approx([-0.0014, 1.4008, -0.035], abs=1e-3)
        assert scorer(MOLS[:1]) == pytest.approx(values[:1])


def test_started_once_and_null_is_a_failure(scorers: Scorers) -> None:
    scorer = scorers(
        """
        say({"ready": True})
        n = 0
        while "smiles" in (request := asked()):
            n += 1
            say({"scores": [None if "Br" in s else n for s in request["smiles"]]})
        """
    )
    np.testing.assert_array_equal(scorer(MOLS), [1, np.nan, 1])
    np.testing.assert_array_equal(scorer(MOLS), [2, np.nan, 2])
    scores = Objective.of(scorer).evaluate(MOLS)
    assert scores.reasons == [None, "score: gave no value", None]
    assert not scorer.finished


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ('{"scores": [0.5] * (n - 1)}', "2 scores for 3 molecules"),
        ('{"scores": [0.5] * (n + 1)}', "4 scores for 3 molecules"),
        ('"Docking ligand 1 of 3..."', "not a JSON line on its standard output: Docking ligand 1 of 3"),
        ('"[1, 2, 3]"', "a JSON object expected"),
        ("{}", '"scores" or "error" expected'),
        ('{"scores": 3}', '"scores" or "error" expected'),
        ('{"scores": ["0.5"] * n}', "score 1 is no number"),
        ('{"scores": [True] * n}', "score 1 is no number"),
        ('{"scores": [0.5] * n, "finished": "no"}', '"finished" must be true or false'),
    ],
)
def test_a_broken_protocol_ends_the_run(scorers: Scorers, answer: str, message: str) -> None:
    objective = Objective.of(scorers(always(answer)))
    with pytest.raises(RewardError) as caught:
        objective.evaluate(MOLS)
    assert message in str(caught.value)
    assert caught.value.exit_code == 5


def test_values_that_are_no_score_are_failures(scorers: Scorers) -> None:
    scorer = scorers(always('\'{"scores": [NaN, Infinity, 1\' + "0" * 400 + "]}"'))
    scores = Objective.of(scorer).evaluate(MOLS)
    assert np.isnan(scores.score).all()


def test_an_error_answer_fails_the_molecules_it_is_about(scorers: Scorers) -> None:
    scorer = scorers(
        always('{"error": "no bromine"} if "CCBr" in request["smiles"] else {"scores": [0.5] * n}')
    )
    scores = Objective.of(scorer).evaluate(MOLS)
    np.testing.assert_array_equal(scores.score, [0.5, np.nan, 0.5])
    assert scores.reasons[1] == "score: ScorerError: no bromine"


def test_a_molecule_that_kills_the_scorer_fails_alone(scorers: Scorers) -> None:
    scorer = scorers(
        """
        say({"ready": True})
        while "smiles" in (request := asked()):
            if "CCBr" in request["smiles"]:
                print("cannot allocate", file=sys.stderr, flush=True)
                os.kill(os.getpid(), 9)
            say({"scores": [0.5] * len(request["smiles"])})
        """
    )
    scores = Objective.of(scorer).evaluate(MOLS)
    np.testing.assert_array_equal(scores.score, [0.5, np.nan, 0.5])
    assert scores.reasons[1] == "score: ScorerError: scorer ended: cannot allocate"
    assert scorer(MOLS[:1]).tolist() == [0.5]


def test_a_molecule_that_hangs_the_scorer_fails_alone(scorers: Scorers) -> None:
    scorer = scorers(
        """
        say({"ready": True})
        while "smiles" in (request := asked()):
            if "CCBr" in request["smiles"]:
                time.sleep(600)
            say({"scores": [0.5] * len(request["smiles"])})
        """,
        answer_s=1.5,
    )
    scores = Objective.of(scorer).evaluate(MOLS)
    np.testing.assert_array_equal(scores.score, [0.5, np.nan, 0.5])
    assert scores.reasons[1] == "score: ScorerTimeoutError: no answer within 1.5 s"


def test_a_scorer_that_only_dies_is_given_up(scorers: Scorers) -> None:
    objective = Objective.of(scorers('say({"ready": True}); asked(); sys.exit("no licence")'))
    with pytest.raises(RewardError, match="failed for 3 molecules in a row: scorer ended: no licence"):
        objective.evaluate(MOLS)


DIES = """
    say({"ready": True})
    while "smiles" in (request := asked()):
        if any("Br" in one for one in request["smiles"]):
            sys.exit("no bromine")
        say({"scores": [0.5] * len(request["smiles"])})
    """


def test_two_molecules_that_kill_it_at_first_do_not_end_the_run(scorers: Scorers) -> None:
    mols = [read(one) for one in ("CBr", "CCBr", "CCO", "CCCBr", "CCN")]
    scores = Objective.of(scorers(DIES)).evaluate(mols)
    np.testing.assert_array_equal(scores.score, [np.nan, np.nan, 0.5, np.nan, 0.5])


def test_one_that_has_answered_is_given_up_after_many_molecules(scorers: Scorers) -> None:
    objective = Objective.of(scorers(DIES))
    mols = [read("C" * n + "Br") for n in range(1, 33)]
    scores = objective.evaluate([read("C"), *mols[:31], read("CC"), *mols[:5]])
    assert np.flatnonzero(~np.isnan(scores.score)).tolist() == [0, 32]
    objective.evaluate([read("CC")])
    with pytest.raises(RewardError, match="scorer failed for 32 molecules in a row: scorer ended: no brom"):
        objective.evaluate(mols)


def test_one_that_is_too_slow_three_times_is_given_up(scorers: Scorers) -> None:
    body = DIES.replace('sys.exit("no bromine")', "time.sleep(600)")
    scorer = scorers(body, answer_s=0.5)
    scorer([read("C")])
    with pytest.raises(RewardError, match="failed for 3 molecules in a row: no answer within 0.5 s"):
        Objective.of(scorer).evaluate([read("C" * n + "Br") for n in range(1, 10)])


def test_an_answer_too_many_is_not_taken_for_the_next(scorers: Scorers) -> None:
    scorer = scorers(
        """
        say({"ready": True})
        while "smiles" in (request := asked()):
            os.write(1, b'{"scores": [1.0]}\\n{"scores": [2.0]}\\n')
        """
    )
    assert scorer(MOLS[:1]).tolist() == [1]
    time.sleep(0.3)
    with pytest.raises(RewardError, match=r"wrote what nobody asked for: \{\"scores\": \[2.0\]\}"):
        scorer(MOLS[:1])


def test_a_scorer_that_reads_nothing_cannot_block_us(scorers: Scorers) -> None:
    # 72 kB do not fit into a pipe.
    scorer = scorers('say({"ready": True}); time.sleep(600)', answer_s=0.5)
    with pytest.raises(ScorerError, match="no answer within"):
        scorer([read("C" * 240)] * 300)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("time.sleep(600)", "never said .* no answer within 0.5 s"),
        ('sys.exit("model file missing")', "never said .* scorer ended: model file missing"),
        ('say("Loading model")', "not a JSON line"),
        ('say({"scores": []})', "expected first"),
    ],
)
def test_a_scorer_that_never_gets_ready(scorers: Scorers, body: str, message: str) -> None:
    limit = 0.5 if "sleep" in body else 30
    with pytest.raises(RewardError, match=message):
        scorers(body, ready_s=limit)(MOLS)


def test_finished_spends_the_budget(scorers: Scorers) -> None:
    oracle = Oracle(Objective.of(scorers(always('{"scores": [1.0] * n, "finished": True}'))), budget=100)
    assert not oracle.spent
    assert [evaluation.status for evaluation in oracle(["C", "CC"])] == ["scored", "scored"]
    assert (oracle.spent, oracle.remaining) == (True, 0)
    assert [evaluation.status for evaluation in oracle(["C", "CCC"])] == ["repeat", "unpaid"]


def test_closing_asks_first_and_then_kills_all_that_was_started(scorers: Scorers, tmp_path: Path) -> None:
    polite = scorers(always('{"scores": [1.0] * n}') + f"\n    open({str(tmp_path / 'bye')!r}, 'w')")
    polite(MOLS)
    polite.close()
    assert (tmp_path / "bye").exists()

    stubborn = scorers(
        """
        import subprocess
        child = subprocess.Popen(["sleep", "600"])
        say({"ready": True})
        asked()
        say({"scores": [child.pid]})
        time.sleep(600)
        """
    )
    child = int(stubborn(MOLS[:1])[0])
    stubborn.close()
    deadline = time.monotonic() + 10
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(child)


def test_a_scorer_that_nobody_closes_ends_with_its_reward(tmp_path: Path) -> None:
    path = tmp_path / "scorer.py"
    path.write_text(HEAD + 'say({"ready": True}); asked(); say({"scores": [os.getpid()]}); time.sleep(600)')
    scorer = ExternalScorer([sys.executable, "-S", str(path)])
    pid = int(scorer(MOLS[:1])[0])
    assert _runs(pid)
    del scorer
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_an_interrupted_answer_is_not_taken_for_the_next(
    scorers: Scorers, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = scorers(always('{"scores": [float(len(s)) for s in request["smiles"]]}'))
    scorer.start()
    with monkeypatch.context() as patch:
        patch.setattr(ExternalScorer, "_receive", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            scorer([read("CCCCCC")])
    assert scorer([read("CC")]).tolist() == [2.0]


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("command", ["", "   ", "python 'unclosed"])
def test_a_command_that_is_none(command: str) -> None:
    with pytest.raises(UsageError, match="scorer command"):
        ExternalScorer(command)


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(RewardError, match="cannot be started: /no/such/program"):
        ExternalScorer("/no/such/program --x").start()


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    scorer = ExternalScorer(
        f"{sys.executable} -c 'raise SystemExit(str(__import__(\"sys\").argv))' $HOME; true"
    )
    with pytest.raises(RewardError, match=r"'\$HOME;', 'true'"):
        scorer.start()
