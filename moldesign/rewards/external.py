"""A scorer in another process: a command started once that answers JSON lines."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shlex
import signal
import subprocess
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import IO, Any, NoReturn

import numpy as np

from moldesign.chem.molecules import Mol, to_smiles
from moldesign.errors import RewardError, UsageError
from moldesign.rewards.reward import Values

#: One answer, in characters. A longer line is no answer but a scorer gone wild.
MAX_LINE = 64_000_000

#: After that many deaths in a row without an answer between them the scorer is given up.
MAX_DEATHS = 3

#: How long a scorer may take to end after it was asked to.
GRACE_S = 2.0


class ScorerError(Exception):
    """The scorer could not score what it was sent: it said so, died or was too slow."""


class ExternalScorer:
    """A reward that asks a command. The protocol is in docs/external-scorers.md.

    A scorer that dies or is too slow is killed and started again for the molecules one by one, so
    that only those that bring it down fail. One that breaks the protocol ends the run.

    Args:
        command: split as a shell would, but run without a shell; or its arguments.
        ready_s: seconds from the start to `{"ready": true}`.
        answer_s: seconds for one answer, a batch.

    Raises:
        UsageError: a command that is empty or does not split.
        RewardError: it cannot be started, or broke the protocol.
    """

    def __init__(
        self, command: str | Sequence[str], *, ready_s: float = 300.0, answer_s: float = 3600.0
    ) -> None:
        try:
            self._arguments = shlex.split(command) if isinstance(command, str) else list(command)
        except ValueError as error:
            raise UsageError(f"scorer command does not split into arguments ({error}): {command}") from None
        if not self._arguments:
            raise UsageError("scorer command is empty")
        self._ready_s = ready_s
        self._answer_s = answer_s
        self._process: _Process | None = None
        self._deaths = 0
        #: Whether the scorer said that it wants no more calls.
        self.finished = False

    def __enter__(self) -> ExternalScorer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the command and wait until it is ready, unless it runs already."""
        if self._process is not None:
            return
        try:
            self._process = _Process(self._arguments)
        except (OSError, ValueError) as error:
            raise RewardError(f"scorer cannot be started: {shlex.join(self._arguments)}: {error}") from None
        try:
            answer = self._receive(self._process, self._ready_s)
        except ScorerError as error:
            raise RewardError(f'scorer never said {{"ready": true}}: {error}') from None
        if answer.get("ready") is not True:
            self._break(f'{{"ready": true}} expected first, got {_short(json.dumps(answer))}')

    def close(self) -> None:
        """Ask the scorer to end, then kill it and whatever it started."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def __call__(self, mols: Sequence[Mol], /) -> Values:
        """Scores (n,), NaN where the scorer answered null.

        Raises:
            ScorerError: it answered an error, died or was too slow.
            RewardError: it broke the protocol, or died MAX_DEATHS times in a row.
        """
        if not mols:
            return np.zeros(0)
        self.start()
        process = self._process
        assert process is not None
        try:
            process.send({"smiles": [to_smiles(mol) for mol in mols]})
            answer = self._receive(process, self._answer_s)
        except ScorerError as error:
            self._deaths += 1
            if self._deaths >= MAX_DEATHS:
                raise RewardError(f"scorer failed {self._deaths} times in a row: {error}") from error
            raise
        except BaseException:
            # An answer is still on its way and would be taken for the next one.
            self._kill()
            raise
        self._deaths = 0
        return self._scores(answer, len(mols))

    def _scores(self, answer: dict[str, Any], n: int) -> Values:
        finished = answer.get("finished", False)
        if not isinstance(finished, bool):
            self._break(f'"finished" must be true or false, got {_short(json.dumps(finished))}')
        self.finished |= finished
        if "error" in answer:
            raise ScorerError(_short(str(answer["error"])))
        scores = answer.get("scores")
        if not isinstance(scores, list):
            self._break(f'"scores" or "error" expected, got {_short(json.dumps(answer))}')
        if len(scores) != n:
            self._break(f"{len(scores)} scores for {n} molecules")
        values = np.full(n, np.nan)
        for i, score in enumerate(scores):
            if score is None:
                continue
            if isinstance(score, bool) or not isinstance(score, int | float):
                self._break(f"score {i + 1} is no number: {_short(json.dumps(score))}")
            with contextlib.suppress(OverflowError):  # an integer beyond any float is no score
                values[i] = float(score)
        return values

    def _receive(self, process: _Process, limit_s: float) -> dict[str, Any]:
        try:
            line = process.receive(limit_s)
        except TimeoutError:
            self._kill()
            raise ScorerError(f"no answer within {limit_s:g} s") from None
        if line is None:
            said = process.last_words()
            self._kill()
            raise ScorerError(f"scorer ended{': ' + _short(said) if said else ''}")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            self._break(f"not a JSON line on its standard output: {_short(line)}")
        if not isinstance(answer, dict):
            self._break(f"a JSON object expected, got {_short(line)}")
        return answer

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def _break(self, what: str) -> NoReturn:
        self._kill()
        raise RewardError(f"scorer broke the protocol: {what}")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 200 else text[:197] + "..."


class _Process:
    """The running command, in a process group of its own, read and written without ever blocking us."""

    def __init__(self, arguments: Sequence[str]) -> None:
        # A session of its own: Ctrl-C reaches us alone, and the group can be killed as one.
        self._popen = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._errors: deque[str] = deque(maxlen=20)
        self._outgoing: queue.Queue[bytes | None] = queue.Queue()
        self._error_reader = self._thread(self._read_errors, self._popen.stderr)
        self._thread(self._read, self._popen.stdout)
        self._thread(self._write, self._popen.stdin)
        # Also where nobody closes: at the end of the interpreter.
        self._finalize = weakref.finalize(self, _kill_group, self._popen)

    @staticmethod
    def _thread(target: Callable[[IO[bytes]], None], stream: IO[bytes] | None) -> threading.Thread:
        assert stream is not None
        thread = threading.Thread(target=target, args=(stream,), daemon=True)
        thread.start()
        return thread

    def _read(self, stream: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := stream.readline(MAX_LINE):
                self._lines.put(line.decode("utf-8", errors="replace"))
        self._lines.put(None)

    def _read_errors(self, stream: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := stream.readline(10_000):
                if text := line.decode("utf-8", errors="replace").strip():
                    self._errors.append(text)

    def _write(self, stream: IO[bytes]) -> None:
        # In a thread: a scorer that does not read would block a write of more than 64 kB for ever.
        with contextlib.suppress(OSError, ValueError):
            while (data := self._outgoing.get()) is not None:
                stream.write(data)
                stream.flush()
        with contextlib.suppress(OSError, ValueError):
            stream.close()

    def send(self, message: dict[str, Any]) -> None:
        self._outgoing.put(json.dumps(message).encode() + b"\n")

    def receive(self, limit_s: float) -> str | None:
        """The next line; None if the process has closed its output. Raises TimeoutError."""
        try:
            return self._lines.get(timeout=limit_s)
        except queue.Empty:
            raise TimeoutError from None

    def last_words(self) -> str:
        """The last line of its standard error."""
        self._error_reader.join(timeout=0.5)
        return self._errors[-1] if self._errors else ""

    def close(self) -> None:
        self.send({"cmd": "quit"})
        self._outgoing.put(None)
        deadline = time.monotonic() + GRACE_S
        while time.monotonic() < deadline and not _ended(self._popen):
            time.sleep(0.01)
        self.kill()

    def kill(self) -> None:
        self._finalize()
        self._outgoing.put(None)


def _ended(popen: subprocess.Popen[bytes]) -> bool:
    """Whether the process has ended, without reaping it: its id stays its own."""
    if popen.returncode is not None:
        return True
    with contextlib.suppress(ChildProcessError):
        return os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    return True


def _kill_group(popen: subprocess.Popen[bytes]) -> None:
    # Before it is reaped, so that the number of the group cannot belong to anyone else yet.
    if popen.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()
