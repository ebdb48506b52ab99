"""What runs inside a worker process: an objective, built once, that answers for chunks of molecules."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from moldesign.chem.molecules import InvalidMolecule, reread
from moldesign.errors import MoldesignError, RewardError, UsageError
from moldesign.rewards.messages import receive, send
from moldesign.rewards.objective import Objective
from moldesign.rewards.scores import Scores
from moldesign.rewards.trust import trust, trusted

#: Memory of a worker, in MB. An objective with a larger model needs more.
MEMORY_MB = 4096


@dataclass(frozen=True)
class Setup:
    """An objective as it travels to other processes, and what they need to know of it."""

    spec: dict[str, Any]
    labels: tuple[str, ...]
    #: What is to blame where a process is lost: the components that may hang or crash.
    suspects: str
    #: Seconds that one molecule may take, and microseconds that it is expected to take.
    limit_s: float
    cost_us: float
    #: Digest by path of the files that may run, as `trusted` gives them.
    files: Mapping[str, str]
    #: What a worker may take.
    memory_mb: int

    @classmethod
    def of(cls, objective: Objective, memory_mb: int = MEMORY_MB) -> Setup:
        """The setup of an objective that TOML describes wholly.

        Raises:
            UsageError: it holds a Python function, or a command given on the command line.
        """
        if not objective.portable:
            raise UsageError(
                "a Python function cannot be sent to worker processes, nor a command; use one worker"
            )
        spec, labels = objective.spec(), objective.labels
        isolated = [leaf.label for leaf in objective.leaves if leaf.isolated]
        suspects = " or ".join(isolated or [leaf.label for leaf in objective.leaves])
        return cls(spec, labels, suspects, objective.limit_s, objective.cost_us, trusted(), memory_mb)

    def build(self) -> Objective:
        """The objective, in the process that evaluates it.

        Raises:
            UsageError: a trusted file is not here, or not the same.
            MoldesignError: the objective cannot be built here.
        """
        trust(self.files)
        here = trusted()
        for path, digest in self.files.items():
            if here.get(path) != digest:
                raise UsageError(f"{path} has changed since it was trusted; start again")
        return Objective.model_validate(self.spec)


@dataclass(frozen=True)
class Answer:
    """What a worker says of a chunk, or with nothing in it, that it is ready."""

    scores: Scores | None = None
    #: Why the chunk was lost; the worker is not to be used any more.
    lost: str | None = None
    #: What ends the run: the objective is broken, not a molecule.
    error: MoldesignError | None = None
    finished: bool = False
    #: Whether the worker has taken so much memory that a new one should take its place.
    grown: bool = False


def serve() -> None:
    """Answer chunks of SMILES until the connection ends: a worker's whole life.

    The only argument of the program: the descriptor of the connection.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # it was started with every signal held back
    _die_with_parent()
    try:
        connection = socket.socket(fileno=int(sys.argv[1]))
        connection.set_inheritable(False)  # it is none of the programs' that a reward starts
        setup: Setup = receive(connection)
        _serve(connection, setup)
    except (EOFError, OSError):
        pass  # the parent closed the connection, or a reward closed our end of it: either way it is over
    except BaseException:
        traceback.print_exc()
        _leave(1)


def _serve(connection: socket.socket, setup: Setup) -> None:
    limit = setup.memory_mb * 2**20
    limit_memory(limit)
    try:
        objective = setup.build()
    except Exception as error:
        send(connection, Answer(error=_why_not_built(error, setup.memory_mb)))
        return
    send(connection, Answer())
    # A model that is large from the start is no leak.
    grown = (limit + _memory()) // 2
    home = Path.cwd()
    while True:
        chunk: list[str] = receive(connection)
        answer = _answer(objective, chunk, setup.memory_mb, grown)
        with contextlib.suppress(OSError):
            os.chdir(home)
        send(connection, answer)


def _why_not_built(error: Exception, memory_mb: int) -> MoldesignError:
    if isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError):
        return RewardError(f"the objective needs more memory than {memory_mb} MB to be loaded")
    if isinstance(error, MoldesignError):
        return error
    what = f"the objective cannot be built in a worker process: {type(error).__name__}: {error}"
    return RewardError(" ".join(what.split()))


def _answer(objective: Objective, chunk: Sequence[str], memory_mb: int, grown: int) -> Answer:
    try:
        scores = _evaluate(objective, chunk)
    except MoldesignError as error:
        return Answer(error=error)
    except MemoryError:
        return Answer(lost=f"needs more memory than {memory_mb} MB")
    except BaseException as error:
        text = " ".join(str(error).split())[:300]
        return Answer(lost=f"raised {type(error).__name__}{': ' if text else ''}{text}")
    # An objective takes MemoryError for a fault of the molecule. It may be what the molecules before it
    # left behind: only a new worker can tell.
    if any(reason is not None and "MemoryError" in reason for reason in scores.reasons):
        return Answer(lost=f"needs more memory than {memory_mb} MB")
    return Answer(scores, finished=objective.finished, grown=_memory() > grown)


def _evaluate(objective: Objective, chunk: Sequence[str]) -> Scores:
    try:
        mols = [reread(one) for one in chunk]
    except InvalidMolecule as error:
        # RDKit does not read back all that it writes.
        if len(chunk) > 1:
            return Scores.joined([_evaluate(objective, [one]) for one in chunk])
        return Scores.failed(objective.labels, [f"its SMILES cannot be read back: {error}"])
    return objective.evaluate(mols, chunk)


def _die_with_parent() -> None:
    """Let the kernel kill this process, and those that it starts, when the parent is gone.

    Standard input is a pipe that nobody writes to: it ends with the parent, however that dies. A
    thread that waits for it would do as well, but not while C code holds the interpreter lock.
    """
    lifeline = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if sys.platform == "linux":
        import fcntl

        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
        # It may have ended before the kernel was asked.
        import select

        if select.select([lifeline], [], [], 0)[0]:
            _leave(1)
    else:
        import threading

        def watch() -> None:
            os.read(lifeline, 1)
            _leave(1)

        threading.Thread(target=watch, daemon=True).start()


def limit_memory(limit: int) -> None:
    """Let this process have so many bytes of data; beyond them allocation fails."""
    # Data, not address space: libraries and graphics drivers map far more than they ever touch.
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _memory() -> int:
    """Bytes of what the limit counts, private and writable, that this process has; 0 where nobody tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _leave(code: int) -> NoReturn:
    """End at once: threads that a reward left behind cannot hold the process up."""
    sys.stderr.flush()
    os._exit(code)
