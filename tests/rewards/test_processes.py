"""Programs that are started end with the process that started them, however that dies."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from moldesign.rewards.processes import Process

SCRIPT = """
import sys, threading, time
from moldesign.rewards.processes import Process

started = []
# The thread that starts it may end: the program does not end with that.
command = ["sh", "-c", "sleep 600 & echo $$ $!; wait"]
thread = threading.Thread(target=lambda: started.append(Process(command)))
thread.start()
thread.join()
time.sleep(0.2)
print(started[0].receive(30), started[0].ended, flush=True)
time.sleep(600)
"""


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a program has to look at its input")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_program_ends_with_us_though_it_reads_nothing(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert process.stdout.readline() == " False\n"
        assert all(map(runs, pids))
        process.send_signal(number)
    deadline = time.monotonic() + 30
    while any(map(runs, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(runs, pids))


def test_a_line_that_is_early() -> None:
    process = Process(["sh", "-c", "echo one; echo two; read line; echo three"])
    assert process.receive(30) == "one\n"
    while (line := process.early()) is None:
        time.sleep(0.01)
    assert line == "two\n"
    assert process.early() is None
    process.end_input()
    assert process.receive(30) == "three\n"
    assert process.wait(30)
    time.sleep(0.1)
    assert process.early() is None
    assert process.receive(30) is None
    assert process.kill() == 0


def test_a_program_that_cannot_be_started_leaves_nothing_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(OSError, match="/no/such/program"):
            Process(["/no/such/program"])
    assert len(list(Path("/proc/self/fd").iterdir())) == before
