"""Processes that lead a group of their own, so that they end together with whatever they started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time


def ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process has ended, without reaping it: its id stays its own."""
    if process.returncode is not None:
        return True
    with contextlib.suppress(ChildProcessError):
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    return True


def kill_group(process: subprocess.Popen[bytes], *, grace_s: float = 0.0) -> int:
    """The exit status of a process that leads a group, killed with the group unless it ended before.

    Args:
        grace_s: seconds that it may take to end by itself.
    """
    deadline = time.monotonic() + grace_s
    while not ended(process) and time.monotonic() < deadline:
        time.sleep(0.005)
    # Before it is reaped, so that the number of the group cannot belong to anyone else yet.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()
