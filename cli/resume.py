"""`moldesign resume`: a run that was killed, interrupted or done goes on."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from moldesign.cli.interrupts import Interrupts
from moldesign.cli.options import JsonFlag, ThreadsOption, TrustOption, set_threads, trust_plugins
from moldesign.cli.running import (
    NearestAllOption,
    SdfOption,
    TensorboardOption,
    export_options,
    report_run,
    watching,
)


def resume(
    directory: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory of `moldesign optimize`.")],
    budget: Annotated[
        int | None, typer.Option(min=1, help="Oracle calls in all; as the run had it if not given.")
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Steps in all; as the run had it if not given.")
    ] = None,
    max_hours: Annotated[
        float | None, typer.Option(min=0, help="Hours in all; as the run had it if not given.")
    ] = None,
    workers: Annotated[
        str | None, typer.Option(help="As for `moldesign optimize`; as the run had it if not given.")
    ] = None,
    oracle_cmd: Annotated[
        str | None, typer.Option("--oracle-cmd", help="The command that scores, if the run had one.")
    ] = None,
    sdf: SdfOption = False,
    nearest_all: NearestAllOption = False,
    tensorboard: TensorboardOption = False,
    trust_plugin: TrustOption = None,
    threads: ThreadsOption = None,
    json_line: JsonFlag = False,
) -> None:
    """Go on with a run that was killed, interrupted or done, as if nothing had happened.

    Nothing that was scored is scored again. With a larger --budget a run that is done goes on too.

    Example: moldesign resume runs/first --budget 5000
    """
    trust_plugins(trust_plugin)
    given = {"budget": budget, "max_steps": max_steps, "max_hours": max_hours, "workers": workers}
    limits = {name: value for name, value in given.items() if value is not None}

    from moldesign.records.run import RunDirectory
    from moldesign.rewards.external import ExternalScorer
    from moldesign.rewards.objective import Objective
    from moldesign.rewards.trust import require_workers, trust_command

    # A mistake in the name shows before torch is loaded.
    stored = RunDirectory(directory).read_config()["settings"]
    if workers is None:
        require_workers(str(stored.get("workers", "")), f"{directory}: settings.workers")
    if oracle_cmd is not None:
        trust_command(oracle_cmd)
    settings = {**stored, **limits}
    with ExitStack() as stack:
        objective = None
        if oracle_cmd is not None:
            objective = Objective.of(stack.enter_context(ExternalScorer(oracle_cmd)), "oracle")
        from moldesign.rl.optimize import resume as run_resume

        set_threads(threads)
        interrupts = stack.enter_context(Interrupts())
        board = directory / "tensorboard" if tensorboard else None
        calls, steps = settings.get("budget"), settings.get("max_steps")
        watch = stack.enter_context(watching(calls=calls, steps=steps, board=board))
        run = run_resume(
            directory,
            objective=objective,
            progress=watch,
            should_stop=interrupts,
            export=export_options(sdf, nearest_all),
            **limits,
        )
    report_run(run, directory, json_line)
    interrupts.exit_if_received()
