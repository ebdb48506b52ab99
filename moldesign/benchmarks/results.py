"""Results of a benchmark as a file, with the command, the versions and the machine beside them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from moldesign.records.environment import environment
from moldesign.records.files import write_text


def write_result(path: Path, module: str, facts: Mapping[str, object]) -> None:
    """Write the facts as JSON, whole or not at all, and with them what `python -m module` ran on.

    Raises:
        UsageError, ResourceError: the path cannot be written; the disk is full.
    """
    write_result_of(path, ["python", "-m", module], facts)


def write_result_of(path: Path, program: Sequence[str], facts: Mapping[str, object]) -> None:
    """As `write_result`, of another program that was given the arguments of this process."""
    command = [*program, *sys.argv[1:]]
    where = environment(seed=None, threads=torch.get_num_threads(), command=command)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({**facts, "environment": where}, indent=2) + "\n")
