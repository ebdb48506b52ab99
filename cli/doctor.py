"""`moldesign doctor`: whether this machine and this install are fit for runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from moldesign.cli import checks
from moldesign.cli.checks import Check
from moldesign.cli.options import JsonFlag, ThreadsOption, set_threads
from moldesign.limits import cpu_quota, free_memory, memory_limit, usable_processors

_STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}


def doctor(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder that runs would be written to.")] = Path(),
    threads: ThreadsOption = None,
    json_line: JsonFlag = False,
) -> None:
    """Check this machine and this install, and say in plain words what to do.

    Each line is ok, a note (runs go on without it) or a problem (no run is possible): the exit code is 0
    unless there is a problem.

    Example: moldesign doctor
    """
    found = [checks.python(), checks.needed(), checks.rdkit(), checks.torch_works()]
    device: dict[str, Any] = {}
    using = None
    if found[-1].status == "ok":
        device, using = _device(threads)
        found += [*_device_checks(device, using), *checks.priors()]
    found += [checks.memory(free_memory(), memory_limit())]
    found += [checks.run_folder(out), checks.cache_folder(), *checks.extras()]
    if json_line:
        typer.echo(json.dumps(_facts(found, device, using)))
    else:
        _show(found)
        typer.echo(_conclusion(found))
    for check in found:
        if check.status == "problem":
            raise typer.Exit(check.exit_code)


def _device(threads: int | None) -> tuple[dict[str, Any], int]:
    """What torch computes on, with what nvidia-smi says of it, and the threads that a run would use."""
    import torch

    from moldesign.policy.devices import device_facts
    from moldesign.records.environment import nvidia

    set_threads(threads)
    return {**device_facts(), "nvidia": nvidia()}, torch.get_num_threads()


def _device_checks(device: dict[str, Any], threads: int) -> list[Check]:
    import torch

    from moldesign.policy.devices import product_rates

    found = [checks.gpu(device, device["nvidia"], os.environ.get("CUDA_VISIBLE_DEVICES"))]
    try:
        rates = product_rates(torch.device(device["type"]))
    except RuntimeError as error:
        if device["type"] != "cuda":
            raise
        return [checks.gpu_broken(error)]
    return [
        *found,
        checks.arithmetic(device, rates, threads),
        checks.processors(usable_processors(), cpu_quota(), threads),
    ]


def _facts(found: list[Check], device: dict[str, Any], threads: int | None) -> dict[str, Any]:
    """What was found, and on what, as JSON has it."""
    from moldesign.records.environment import environment

    return {
        "status": _worst(found),
        "checks": [
            {"name": check.name, "status": check.status, "text": check.text, "advice": check.advice}
            for check in found
        ],
        "environment": environment(seed=None, threads=threads, device=device),
    }


def _worst(found: list[Check]) -> str:
    return next((s for s in ("problem", "note") if any(check.status == s for check in found)), "ok")


def _show(found: list[Check]) -> None:
    """A table on a terminal, a line each elsewhere."""
    console = Console()
    if not console.is_terminal:
        for check in found:
            typer.echo(f"{check.status:<8} {check.name}: {check.line}")
        return
    table = Table("", "what", "finding", show_lines=False)
    table.columns[0].no_wrap = True
    for check in found:
        # As text: a path may hold what the markup would read.
        table.add_row(Text(check.status, _STYLES[check.status]), Text(check.name), Text(check.line))
    console.print(table)


def _conclusion(found: list[Check]) -> str:
    problems, notes = (_count(found, status) for status in ("problem", "note"))
    if any(check.status == "problem" for check in found):
        return f"{problems}, {notes}: mend the problems before a run"
    return f"ready for runs; {notes}"


def _count(found: list[Check], status: str) -> str:
    number = sum(check.status == status for check in found)
    return f"{number} {status}{'' if number == 1 else 's'}"
