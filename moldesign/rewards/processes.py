"""A running command, in a process group of its own, read and written without ever blocking us."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO

from moldesign.rewards.groups import Lifeline, ended, kill_group

#: One line, in characters. A longer one comes in pieces.
MAX_LINE = 64_000_000


class Process:
    """A command that was started, without a shell. On Linux it ends with this process, however that dies.

    Args:
        arguments: the program first.

    Raises:
        OSError, ValueError: it cannot be started.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        lifeline = Lifeline()
        popen: subprocess.Popen[bytes] | None = None
        # A session of its own: Ctrl-C reaches us alone, and the group can be killed as one.
        try:
            popen = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[lifeline.held],
                start_new_session=True,
            )
        finally:
            lifeline.tie(popen)
            if popen is None:
                lifeline.cut()
        self._popen = popen
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._errors: deque[str] = deque(maxlen=20)
        self._outgoing: queue.Queue[bytes | None] = queue.Queue()
        self._error_reader = self._thread(self._read_errors, self._popen.stderr)
        self._thread(self._read, self._popen.stdout)
        self._thread(self._write, self._popen.stdin)
        # Also where nobody closes: at the end of the interpreter.
        self._finalize = weakref.finalize(self, _end, popen, lifeline)

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

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return ended(self._popen)

    def send(self, data: bytes) -> None:
        """Write to its standard input, without waiting until it reads."""
        self._outgoing.put(data)

    def end_input(self) -> None:
        """Close its standard input, once all that was sent is read."""
        self._outgoing.put(None)

    def receive(self, limit_s: float) -> str | None:
        """The next line; None if the process has closed its output. Raises TimeoutError."""
        try:
            return self._lines.get(timeout=max(0.0, limit_s))
        except queue.Empty:
            raise TimeoutError from None

    def early(self) -> str | None:
        """A line that is there already; None if there is none, or no more will come."""
        with contextlib.suppress(queue.Empty):
            if (line := self._lines.get_nowait()) is not None:
                return line
            self._lines.put(None)  # for whoever waits for the end
        return None

    def wait(self, limit_s: float) -> bool:
        """Whether the process ends by itself within so many seconds."""
        deadline = time.monotonic() + limit_s
        while not self.ended:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        return True

    def last_words(self) -> str:
        """The last line of its standard error."""
        self._error_reader.join(timeout=0.5)
        return self._errors[-1] if self._errors else ""

    def kill(self) -> int:
        """Kill it and whatever it started; its exit code, also where it had ended before."""
        self._finalize()
        self._outgoing.put(None)
        return self._popen.wait()


def _end(popen: subprocess.Popen[bytes], lifeline: Lifeline) -> None:
    kill_group(popen)
    lifeline.cut()
