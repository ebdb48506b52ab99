"""An objective evaluated on a Dask cluster: other machines, also those of SLURM, PBS or LSF."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import moldesign
from moldesign.chem.molecules import Mol
from moldesign.errors import MoldesignError, RewardError
from moldesign.rewards.crew import Crew, sizes_of
from moldesign.rewards.extras import extra
from moldesign.rewards.objective import Objective
from moldesign.rewards.scores import Scores, smiles_of
from moldesign.rewards.workers import MEMORY_MB, Setup

#: Seconds to wait for the scheduler's answer.
CONNECT_S = 30.0

#: A task of Dask costs milliseconds: chunks are worth more than that where the batch allows.
LEAST_S = 0.1

#: Seconds after which workers that nobody asked are ended when another objective comes.
IDLE_S = 3600.0


@dataclass(frozen=True)
class Job:
    """What a node needs to score: the objective, and the versions that give the same scores."""

    setup: Setup
    versions: tuple[str, str]
    key: str

    @classmethod
    def of(cls, setup: Setup) -> Job:
        """The job of a setup, to be scored as it would be here."""
        # A key of its own: another run of the same objective may end before this one.
        return cls(setup, _versions(), uuid.uuid4().hex)


def _versions() -> tuple[str, str]:
    return moldesign.__version__, metadata.version("rdkit")


class DaskPool:
    """An objective with the same answers, computed by the workers of a Dask cluster.

    Each of them keeps a crew of worker processes that built the objective once, one for each of its
    threads. So limits on time and memory hold as on this machine, and what hangs or crashes ends
    no Dask worker. Chunks of one that is lost even so are evaluated elsewhere.

    Args:
        objective: one that TOML describes wholly; files that it reads are at the same paths there.
        address: of the scheduler, as in `tcp://host:8786`, or the `.json` file that it wrote.
        memory_mb: of each worker process.

    Raises:
        UsageError: an objective with a Python function, or a command of the command line.
        RewardError: no such scheduler, or Dask is not installed.
    """

    def __init__(self, objective: Objective, address: str, *, memory_mb: int = MEMORY_MB) -> None:
        setup = Setup.of(objective, memory_mb)
        with extra("cluster"):
            from distributed import Client
        connect: Any = Client  # it has no types
        self._objective = objective
        self._job = Job.of(setup)
        self._address = address
        where = {"scheduler_file": address} if address.endswith(".json") else {"address": address}
        if address.endswith(".json") and not Path(address).is_file():  # Dask would wait for it
            raise RewardError(f"no Dask scheduler at {address}: no such file")
        try:
            self._client = connect(**where, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise RewardError(f"no Dask scheduler at {address}: {error}") from None
        # Waits for the scores, so that the caller need not.
        self._waiting = ThreadPoolExecutor(1, thread_name_prefix="moldesign-dask")
        self._tasks: set[Any] = set()
        # Held while something new is sent: never during a trial of single molecules.
        self._sending = threading.Lock()
        self._finished = False
        self._closed = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the components."""
        return self._objective.labels

    @property
    def finished(self) -> bool:
        """Whether the objective wants no more calls."""
        return self._finished

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the cluster forget the objective, and leave it."""
        if self._closed:
            return
        self._closed = True
        if self._client.status == "running":
            self._cancel()
            with contextlib.suppress(Exception):  # the cluster is going away
                self._client.run(_forget, self._job.key, on_error="ignore")
        self._client.close()
        self._waiting.shutdown(cancel_futures=True)

    def evaluate(self, mols: Sequence[Mol], smiles: Sequence[str] | None = None) -> Scores:
        """As ObjectivePool.evaluate; a molecule that ends Dask workers, one after the other, fails too.

        Raises:
            RewardError: the objective is broken, or the cluster is gone.
        """
        scores = self.submit(mols, smiles)
        try:
            return scores.result()
        except BaseException:
            self._cancel()
            raise

    def submit(self, mols: Sequence[Mol], smiles: Sequence[str] | None = None) -> Future[Scores]:
        """As `evaluate`, without waiting."""
        if not mols:
            nothing: Future[Scores] = Future()
            nothing.set_result(self._objective.evaluate(mols))
            return nothing
        known = smiles_of(mols) if smiles is None else list(smiles)
        with self._reaching():
            threads = sum(self._client.nthreads().values())
        if threads == 0:
            sys.stderr.write(f"waiting for Dask workers: the scheduler at {self._address} has none yet\n")
        rest = iter(known)
        sizes = sizes_of(self._job.setup, len(known), max(1, threads), LEAST_S)
        chunks = [list(islice(rest, size)) for size in sizes]
        with self._sending:
            tasks = [self._send(chunk) for chunk in chunks]
        return self._waiting.submit(self._gather, chunks, tasks)

    def _cancel(self) -> None:
        with contextlib.suppress(Exception):  # the cluster is going away
            self._client.cancel(list(self._tasks))

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except MoldesignError:
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise RewardError(f"the Dask cluster at {self._address} cannot score: {what}") from error

    def _send(self, chunk: Sequence[str]) -> Any:
        with self._reaching():
            task = self._client.submit(_evaluate, self._job, chunk, pure=False)
        self._tasks.add(task)
        return task

    def _gather(self, chunks: Sequence[Sequence[str]], tasks: Sequence[Any]) -> Scores:
        parts = [self._receive(task) for task in tasks]
        for i, chunk in enumerate(chunks):
            if isinstance(parts[i], str) and len(chunk) > 1:
                with self._alone():
                    singles = [self._receive(self._send([one])) for one in chunk]
                parts[i] = Scores.joined([self._or_failed(part) for part in singles])
        return Scores.joined([self._or_failed(part) for part in parts])

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """With nothing else under way, of this batch or another, so that a death has one cause."""
        with self._sending:
            with self._reaching():
                for task in list(self._tasks):
                    task.exception()  # waits; whoever gathers its batch raises what it is
            yield

    def _or_failed(self, part: Scores | str) -> Scores:
        if isinstance(part, str):
            return Scores.failed(self.labels, [f"{self._job.setup.suspects}: {part}"])
        return part

    def _receive(self, task: Any) -> Scores | str:
        """The scores of a chunk; why there are none, where it ended one Dask worker after the other."""
        from distributed import KilledWorker

        try:
            with self._reaching():
                try:
                    scores, finished = task.result()
                except KilledWorker as error:
                    return f"killed Dask workers, the last of them {error.last_worker.address}"
        finally:
            self._tasks.discard(task)
        self._finished |= finished
        return scores  # type: ignore[no-any-return]


# What follows runs in a Dask worker.


@dataclass
class _Held:
    crew: Crew
    used: float
    #: Chunks under way.
    busy: int = 0


_held: dict[str, _Held] = {}
#: Keys of runs that have ended: a chunk of theirs may come after that.
_ended: set[str] = set()
_lock = threading.Lock()


def _evaluate(job: Job, smiles: list[str]) -> tuple[Scores, bool]:
    if job.versions != _versions():
        theirs, here = (" and RDKit ".join(versions) for versions in (job.versions, _versions()))
        raise RewardError(f"the run has moldesign {theirs}, its Dask worker has {here}")
    with _crew(job) as crew:
        return crew.submit(smiles).result(), crew.finished


@contextlib.contextmanager
def _crew(job: Job) -> Iterator[Crew]:
    from distributed import get_worker

    with _lock:
        if job.key in _ended:
            raise RewardError("the run has ended")
        if job.key not in _held:
            _held[job.key] = _Held(Crew(job.setup, get_worker().state.nthreads), 0.0)
        held = _held[job.key]
        held.busy += 1
        idle = [key for key, one in _held.items() if not one.busy and time.monotonic() > one.used + IDLE_S]
        crews = [_held.pop(key).crew for key in idle]
    for crew in crews:
        crew.close()
    try:
        yield held.crew
    finally:
        with _lock:
            held.busy -= 1
            held.used = time.monotonic()


def _forget(key: str) -> None:
    with _lock:
        _ended.add(key)
        held = _held.pop(key, None)
    if held is not None:
        held.crew.close()
