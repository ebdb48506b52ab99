"""A pool on a cluster of two Dask workers, which are processes of this machine."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moldesign.chem.molecules import read
from moldesign.errors import RewardError
from moldesign.rewards import cluster, trust
from moldesign.rewards.cluster import DaskPool
from moldesign.rewards.executors import open_evaluator
from moldesign.rewards.loading import load_objective
from moldesign.rewards.objective import Objective

distributed = pytest.importorskip("distributed")

HOSTILE = Path(__file__).parent / "hostile_plugins.py"
MOLS = [read("C" * n + "O") for n in range(1, 21)]


@pytest.fixture(scope="module")
def dask() -> Iterator[Any]:
    import dask

    # One death is enough, and a new worker comes at once.
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as started,
    ):
        yield started


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_trusted", {})
    trust.trust([HOSTILE])


def objective(function: str, limit_s: float = 60.0) -> Objective:
    return Objective.from_toml(f'[[components]]\nreward = "{HOSTILE}:{function}"\nlimit_s = {limit_s}\n')


def test_a_cluster_answers_as_the_objective_does(dask: Any) -> None:
    druglike = load_objective("druglike")
    pool = open_evaluator(druglike, dask.scheduler_address)
    assert isinstance(pool, DaskPool)
    with pool:
        assert pool.labels == druglike.labels
        ours, theirs = pool.evaluate(MOLS), druglike.evaluate(MOLS)
        np.testing.assert_array_equal(ours.score, theirs.score)
        for label in druglike.labels:
            np.testing.assert_array_equal(ours.raw[label], theirs.raw[label])
            np.testing.assert_array_equal(ours.shaped[label], theirs.shaped[label])
        assert ours.reasons == theirs.reasons
        assert pool.evaluate([]).score.shape == (0,)
        handles = [pool.submit(MOLS[i:]) for i in range(3)]
        for i, handle in enumerate(handles):
            np.testing.assert_array_equal(handle.result().score, theirs.score[i:])
        assert not pool.finished


def test_the_objective_is_built_once_in_each_process(dask: Any) -> None:
    with DaskPool(objective("tells_process"), dask.scheduler_address) as pool:
        processes = {score for _ in range(5) for score in pool.evaluate(MOLS).score.tolist()}
        assert len(processes) == 2


def test_a_worker_that_is_killed_in_the_middle_costs_nothing(dask: Any) -> None:
    slow = objective("slow")
    with DaskPool(slow, dask.scheduler_address) as pool, distributed.Client(dask) as client:
        pool.evaluate(MOLS[:2])
        handle = pool.submit(MOLS)  # half a second for each worker
        time.sleep(0.2)
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        scores = handle.result()
        client.wait_for_workers(2)
    np.testing.assert_array_equal(
        scores.score, slow.evaluate(MOLS[:1]).score.tolist() + [1 / (n + 1) for n in range(2, 21)]
    )
    assert scores.reasons == [None] * len(MOLS)


def test_runs_that_share_a_cluster_leave_each_other_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "gate"
    monkeypatch.setenv("HOSTILE_GATE", str(gate))
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, dashboard_address=":0", silence_logs=50
        ) as shared,
        distributed.Client(shared) as client,
        DaskPool(objective("waits"), shared.scheduler_address) as mine,
    ):
        # Whatever is idle is ended at once.
        client.run(lambda: setattr(cluster, "IDLE_S", -1.0))
        handle = mine.submit(MOLS[:1])
        while not any(client.run(lambda: list(cluster._held)).values()):
            time.sleep(0.01)
        with DaskPool(objective("slow"), shared.scheduler_address) as other:
            assert other.evaluate(MOLS[:1]).reasons == [None]
        with DaskPool(objective("waits"), shared.scheduler_address) as twin:
            twin.submit(MOLS[:1])
            deadline = time.monotonic() + 30
            while len(*client.run(lambda: list(cluster._held)).values()) < 2:
                assert time.monotonic() < deadline, "runs of the same objective have one crew"
                time.sleep(0.01)
        assert not handle.done()
        gate.touch()
        assert handle.result().reasons == [None]


def test_a_molecule_that_hangs_or_crashes_ends_no_dask_worker(dask: Any) -> None:
    with (
        DaskPool(objective("hostile", limit_s=1.0), dask.scheduler_address) as pool,
        distributed.Client(dask) as client,
    ):
        before = set(client.run(os.getpid).values())
        scores = pool.evaluate([read(one) for one in ("CCO", "CCCCO", "CN", "CCN", "CCCN")])
        assert scores.reasons == [
            "hostile: took longer than 1 s", "hostile: killed the worker process (SIGSEGV)", None, None, None,
        ]  # fmt: skip
        assert set(client.run(os.getpid).values()) == before


def test_a_molecule_that_ends_dask_workers_fails_alone(dask: Any) -> None:
    with DaskPool(objective("kills_its_parent"), dask.scheduler_address) as pool:
        scores = pool.evaluate(MOLS)
    reason = scores.reasons[3]
    assert reason is not None
    assert reason.startswith("kills_its_parent: killed Dask workers, the last of them tcp://")
    assert [i for i, one in enumerate(scores.reasons) if one is not None] == [3]
    assert np.flatnonzero(np.isnan(scores.score)).tolist() == [3]


def test_molecules_are_tried_one_by_one_with_nothing_else_under_way(
    dask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [f'[[components]]\nreward = "{HOSTILE}:{name}"\n' for name in ("kills_its_parent", "slow")]
    with DaskPool(Objective.from_toml("\n".join(parts)), dask.scheduler_address) as pool:
        others: list[int] = []
        send = pool._send

        def told(chunk: Sequence[str]) -> Any:
            if threading.current_thread() is not threading.main_thread():
                others.append(sum(not task.done() for task in pool._tasks))
            return send(chunk)

        monkeypatch.setattr(pool, "_send", told)
        # Of the second, half a second's work is left when the culprit of the first has done its deed.
        handles = [pool.submit(MOLS[3:5]), pool.submit(MOLS[4:])]
        failed = [np.flatnonzero(np.isnan(handle.result().score)).tolist() for handle in handles]
    assert failed == [[0], []]
    assert others
    assert not any(others)


def test_a_broken_reward_ends_the_run(dask: Any) -> None:
    with (
        DaskPool(objective("broken"), dask.scheduler_address) as pool,
        pytest.raises(RewardError, match="reward 'broken': the licence has expired"),
    ):
        pool.evaluate(MOLS)


def test_other_versions_give_no_scores(dask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_versions", lambda: ("0.0.0", "2020.03.1"))
    with (
        DaskPool(objective("slow"), dask.scheduler_address) as pool,
        pytest.raises(
            RewardError, match=r"the run has moldesign 0\.0\.0 and RDKit 2020\.03\.1, its Dask worker"
        ),
    ):
        pool.evaluate(MOLS)


def test_a_cluster_that_goes_away_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 3.0)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as gone:
        pool = DaskPool(objective("slow"), gone.scheduler_address)
        pool.evaluate(MOLS[:1])
        handle = pool.submit(MOLS)
    with pytest.raises(RewardError, match="Dask cluster at .* cannot score"):
        handle.result()
    with pytest.raises(RewardError, match="Dask cluster at .* cannot score"):
        pool.evaluate(MOLS)
    pool.close()


def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    for address in ("tcp://127.0.0.1:9", str(tmp_path / "scheduler.json")):
        with pytest.raises(RewardError, match="no Dask scheduler at"):
            DaskPool(objective("slow"), address)
