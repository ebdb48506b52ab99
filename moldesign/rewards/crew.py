"""Worker processes that evaluate an objective, and what keeps them at work."""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from multiprocessing.connection import Pipe

from moldesign.errors import ResourceError, RewardError
from moldesign.limits import usable_processors
from moldesign.rewards.groups import kill_group
from moldesign.rewards.interpreters import call
from moldesign.rewards.messages import Channel, Garbled
from moldesign.rewards.scores import Scores
from moldesign.rewards.workers import Answer, Setup

#: Molecules after which a worker is replaced, in case that it leaks what no limit sees.
LIFETIME = 100_000

#: Seconds that a worker may take to import what it needs and to load its models.
START_S = 300.0

#: Seconds that a worker may take to end after it was told to.
GRACE_S = 1.0

#: Workers that may die in a row before the first is ready.
MAX_FALSE_STARTS = 3

#: Molecules that may end their worker, alone with it, before anything was scored: the objective is broken
#: then, not the molecules.
MAX_LOSSES = 16

#: A message costs some tenths of a millisecond: chunks are worth more than that where the batch allows.
LEAST_S = 0.005


def chunk_sizes(n: int, workers: int, *, least: float, most: float) -> list[int]:
    """How many of n molecules travel together, chunk after chunk: large ones first, small ones at the end.

    Each chunk is what each worker would get of half the rest (guided self-scheduling, Polychronopoulos and
    Kuck 1987): few messages, and no worker waits long for the last chunk of another.

    Args:
        least: molecules that are worth a message; each worker gets a chunk even so.
        most: molecules that may be lost together.
    """
    least = min(-(-n // workers), least)
    sizes: list[int] = []
    while n:
        sizes.append(min(n, max(1, math.floor(min(max(-(-n // (2 * workers)), least), most)))))
        n -= sizes[-1]
    return sizes


def sizes_of(setup: Setup, n: int, workers: int, least_s: float) -> list[int]:
    """Sizes of the chunks of n molecules: worth `least_s`, and a quarter of the time limit at most.

    They follow from what a molecule is expected to take, never from what was measured: a model may give
    other last digits in other company, and a run is to be repeated with the same numbers.
    """
    expected_s = max(1e-6, setup.cost_us * 1e-6)
    return chunk_sizes(n, workers, least=least_s / expected_s, most=setup.limit_s / 4 / expected_s)


@dataclass
class _Batch:
    """Molecules submitted together, and the scores of those that are done, by their first index."""

    n: int
    future: Future[Scores] = field(default_factory=Future)
    parts: dict[int, Scores] = field(default_factory=dict)
    done: int = 0

    def put(self, start: int, scores: Scores) -> None:
        self.parts[start] = scores
        self.done += len(scores.score)
        if self.done == self.n:
            with contextlib.suppress(InvalidStateError):  # nobody waits any more
                self.future.set_result(Scores.joined([self.parts[i] for i in sorted(self.parts)]))

    def fail(self, error: BaseException) -> None:
        with contextlib.suppress(InvalidStateError):
            self.future.set_exception(error)


@dataclass
class _Chunk:
    """Molecules that travel together, and how many of their workers were lost already."""

    batch: _Batch
    start: int
    smiles: list[str]
    losses: int = 0


class _Worker:
    """One process, and the chunk that it works on."""

    def __init__(self, setup: Setup, threads: int) -> None:
        self.channel = Channel()
        environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
        with self.channel.theirs as theirs:
            # A session of its own: Ctrl-C reaches the parent alone, and it can be killed with whatever a
            # reward starts. What it prints goes to standard error. The pipe ends when the parent does.
            try:
                self.process = subprocess.Popen(
                    call("moldesign.rewards.workers", "serve", str(theirs.fileno())),
                    stdin=subprocess.PIPE, stdout=2, pass_fds=[theirs.fileno()], env=environment,
                    start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise ResourceError(f"a worker process cannot be started: {error}") from error
        self.chunk: _Chunk | None = None
        self.ready = False
        self.molecules = 0
        self.deadline = time.monotonic() + START_S
        self.channel.send(setup)

    @property
    def events(self) -> int:
        """What to wait for on its channel."""
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self.channel.unsent else 0)

    def give(self, chunk: _Chunk, limit_s: float) -> None:
        self.chunk = chunk
        self.deadline = time.monotonic() + limit_s
        self.channel.send(chunk.smiles)

    def end(self, grace_s: float = 0.0) -> str:
        """Why the process is gone, or how it ended."""
        self.channel.close()
        code = kill_group(self.process, grace_s=grace_s)
        assert self.process.stdin is not None
        self.process.stdin.close()
        if code >= 0:
            return f"ended the worker process (exit code {code})"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"killed the worker process ({name})"


class Crew:
    """Workers, and a thread that hands out chunks, collects scores and watches the clock.

    Args:
        setup: what the workers do.
        count: how many they are; each is started when it is first needed.
        lifetime: molecules after which a worker is replaced.
    """

    def __init__(self, setup: Setup, count: int, lifetime: int = LIFETIME) -> None:
        self._setup, self._count, self._lifetime = setup, count, lifetime
        # Between them the workers use the machine once.
        self._threads = max(1, usable_processors() // count)
        self._lock = threading.Lock()
        self._queue: deque[_Chunk] = deque()
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = Pipe(duplex=False)
        self._thread: threading.Thread | None = None
        self._wanted = 0
        self._closing = False
        self._any_scored = False
        self._losses = 0
        self._false_starts = 0
        #: Whether the objective has said that it wants no more calls.
        self.finished = False

    def pids(self) -> list[int]:
        """Process ids of the workers that are running or starting."""
        with self._lock:
            return [worker.process.pid for worker in self._workers]

    def start(self) -> None:
        """Start all workers, without waiting until they are ready."""
        with self._lock:
            self._wanted = self._count
            self._rouse()

    def submit(self, smiles: Sequence[str]) -> Future[Scores]:
        """The scores of one or more canonical SMILES, once they are there."""
        batch = _Batch(len(smiles))
        start = 0
        with self._lock:
            self._rouse()
            for size in sizes_of(self._setup, len(smiles), self._count, LEAST_S):
                self._queue.append(_Chunk(batch, start, list(smiles[start : start + size])))
                start += size
        return batch.future

    def close(self) -> None:
        """End the workers; batches that are not done are cancelled."""
        # Without the lock: the garbage collector may call this, in any thread and at any time.
        self._closing = True
        with contextlib.suppress(OSError):  # the thread has ended already
            self._wake.send_bytes(b"")
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _rouse(self) -> None:
        if self._closing:
            raise RuntimeError("the pool is closed")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="moldesign-pool", daemon=True)
            self._thread.start()
        with contextlib.suppress(OSError):
            self._wake.send_bytes(b"")

    # Everything below runs in the thread.

    def _run(self) -> None:
        # Signals are for the main thread. Workers start with them held back too, until they ignore SIGINT:
        # one that is sent to every process at once would end them before.
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        error: BaseException | None = None
        try:
            while not self._closing:
                self._assign()
                self._collect()
        except BaseException as fault:
            error = fault
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        with self._lock:
            self._closing = True
            workers, self._workers = self._workers, []
            chunks = [*self._queue, *(worker.chunk for worker in workers)]
            self._queue.clear()
        for worker in workers:
            worker.channel.close()
        deadline = time.monotonic() + GRACE_S
        for worker in workers:
            worker.end(max(0.0, deadline - time.monotonic()) if worker.ready else 0.0)
        self._selector.close()
        self._woken.close()
        for chunk in chunks:
            if chunk is not None:
                if error is not None:
                    chunk.batch.fail(error)
                chunk.batch.future.cancel()

    def _assign(self) -> None:
        with self._lock:
            busy = sum(worker.chunk is not None for worker in self._workers)
            wanted = min(self._count, max(self._wanted, busy + len(self._queue)))
            for _ in range(wanted - len(self._workers)):
                worker = _Worker(self._setup, self._threads)
                self._workers.append(worker)
                self._selector.register(worker.channel, worker.events, worker)
            for worker in self._workers:
                if worker.ready and worker.chunk is None and (chunk := self._next()) is not None:
                    worker.give(chunk, self._setup.limit_s)
                self._selector.modify(worker.channel, worker.events, worker)

    def _next(self) -> _Chunk | None:
        while self._queue:
            chunk = self._queue.popleft()
            if not chunk.batch.future.done():  # cancelled, or failed by another of its chunks
                return chunk
        return None

    def _collect(self) -> None:
        deadlines = [
            worker.deadline for worker in self._workers if worker.chunk is not None or not worker.ready
        ]
        wait_s = min(deadlines, default=math.inf) - time.monotonic()
        for key, events in self._selector.select(None if wait_s == math.inf else max(0.0, wait_s)):
            if key.data is None:
                self._woken.recv_bytes()
                continue
            if events & selectors.EVENT_WRITE:
                key.data.channel.flush()
            if events & selectors.EVENT_READ:
                self._hear(key.data)
        now = time.monotonic()
        for worker in list(self._workers):
            if now < worker.deadline:
                continue
            if worker.chunk is not None:
                self._lose(worker, f"took longer than {self._setup.limit_s:g} s", certain=True)
            elif not worker.ready:
                self._lose(worker, f"was not ready within {START_S:g} s")

    def _hear(self, worker: _Worker) -> None:
        try:
            answer = worker.channel.receive()
        except EOFError:
            self._lose(worker)
        except Garbled:
            self._lose(worker, "wrote among the answers of its worker process")
        else:
            if isinstance(answer, Answer):
                self._take(worker, answer)

    def _take(self, worker: _Worker, answer: Answer) -> None:
        chunk = worker.chunk
        if chunk is None:
            if answer.error is None:
                worker.ready = True
                self._false_starts = 0
            else:  # the objective cannot be built here: in no other worker either
                self._bury(worker)
                self._fail(answer.error)
        elif answer.error is not None:
            worker.chunk = None
            chunk.batch.fail(answer.error)
        elif answer.lost is not None:
            # Memory may have been taken by molecules before: only a new worker tells for certain.
            self._lose(worker, answer.lost, certain=worker.molecules == 0)
        elif answer.scores is not None:
            worker.chunk = None
            worker.molecules += len(chunk.smiles)
            self._any_scored |= any(reason is None for reason in answer.scores.reasons)
            self.finished |= answer.finished
            if answer.grown or worker.molecules >= self._lifetime:
                self._retire(worker)
            chunk.batch.put(chunk.start, answer.scores)

    def _lose(self, worker: _Worker, reason: str | None = None, *, certain: bool | None = None) -> None:
        """Replace a worker. The molecules of its chunk are tried again one by one.

        Args:
            reason: why it was lost; if left out, how its process ended.
            certain: whether a molecule that was alone is the culprit; if left out, it is at the second time.
        """
        chunk = worker.chunk
        # One that ended its connection is about to end, and tells why if it is left to.
        ending = self._bury(worker, GRACE_S if reason is None else 0.0)
        reason = reason or ending
        if chunk is None:
            if not worker.ready:
                self._false_starts += 1
                if self._false_starts >= MAX_FALSE_STARTS:
                    self._fail(RewardError(f"worker processes do not start: the last {reason}"))
            return
        # One of several may just be slow: each of them is tried alone before anything is said of it.
        self._losses += len(chunk.smiles) == 1
        if self._losses >= MAX_LOSSES and not self._any_scored:
            what = f"the objective has scored nothing and lost the processes of {self._losses} molecules"
            chunk.batch.fail(RewardError(f"{what}, the last for {chunk.smiles[0]}: {reason}"))
            return
        if certain is None:
            certain = chunk.losses > 0
        if certain and len(chunk.smiles) == 1:
            failed = Scores.failed(self._setup.labels, [f"{self._setup.suspects}: {reason}"])
            chunk.batch.put(chunk.start, failed)
            return
        with self._lock:
            for i in reversed(range(len(chunk.smiles))):
                one = _Chunk(chunk.batch, chunk.start + i, [chunk.smiles[i]], chunk.losses + 1)
                self._queue.appendleft(one)

    def _bury(self, worker: _Worker, grace_s: float = 0.0) -> str:
        self._forget(worker)
        return worker.end(grace_s)

    def _retire(self, worker: _Worker) -> None:
        self._forget(worker)
        # What the worker cleans up before it leaves must not keep the others waiting.
        threading.Thread(target=worker.end, args=(GRACE_S,)).start()

    def _forget(self, worker: _Worker) -> None:
        self._selector.unregister(worker.channel)
        with self._lock:
            self._workers.remove(worker)

    def _fail(self, error: BaseException) -> None:
        """Fail every batch. The next one starts anew: what was wrong may have been mended."""
        with self._lock:
            self._wanted = self._false_starts = 0
            chunks = [*self._queue, *(worker.chunk for worker in self._workers)]
            self._queue.clear()
        for chunk in chunks:
            if chunk is not None:
                chunk.batch.fail(error)
