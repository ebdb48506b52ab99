"""Processes that lead a group of their own, so that they end together with whatever they started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
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


class Lifeline:
    """A pipe that ends with this process, however that dies, and then has the kernel kill a group.

    A group of its own could be killed with this process's as well, if it were no group of its own; but
    then what a program left behind could not be killed without us. The kernel's signal to a child whose
    parent ends would not do: it comes when the thread that started the child ends, and to the child alone.

    Attributes:
        held: the descriptor that the leader of the group has to inherit.
    """

    def __init__(self) -> None:
        self.held, self._ours = os.pipe()

    def tie(self, process: subprocess.Popen[bytes] | None) -> None:
        """Tie the group that the process leads to this one; None where it could not be started."""
        # Whoever has the descriptor is signalled, so nothing has to run in the program itself.
        if process is not None and sys.platform == "linux":
            import fcntl

            with contextlib.suppress(OSError):  # it has ended already
                fcntl.fcntl(self.held, fcntl.F_SETOWN, -process.pid)
                fcntl.fcntl(self.held, fcntl.F_SETSIG, signal.SIGKILL)
                fcntl.fcntl(self.held, fcntl.F_SETFL, os.O_ASYNC)
        os.close(self.held)

    def cut(self) -> None:
        """End the pipe, and with it what is left of the group."""
        os.close(self._ours)
