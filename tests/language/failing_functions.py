"""Functions for workers that crash, hang or raise on some texts; a module, so that workers can import it."""

from __future__ import annotations

import os
import signal


def double(text: str) -> tuple[str | None, str | None]:
    """The text twice, or what the text asks for."""
    if text == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if text == "exit":
        os._exit(3)
    if text == "spin":
        while True:
            pass
    if text == "sleep":
        signal.pause()
    if text == "raise":
        raise ValueError("no")
    if text == "print":
        print("this must not be taken for an answer", flush=True)
    return text + text, None


def once(text: str) -> tuple[str | None, str | None]:
    """The text, after ending the first process that is given the path of a file not yet there."""
    if text.startswith("/") and not os.path.exists(text):  # noqa: PTH110
        open(text, "w").close()  # noqa: PTH123
        os.kill(os.getpid(), signal.SIGKILL)
    return text, None
