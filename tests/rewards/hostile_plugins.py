"""Rewards that do what no reward should: a file that an objective can name once it is trusted."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import re
import signal
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from moldesign.errors import RewardError
from moldesign.rewards.entry import Entry, NoParameters
from moldesign.rewards.reward import Reward, from_smiles_function

if "HOSTILE_IMPORT" in os.environ:
    os._exit(7)

START = Path.cwd()
KEPT: list[bytes] = []


def hang_in_c() -> float:
    # Backtracks for ages without ever giving up the interpreter lock.
    return float(bool(re.match(r"(a+)+$", "a" * 60 + "b")))


def exhaust_memory() -> float:
    KEPT.append(b"x" * (1 << 34))
    return 0.5


def close_descriptors() -> float:
    os.closerange(0, 1000)
    return 0.5


def raise_error() -> float:
    raise ValueError("no such molecule")


def leave() -> float:
    sys.exit(3)


def interrupt() -> float:
    raise KeyboardInterrupt


def signal_itself(number: int) -> float:
    os.kill(os.getpid(), number)
    return 0.5


def write_to_descriptors(data: bytes) -> float:
    for number in range(3, 100):
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.write(number, data)
    return 0.5


#: What a molecule of so many carbons does, and the reason that it fails with.
DEEDS: dict[str, tuple[Callable[[], Any], str]] = {
    "raises": (raise_error, "hostile: ValueError: no such molecule"),
    "sleeps": (lambda: time.sleep(1000), "hostile: took longer than 2 s"),
    "hangs in C": (hang_in_c, "hostile: took longer than 2 s"),
    "segfaults": (lambda: ctypes.string_at(0), "hostile: killed the worker process (SIGSEGV)"),
    "aborts": (os.abort, "hostile: killed the worker process (SIGABRT)"),
    "is killed": (lambda: signal_itself(signal.SIGKILL), "hostile: killed the worker process (SIGKILL)"),
    "leaves at once": (lambda: os._exit(3), "hostile: ended the worker process (exit code 3)"),
    "leaves": (leave, "hostile: RuntimeError: called sys.exit(3)"),
    "interrupts": (interrupt, "hostile: raised KeyboardInterrupt"),
    "closes descriptors": (close_descriptors, "hostile: ended the worker process (exit code 0)"),
    "exhausts memory": (exhaust_memory, "hostile: needs more memory than 2000 MB"),
    "gives NaN": (lambda: float("nan"), "hostile: gave no value"),
    "gives None": (lambda: None, "hostile: gave no value"),
    "gives infinity": (lambda: float("inf"), "hostile: gave an infinite value"),
    "gives text": (lambda: "0.5", "hostile: TypeError: gave text where a number belongs: '0.5'"),
    "gives several": (lambda: [0.5, 0.5], "hostile: TypeError"),
    "gives too few": (lambda: (), "hostile: ValueError: gave 0 values for 1 molecules"),
    "writes among answers": (
        lambda: write_to_descriptors(b"\0\0\0\1"),
        "hostile: wrote among the answers of its worker process",
    ),
    "announces what never comes": (
        lambda: write_to_descriptors(struct.pack("!4sQ", b"mold", 2**24)),
        "hostile: took longer than 2 s",
    ),
}
CULPRITS = {"C" * (i + 1) + "O": deed for i, (deed, _) in enumerate(DEEDS.values())}


def hostile(smiles: list[str]) -> list[Any]:
    values = [CULPRITS[one]() if one in CULPRITS else 0.5 for one in smiles]
    return [value for value in values if value != ()]


def prints(smiles: list[str]) -> list[float]:
    print("printed by Python", flush=True)
    subprocess.run(["echo", "printed by a program"], check=True)
    os.write(1, b"written to the descriptor\n")
    return [0.5] * len(smiles)


def wanders(smiles: list[str]) -> list[float]:
    """1 where it starts from the directory that it started in."""
    at_home = Path.cwd() == START
    os.chdir("/")
    np.random.seed(0)  # noqa: NPY002 - a bad habit of many
    random.seed(0)
    return [float(at_home)] * len(smiles)


def leaks(smiles: list[str]) -> list[float]:
    KEPT.extend(bytes([i % 251]) * 150_000_000 for i, _ in enumerate(smiles))
    return [0.5] * len(smiles)


def tells_process(smiles: list[str]) -> list[float]:
    """The id of the process, below 1."""
    return [os.getpid() * 2.0**-32] * len(smiles)


def starts_a_program(smiles: list[str]) -> list[float]:
    program = subprocess.Popen(["sleep", "1000"])
    Path(os.environ["HOSTILE_PID"]).write_text(str(program.pid))
    return [hang_in_c() for _ in smiles]


def waits(smiles: list[str]) -> list[float]:
    """1/2 once the file that the environment names is there."""
    while not Path(os.environ["HOSTILE_GATE"]).exists():
        time.sleep(0.005)
    return [0.5] * len(smiles)


def kills_always(smiles: list[str]) -> list[float]:
    os.abort()


def kills_its_parent(smiles: list[str]) -> list[float]:
    """1/2, but for butanol, which kills the process that started this one."""
    if "CCCCO" in smiles:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(1000)
    return [0.5] * len(smiles)


def slow(smiles: list[str]) -> list[float]:
    time.sleep(0.05 * len(smiles))
    return [1 / len(one) for one in smiles]


def tells_company(smiles: list[str]) -> list[float]:
    """1/molecules of the call; a molecule takes much longer than anybody expects."""
    time.sleep(0.15 * len(smiles))
    return [1 / len(smiles)] * len(smiles)


def _broken(_: NoParameters) -> Reward:
    def broken(smiles: list[str]) -> Sequence[float]:
        raise RewardError("the licence has expired")

    return from_smiles_function(broken)


def _large(_: NoParameters) -> Reward:
    if "HOSTILE_MODEL" in os.environ:
        KEPT.append(b"x" * (1 << 34))
    return from_smiles_function(lambda smiles: [0.5] * len(smiles))


broken = Entry("always broken", "", _broken, unit_interval=True)
large = Entry("a model too large for its worker", "", _large, unit_interval=True)
