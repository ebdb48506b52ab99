"""The real command, in a process of its own, and a run of it that several tests look at."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

MOLDESIGN = Path(sys.executable).with_name("moldesign")


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


class Command:
    """`moldesign`, called with arguments in a folder, with the environment as it is then."""

    def __call__(self, *arguments: object, cwd: Path) -> Done:
        process = self.start(*arguments, cwd=cwd)
        try:
            out, err = process.communicate()
        finally:
            process.kill()
        return Done(process.returncode, out, err)

    def start(
        self, *arguments: object, cwd: Path, stdout: int | IO[str] = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        """The process, running."""
        return subprocess.Popen(
            [str(MOLDESIGN), *(str(argument) for argument in arguments)],
            cwd=cwd,
            env={**os.environ, "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # so that a test can send Ctrl-C to all its processes, as a terminal does
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )


class Forks:
    """As `Command`: a process for each call, but forked from one that has imported what takes so long."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forks.py"))],
            env={**os.environ, "COLUMNS": "200"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )

    def __call__(
        self, *arguments: object, cwd: Path, out: Path | None = None, limits: dict[str, int] | None = None
    ) -> Done:
        """How the command ended.

        Args:
            out: where standard output goes, such as a device; what it took is then not in the answer.
            limits: by resource, such as RLIMIT_FSIZE.
        """
        request = {
            "arguments": [str(argument) for argument in arguments],
            "cwd": str(cwd),
            "out": str(out or ""),
            "limits": limits or {},
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Done(*json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        # Also a command that still runs.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    started = Forks()
    yield started
    started.close()


@pytest.fixture(scope="session")
def moldesign() -> Command:
    return Command()


@dataclass(frozen=True)
class FinishedRun:
    """`moldesign optimize` that came to its end: its folder, and what it said."""

    out: Path
    done: Done


@pytest.fixture(scope="session")
def finished_run(
    moldesign: Callable[..., Done], small_prior: Path, tmp_path_factory: pytest.TempPathFactory
) -> FinishedRun:
    """100 calls of qed with seed 3 and --json."""
    cwd = tmp_path_factory.mktemp("finished")
    done = moldesign(
        "optimize", "qed", "--prior", small_prior, "--budget", 100, "--batch-size", 32, "--seed", 3,
        "--estimator", "dap", "--threads", 1, "-o", "run", "--json", cwd=cwd,
    )  # fmt: skip
    assert done.code == 0, done.err
    return FinishedRun(cwd / "run", done)
