"""`moldesign optimize`: molecules that score well."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from moldesign.cli.interrupts import Interrupts
from moldesign.cli.options import (
    JsonFlag,
    ThreadsOption,
    TrustOption,
    set_threads,
    settings_options,
    trust_plugins,
)
from moldesign.cli.running import (
    NearestAllOption,
    SdfOption,
    TensorboardOption,
    export_options,
    report_run,
    watching,
)
from moldesign.errors import UsageError, nearest
from moldesign.rl.presets import DEFAULT, settings_of
from moldesign.rl.settings import OptimizeSettings
from moldesign.settings import build, parse_toml, read_text

_CONFIG_KEYS = ("objective", "prior", "settings")
_DEFAULTS = OptimizeSettings.of(**settings_of(DEFAULT)).model_dump(exclude={"budget"})


@settings_options(OptimizeSettings, defaults=_DEFAULTS)
def optimize(
    settings: dict[str, Any],
    objective: Annotated[
        str | None, typer.Argument(help="A ready-made objective (`moldesign rewards`), or a TOML file.")
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Run directory to make.")] = Path("run"),
    prior: Annotated[
        str | None, typer.Option("--prior", help="Name of a prior, or a policy file. (default: druglike)")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="TOML file of a run, such as the config.toml of an earlier one."),
    ] = None,
    oracle_cmd: Annotated[
        str | None,
        typer.Option(
            "--oracle-cmd", help="Score with a command that speaks JSON lines, in place of an objective."
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            help="Settings that belong together: efficient, reinvent, genetic-gfn or gp-bo; single ones go "
            "before. (default: efficient, but none where an estimator is given)",
        ),
    ] = None,
    sdf: SdfOption = False,
    nearest_all: NearestAllOption = False,
    tensorboard: TensorboardOption = False,
    trust_plugin: TrustOption = None,
    threads: ThreadsOption = None,
    json_line: JsonFlag = False,
) -> None:
    """Design molecules that score well, and write them to candidates.csv in the run directory.

    Example: moldesign optimize druglike --budget 3000 -o runs/first
    """
    trust_plugins(trust_plugin)
    given = _read_config(config) if config else {}
    if oracle_cmd is not None and objective is not None:
        raise UsageError("give an objective or --oracle-cmd, not both")
    goal = objective or given.get("objective")
    if goal is None and oracle_cmd is None:
        raise UsageError("what to optimise? Name an objective, a TOML file, or --oracle-cmd")
    if "workers" not in settings:
        from moldesign.rewards.trust import require_workers

        require_workers(str(given.get("settings", {}).get("workers", "")), f"{config}: settings.workers")
    if oracle_cmd is not None:
        from moldesign.rewards.trust import trust_command

        trust_command(oracle_cmd)
    asked = {**given.get("settings", {}), **settings}
    # Who names an estimator means that, and no search around it.
    if preset is None and "estimator" not in asked:
        preset = DEFAULT
    together = settings_of(preset) if preset else {}
    chosen = OptimizeSettings.of(**{**together, **asked})
    # Of what a preset brought along nobody expects anything.
    if idle := [name for name in chosen.unread() if name in asked]:
        typer.echo(
            f"moldesign: nothing reads {', '.join(idle)} here (estimator {chosen.estimator})", err=True
        )

    from moldesign.rewards.external import ExternalScorer
    from moldesign.rewards.loading import load_objective
    from moldesign.rewards.objective import Objective

    with ExitStack() as stack:
        if oracle_cmd is not None:
            resolved = Objective.of(stack.enter_context(ExternalScorer(oracle_cmd)), "oracle")
        elif isinstance(goal, dict):
            resolved = Objective.from_table(goal, given["text"], str(config))
        else:
            assert goal is not None  # else there is an oracle_cmd
            resolved = load_objective(goal)
        # Only now, as it loads torch: a mistake in what is asked for shows at once.
        from moldesign.rl.optimize import optimize as run_optimize

        set_threads(threads)
        interrupts = stack.enter_context(Interrupts())
        board = out / "tensorboard" if tensorboard else None
        watch = stack.enter_context(watching(calls=chosen.budget, steps=chosen.max_steps, board=board))
        run = run_optimize(
            resolved,
            prior=prior or given.get("prior", "druglike"),
            out=out,
            progress=watch,
            should_stop=interrupts,
            export=export_options(sdf, nearest_all),
            **chosen.model_dump(),
        )
    report_run(run, out, json_line)
    interrupts.exit_if_received()


def _read_config(path: Path) -> dict[str, Any]:
    """The tables of a run's TOML file, and under "text" what stands in it.

    Raises:
        UsageError: not there, not TOML, or an unknown key.
    """
    text = read_text(path)
    content = parse_toml(text, str(path))
    for key in content:
        if key not in _CONFIG_KEYS:
            raise UsageError(f"{path}: unknown key '{key}'{nearest(key, _CONFIG_KEYS)}")
    if not isinstance(content.get("prior", ""), str):
        raise UsageError(f"{path}: prior is the name of a prior, or a policy file")
    if not isinstance(content.get("objective", ""), str | dict):
        raise UsageError(f"{path}: objective is a name, a TOML file or a table")
    if not isinstance(content.get("settings", {}), dict):
        raise UsageError(f"{path}: settings is a table: [settings]")
    build(OptimizeSettings, content.get("settings", {}), where=str(path))
    return {**content, "text": text}
