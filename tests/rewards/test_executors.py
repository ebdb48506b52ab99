"""Pools are tested through real processes, with the worst that a reward can do."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest

from moldesign.chem.molecules import read
from moldesign.errors import RewardError, UsageError
from moldesign.rewards import crew, trust
from moldesign.rewards.crew import chunk_sizes
from moldesign.rewards.executors import ObjectivePool, open_evaluator
from moldesign.rewards.loading import load_objective
from moldesign.rewards.objective import Objective
from moldesign.rewards.scores import Scores

from .hostile_plugins import DEEDS

HOSTILE = Path(__file__).parent / "hostile_plugins.py"
MOLS = [read("C" * n + "O") for n in range(1, 8)]

Make = Callable[..., Objective]


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_trusted", {})
    trust.trust([HOSTILE])


def component(function: str, limit_s: float = 60.0) -> str:
    return f'[[components]]\nreward = "{HOSTILE}:{function}"\nlimit_s = {limit_s}\n'


def objective(function: str, limit_s: float = 60.0) -> Objective:
    return Objective.from_toml(component(function, limit_s))


def gone(pids: list[int]) -> bool:
    """Whether the processes end, within a time that no machine needs."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and any(map(runs, pids)):
        time.sleep(0.02)
    return not any(map(runs, pids))


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def assert_equal(ours: Scores, theirs: Scores) -> None:
    np.testing.assert_array_equal(ours.score, theirs.score)
    for label in theirs.raw:
        np.testing.assert_array_equal(ours.raw[label], theirs.raw[label])
        np.testing.assert_array_equal(ours.shaped[label], theirs.shaped[label])
    assert ours.reasons == theirs.reasons
    assert ours.raw.keys() == theirs.raw.keys()


@pytest.fixture(scope="module")
def druglike() -> Objective:
    return load_objective("druglike")


@pytest.fixture(scope="module")
def pool(druglike: Objective) -> Iterator[ObjectivePool]:
    with ObjectivePool(druglike, workers=2) as started:
        yield started


def test_a_pool_answers_as_the_objective_does(pool: ObjectivePool, druglike: Objective) -> None:
    assert pool.labels == druglike.labels
    assert_equal(pool.evaluate(MOLS), druglike.evaluate(MOLS))
    assert_equal(pool.evaluate([]), druglike.evaluate([]))
    assert not pool.finished


def test_smiles_that_are_known_need_not_be_written(pool: ObjectivePool, druglike: Objective) -> None:
    assert_equal(pool.evaluate(MOLS[:2], ["CCN", "CCF"]), druglike.evaluate([read("CCN"), read("CCF")]))


def test_batches_may_be_under_way_together(pool: ObjectivePool, druglike: Objective) -> None:
    handles = [pool.submit(MOLS[i:]) for i in range(len(MOLS))]
    for i, handle in reversed(list(enumerate(handles))):
        assert_equal(handle.result(), druglike.evaluate(MOLS[i:]))


def test_scores_come_while_the_caller_does_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "gate"
    monkeypatch.setenv("HOSTILE_GATE", str(gate))
    with ObjectivePool(objective("waits"), workers=1) as one:
        handle = one.submit(MOLS)
        assert not handle.done()
        gate.touch()
        assert handle.result().score.tolist() == [0.5] * len(MOLS)


def test_workers_that_were_killed_are_replaced(pool: ObjectivePool, druglike: Objective) -> None:
    pool.start()
    pool.evaluate(MOLS)
    before = pool.pids
    assert len(before) == 2
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert_equal(pool.evaluate(MOLS), druglike.evaluate(MOLS))
    assert not set(before) & set(pool.pids)


@pytest.fixture(scope="module")
def wreckage() -> Scores:
    """One batch in which every deed is done, each by one molecule, with innocent ones between them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trust, "_trusted", {})
        trust.trust([HOSTILE])
        culprits = [read("C" * (i + 1) + "O") for i in range(len(DEEDS))]
        innocents = [read("C" * (i + 1) + "N") for i in range(len(DEEDS))]
        with ObjectivePool(objective("hostile", limit_s=2.0), workers=2, memory_mb=2000) as two:
            scores = two.evaluate([mol for pair in zip(culprits, innocents, strict=True) for mol in pair])
            # Whatever happened, the pool works.
            assert two.evaluate(innocents).reasons == [None] * len(innocents)
        return scores


@pytest.mark.parametrize("deed", DEEDS)
def test_a_hostile_reward_costs_its_molecule_alone(wreckage: Scores, deed: str) -> None:
    i = 2 * list(DEEDS).index(deed)
    reason = wreckage.reasons[i]
    assert reason is not None
    assert reason.startswith(DEEDS[deed][1])
    assert np.isnan(wreckage.score[i])
    assert wreckage.score[i + 1] == 0.5
    assert wreckage.reasons[i + 1] is None


def test_what_a_reward_prints_stays_out_of_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    with ObjectivePool(objective("prints")) as one:
        one.evaluate(MOLS[:1])
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == ["printed by Python", "printed by a program", "written to the descriptor"]


def test_a_reward_that_wanders_off_starts_where_it_should() -> None:
    here, numbers = Path.cwd(), random.getstate()
    with ObjectivePool(objective("wanders")) as one:
        for _ in range(3):
            assert one.evaluate(MOLS[:2]).score.tolist() == [1, 1]
    assert Path.cwd() == here
    assert random.getstate() == numbers


def test_a_reward_that_leaks_gets_new_workers() -> None:
    # Ten times 150 MB is more than one worker may have.
    with ObjectivePool(objective("leaks"), memory_mb=1000) as one:
        pids = set()
        for _ in range(5):
            assert one.evaluate(MOLS[:2]).score.tolist() == [0.5, 0.5]
            pids |= set(one.pids)
    assert len(pids) > 1


def test_a_worker_serves_for_a_limited_time() -> None:
    with ObjectivePool(objective("tells_process"), lifetime=4) as one:
        processes = [set(one.evaluate(MOLS[:2]).score.tolist()) for _ in range(5)]
    assert all(len(ids) == 1 for ids in processes)
    assert processes[0] == processes[1] != processes[2] == processes[3] != processes[4]


def test_what_a_reward_started_ends_with_its_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTILE_PID", str(tmp_path / "pid"))
    with ObjectivePool(objective("starts_a_program", limit_s=1.0)) as one:
        assert one.evaluate(MOLS[:1]).reasons == ["starts_a_program: took longer than 1 s"]
    assert gone([int((tmp_path / "pid").read_text())])


def test_a_program_of_a_command_ends_with_its_worker(tmp_path: Path) -> None:
    program, pids = tmp_path / "sleeps.py", tmp_path / "pids"
    program.write_text(
        f"import os, time\nopen({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\ntime.sleep(600)"
    )
    trust.trust([sys.executable, program])
    toml = f"""
        [[components]]
        reward = "command"
        shaping = {{ kind = "linear", zero = 0, one = 1 }}
        parameters = {{ command = ["{sys.executable}", "{program}"], mode = "stdin" }}
        """
    with ObjectivePool(Objective.from_toml(toml)) as one:
        one.submit(MOLS[:1])
        (first,) = _written(pids, 1)
        os.kill(one.pids[0], signal.SIGKILL)
        assert gone([first])
        second = _written(pids, 2)[1]  # its molecule gets another chance
        assert runs(second)
    assert gone([second])


def _written(path: Path, n: int) -> list[int]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists() and path.read_text().count("\n") == n:
            return [int(line) for line in path.read_text().split()]
        time.sleep(0.02)
    raise AssertionError(f"{n} lines expected")


def test_files_that_lie_where_the_run_starts_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "marker"
    for name in ("json", "random", "socket", "sitecustomize", "moldesign"):
        (tmp_path / f"{name}.py").write_text(f"open({str(marker)!r}, 'a').write({name!r})")
    # What the parent could import is found all the same.
    library = tmp_path / "library"
    library.mkdir()
    (library / "users_own.py").write_text("half = 0.5")
    mine = tmp_path / "mine.py"
    mine.write_text("def own(smiles):\n    import users_own\n    return [users_own.half for _ in smiles]\n")
    trust.trust([mine])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(library))
    with ObjectivePool(Objective.from_toml(f'[[components]]\nreward = "{mine}:own"\n')) as one:
        assert one.evaluate(MOLS[:1]).score.tolist() == [0.5]
    assert not marker.exists()


def test_molecules_that_are_slower_than_expected_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "MAX_LOSSES", 1)
    with ObjectivePool(objective("tells_company", limit_s=0.55)) as one:
        scores = one.evaluate(MOLS)
        assert scores.reasons == [None] * len(MOLS)
        # Four together take too long. The same again: what was measured changes no company.
        assert scores.score.tolist() == [1, 1, 1, 1, 0.5, 0.5, 1]
        assert one.evaluate(MOLS).score.tolist() == scores.score.tolist()


def test_a_broken_reward_ends_the_run_as_it_does_without_a_pool() -> None:
    broken = objective("broken")
    with pytest.raises(RewardError, match="reward 'broken': the licence has expired") as inline:
        broken.evaluate(MOLS[:1])
    with ObjectivePool(broken) as one:
        for _ in range(2):
            with pytest.raises(RewardError) as pooled:
                one.evaluate(MOLS[:1])
            assert str(pooled.value) == str(inline.value)


def test_an_objective_that_kills_every_worker_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "MAX_LOSSES", 2)
    with (
        ObjectivePool(objective("kills_always")) as one,
        pytest.raises(RewardError, match=r"nothing and lost the processes of 2 .* for CCO: killed .*SIGABRT"),
    ):
        one.evaluate(MOLS)


def test_workers_that_do_not_start_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with ObjectivePool(objective("slow")) as one:
        monkeypatch.setenv("HOSTILE_IMPORT", "1")
        with pytest.raises(RewardError, match=r"do not start: the last ended .*exit code 7"):
            one.evaluate(MOLS)
        monkeypatch.delenv("HOSTILE_IMPORT")
        assert one.evaluate(MOLS[:1]).reasons == [None]


def test_a_worker_runs_no_file_that_changed_since_it_was_trusted(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("def half(smiles):\n    return [0.5 for _ in smiles]\n")
    trust.trust([mine])
    with ObjectivePool(Objective.from_toml(f'[[components]]\nreward = "{mine}:half"\n')) as one:
        mine.write_text("raise SystemExit\n")
        with pytest.raises(UsageError, match=r"mine\.py has changed since it was trusted"):
            one.evaluate(MOLS)


def test_a_model_too_large_for_its_worker_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with ObjectivePool(objective("large"), memory_mb=3000) as one:
        monkeypatch.setenv("HOSTILE_MODEL", "1")
        with pytest.raises(RewardError, match="needs more memory than 3000 MB to be loaded"):
            one.evaluate(MOLS)


SCRIPT = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job is born without
from moldesign.chem.molecules import read
from moldesign.rewards import trust
from moldesign.rewards.executors import ObjectivePool
from moldesign.rewards.objective import Objective

trust.trust([{str(HOSTILE)!r}])
pool = ObjectivePool(Objective.from_toml({component("hostile")!r}), 2)
innocent = [read("C" * n) for n in range(1, 9)]
pool.start()
pool.evaluate(innocent)
print(*pool.pids, flush=True)
try:
    hanging = pool.submit([read("CCCO"), read("CCCO")])  # in C, with the interpreter lock held
    pool.evaluate(innocent)
except KeyboardInterrupt:
    pool.close()
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_leave_with_their_parent(number: signal.Signals) -> None:
    # Two workers hang, and the script waits for them, without a guard around what it does.
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        workers = [int(pid) for pid in process.stdout.readline().split()]
        assert len(workers) == 2, process.stderr.read()
        assert all(map(runs, workers))
        time.sleep(0.3)  # until it waits; earlier would do too
        os.killpg(process.pid, number)
        assert process.stdout.read() == ("interrupted\n" if number == signal.SIGINT else "")
        assert process.stderr.read() == ""
    assert gone(workers)


def test_close_ends_workers_that_do_not_listen() -> None:
    one = ObjectivePool(objective("hostile"))
    one.evaluate([read("C")])
    handle = one.submit([read("CCCO")])  # hangs in C
    pids = one.pids
    one.close()
    one.close()
    assert not any(map(runs, pids))
    with pytest.raises(CancelledError):
        handle.result()
    with pytest.raises(RuntimeError, match="closed"):
        one.submit(MOLS)


def test_a_pool_that_is_forgotten_ends_its_workers() -> None:
    one = ObjectivePool(objective("slow"))
    one.evaluate(MOLS[:1])
    pids = one.pids
    del one
    assert gone(pids)


def test_who_evaluates_an_objective(druglike: Objective) -> None:
    assert open_evaluator(druglike) is druglike
    assert open_evaluator(druglike, "1") is druglike
    for workers in (2, "2"):
        evaluator = open_evaluator(druglike, workers)
        assert isinstance(evaluator, ObjectivePool)
        evaluator.close()
    # A file of the user may do anything: it gets a process of its own.
    isolated = open_evaluator(objective("slow"))
    assert isinstance(isolated, ObjectivePool)
    isolated.close()
    for wrong in ("many", "", "-1", 0):
        with pytest.raises(UsageError, match="worker"):
            open_evaluator(druglike, wrong)


def test_a_python_function_cannot_travel() -> None:
    function = load_objective(lambda smiles: [1.0 for _ in smiles])
    assert open_evaluator(function) is function
    for workers in (2, "tcp://127.0.0.1:1"):
        with pytest.raises(UsageError, match="Python function"):
            open_evaluator(function, workers)
    with pytest.raises(ValueError, match="needs a worker"):
        ObjectivePool(function, 0)


@pytest.mark.parametrize(
    ("n", "workers", "least", "most", "sizes"),
    [
        (64, 2, 1, 1000, [16, 12, 9, 7, 5, 4, 3, 2, 2, 1, 1, 1, 1]),  # a quarter of what is left
        (64, 2, 10, 1000, [16, 12, 10, 10, 10, 6]),
        (64, 2, 1000, 1000, [32, 32]),  # cheap: one chunk a worker
        (10, 2, 1, 3.9, [3, 2, 2, 1, 1, 1]),  # slow: no more than may be lost together
        (3, 2, 1, 0.01, [1, 1, 1]),
        (1, 8, 100, 1000, [1]),
        (8, 2, 1, float("inf"), [2, 2, 1, 1, 1, 1]),
        (0, 2, 1, 10, []),
    ],
)
def test_chunks(n: int, workers: int, least: float, most: float, sizes: list[int]) -> None:
    assert chunk_sizes(n, workers, least=least, most=most) == sizes
