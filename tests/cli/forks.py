"""Runs `moldesign` for each request on standard input, in a process forked from one that has imported it all.

A request is a line of JSON: arguments, folder, limits by the name of their resource, and where standard
output goes if not back. The answer is a line with the exit code (negative: the signal that ended the
process), and what it and the processes that it started wrote.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import selectors
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

#: What the commands import when they run: a second or two in each process of its own.
HEAVY = (
    "moldesign.cli.corpora", "moldesign.cli.optimize", "moldesign.cli.pretrain", "moldesign.cli.priors",
    "moldesign.cli.rewards", "moldesign.cli.sample", "moldesign.cli.score", "moldesign.language.corpus",
    "moldesign.policy.sampling", "moldesign.policy.training", "moldesign.rewards.curves",
    "moldesign.records.figures", "moldesign.rewards.loading", "moldesign.rewards.scoring",
    "moldesign.rl.optimize", "pandas", "torch", "torch._dynamo",
)  # fmt: skip


def become(request: dict[str, Any], out: int, err: int) -> None:
    """Make this process one that a shell has just started for the command."""
    os.chdir(request["cwd"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(request["out"], os.O_WRONLY) if request["out"] else out, 1)
    os.dup2(err, 2)
    os.closerange(3, max(out, err) + 1)
    for name, limit in request["limits"].items():
        resource.setrlimit(getattr(resource, name), (limit, limit))
    sys.argv = ["moldesign", *request["arguments"]]


def leave(command: Callable[[], None]) -> NoReturn:
    """Run the command and end the process as Python would, but for taking apart what was imported."""
    code: object = 0
    try:
        command()
    except SystemExit as left:
        code = 0 if left.code is None else left.code
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError:
        code = 120
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def all_of(pipes: list[int]) -> list[str]:
    """What comes out of the pipes until nobody holds their other ends."""
    texts = dict.fromkeys(pipes, b"")
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                data = os.read(key.fd, 1 << 16)
                texts[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
                    os.close(key.fd)
    return [text.decode("utf-8", "backslashreplace") for text in texts.values()]


def main() -> None:
    """Serve until standard input ends; in a forked process, be the command."""
    for name in HEAVY:
        import_module(name)
    from moldesign.cli.app import main as command

    sys.argv[0] = str(Path(sys.executable).with_name("moldesign"))
    for line in sys.stdin:
        request = json.loads(line)
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            become(request, out_end, err_end)
            leave(command)
        os.close(out_end)
        os.close(err_end)
        texts = all_of([out, err])
        _, status = os.waitpid(pid, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), *texts]), flush=True)


if __name__ == "__main__":
    main()
