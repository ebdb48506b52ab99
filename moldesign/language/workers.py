"""Worker processes for text functions that may crash or hang on a single text."""

from __future__ import annotations

import base64
import json
import os
import pickle
import selectors
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

from moldesign.errors import ResourceError

#: What a function makes of a text: (result, None), or (None, why there is none).
Answer = tuple[str | None, str | None]
TextFunction = Callable[[str], Answer]

# The worker imports what the parent could import, whatever directory it starts in (-P: and nothing of that).
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.readline());"
    " from moldesign.language.workers import serve; serve()"
)


def serve() -> None:
    """Answer batches from stdin, one line of JSON a text, until stdin ends: a worker's whole life.

    A text that takes too long ends the process by a timer signal, which also stops C code that holds
    the interpreter lock. The limit counts processor time, so that a busy machine rejects nothing more;
    ten times that in wall-clock time catches a wait.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    function, seconds = pickle.loads(base64.b64decode(sys.stdin.readline()))
    # Answers keep the real stdout to themselves; whatever else prints goes to stderr.
    out = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    out.write("ready\n")
    out.flush()
    for line in sys.stdin:
        for text in json.loads(line):
            signal.setitimer(signal.ITIMER_PROF, seconds)
            signal.setitimer(signal.ITIMER_REAL, 10 * seconds)
            try:
                answer = function(text)
            except Exception as error:  # whoever is at fault, it costs one line
                answer = (None, f"cleaning failed: {type(error).__name__}")
            out.write(json.dumps(answer) + "\n")
            out.flush()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


@dataclass
class _Batch:
    texts: list[str]
    answers: list[Answer | None] = field(default_factory=list)
    missing: int = 0

    def __post_init__(self) -> None:
        self.answers = [None] * len(self.texts)
        self.missing = len(self.texts)

    def put(self, index: int, answer: Answer) -> None:
        self.answers[index] = answer
        self.missing -= 1


@dataclass
class _Task:
    """Texts start to stop of a batch; `alone` marks a text that has already ended one worker."""

    batch: _Batch
    start: int
    stop: int
    alone: bool = False


class _Worker:
    """One process and the task it works on."""

    def __init__(self, setup: bytes) -> None:
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        # A session of its own: Ctrl-C reaches the parent alone, which then ends its workers.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, start_new_session=True,
        )  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin = self.process.stdin
        self.stdout = self.process.stdout
        self.task: _Task | None = None
        self.ready = False
        self._partial = b""
        self._send(setup)

    def _send(self, data: bytes) -> None:
        with suppress(BrokenPipeError):  # a worker that has ended closes its stdout too, which is seen there
            self.stdin.write(data)
            self.stdin.flush()

    def give(self, task: _Task) -> None:
        # A worker reads a batch whole before it answers, so this cannot block on its answers.
        self.task = task
        self._send(json.dumps(task.batch.texts[task.start : task.stop]).encode("ascii") + b"\n")

    def read_lines(self) -> list[bytes] | None:
        """The whole lines that have come; None when the worker has ended."""
        data = os.read(self.stdout.fileno(), 1 << 16)
        if not data:
            return None
        *lines, self._partial = (self._partial + data).split(b"\n")
        return lines

    def why_ended(self, seconds: float) -> str:
        code = self.process.wait()
        if code in (-signal.SIGPROF, -signal.SIGALRM):
            return f"took longer than {seconds:g} s"
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"crashed the cleaning process: {how}"

    def last_words(self) -> str:
        self.errors.seek(0)
        lines = self.errors.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        with suppress(BrokenPipeError):
            self.stdin.close()
        self.stdout.close()
        self.errors.close()


class Workers:
    """Processes that apply a function to batches of texts; a text that ends one costs only itself.

    The processes are started afresh (never forked), receive text and give text back. A text at which one
    dies or stalls is tried once more alone, in a new process, and if that dies too its answer is
    (None, reason); the texts around it lose nothing.

    Args:
        function: a module-level function, or a `functools.partial` of one: it is pickled once.
        count: how many processes.
        seconds: processor time that one text may take.
    """

    def __init__(self, function: TextFunction, *, count: int, seconds: float = 10.0) -> None:
        self._seconds = seconds
        payload = base64.b64encode(pickle.dumps((function, seconds)))
        self._setup = json.dumps(sys.path).encode("ascii") + b"\n" + payload + b"\n"
        self._count = max(1, count)
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._tasks: deque[_Task] = deque()

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            self._selector.unregister(worker.stdout)
            worker.end()
        self._workers = []
        self._selector.close()

    def map(self, batches: Iterable[list[str]]) -> Iterator[list[Answer]]:
        """The answers of each batch, in order; batches are taken a few ahead of what is given out."""
        source = iter(batches)
        window: deque[_Batch] = deque()
        exhausted = False
        while True:
            while not exhausted and len(window) < 4 * self._count:
                texts = next(source, None)
                if texts is None:
                    exhausted = True
                    break
                batch = _Batch(texts)
                window.append(batch)
                if texts:
                    self._tasks.append(_Task(batch, 0, len(texts)))
            while window and window[0].missing == 0:
                yield [answer for answer in window.popleft().answers if answer is not None]
            if exhausted and not window:
                return
            if window and window[0].missing:
                self._assign()
                self._wait()

    def _assign(self) -> None:
        busy = sum(worker.task is not None for worker in self._workers)
        while len(self._workers) < min(self._count, busy + len(self._tasks)):
            worker = _Worker(self._setup)
            self._workers.append(worker)
            self._selector.register(worker.stdout, selectors.EVENT_READ, worker)
        for worker in self._workers:
            if worker.ready and worker.task is None and self._tasks:
                worker.give(self._tasks.popleft())

    def _wait(self) -> None:
        for key, _ in self._selector.select():
            worker: _Worker = key.data
            lines = worker.read_lines()
            if lines is None:
                self._bury(worker)
                continue
            for line in lines:
                if not worker.ready:
                    worker.ready = True
                    continue
                task = worker.task
                assert task is not None
                result, reason = json.loads(line)
                task.batch.put(task.start, (result, reason))
                task.start += 1
                if task.start == task.stop:
                    worker.task = None

    def _bury(self, worker: _Worker) -> None:
        """Replace a worker that has ended; its culprit is tried alone, the texts after it as before."""
        self._selector.unregister(worker.stdout)
        self._workers.remove(worker)
        reason = worker.why_ended(self._seconds)
        words = worker.last_words()
        task, ready = worker.task, worker.ready
        worker.end()
        if not ready:
            raise ResourceError(f"a cleaning process does not start: {words}")
        if task is None:
            return
        if task.start + 1 < task.stop:
            self._tasks.appendleft(_Task(task.batch, task.start + 1, task.stop))
        if task.alone:
            task.batch.put(task.start, (None, reason))
        else:
            self._tasks.appendleft(_Task(task.batch, task.start, task.start + 1, alone=True))
