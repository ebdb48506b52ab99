"""Python processes that import what this one can import."""

from __future__ import annotations

import json
import sys

# Nothing is imported but what comes with Python before the path is ours.
_CALL = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1));"
    " from {module} import {function}; {function}()"
)


def call(module: str, function: str, *arguments: str) -> list[str]:
    """The command line that calls a function in a new interpreter; `sys.argv[1:]` are the arguments there.

    Modules are looked for where this process looks for them, in the same order. Unlike a process that
    multiprocessing spawns it leaves the user's script alone, so that needs no guard.
    """
    # -P: the directory in which a user happens to stand holds files of any name, `random.py` among them.
    code = _CALL.format(module=module, function=function)
    return [sys.executable, "-P", "-c", code, json.dumps(sys.path), *arguments]
