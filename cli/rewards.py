"""`moldesign rewards`: what molecules can be scored by."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from moldesign.cli.options import (
    ForceFlag,
    JsonFlag,
    TrustOption,
    refuse_existing,
    trust_plugins,
    write_output,
)
from moldesign.cli.terminal import plain
from moldesign.text import visible

if TYPE_CHECKING:
    from moldesign.rewards.entry import Entry
    from moldesign.rewards.objective import Objective
    from moldesign.rewards.trials import Trial

app = typer.Typer(invoke_without_command=True)

#: How the verdict of a check is shown.
_STYLE = {"ok": "green", "warning": "yellow", "broken": "bold red", "unknown": "dim"}


@app.callback()
def list_rewards(context: typer.Context, json_line: JsonFlag = False) -> None:
    """List the rewards that an objective can name, and the ready-made objectives.

    Example: moldesign rewards
    """
    if context.invoked_subcommand is not None:
        return
    from moldesign.rewards import catalogue
    from moldesign.rewards.objectives import READY_MADE

    rewards = {name: _found(name) for name in catalogue.names()}
    objectives = {name: make() for name, make in READY_MADE.items()}
    if json_line:
        facts = {
            "rewards": [
                {"name": name, "group": "plugins", "error": entry}
                if isinstance(entry, str)
                else _facts(name, entry)
                for name, entry in rewards.items()
            ],
            "objectives": [{"name": name, **objective.spec()} for name, objective in objectives.items()],
        }
        typer.echo(json.dumps(facts))
        return
    _print_list(rewards, objectives)


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(help="Name of a reward or of a ready-made objective, or FILE.py:NAME.")
    ],
    trust_plugin: TrustOption = None,
    json_line: JsonFlag = False,
) -> None:
    """Print a reward or a ready-made objective as TOML to begin from, with the parameters in comments.

    Example: moldesign rewards show druglike > mine.toml
    """
    trust_plugins(trust_plugin)
    from moldesign.errors import UsageError, nearest
    from moldesign.rewards import catalogue
    from moldesign.rewards.objectives import READY_MADE
    from moldesign.rewards.template import component_toml, description

    if name in READY_MADE and name not in catalogue.names():
        objective = READY_MADE[name]()
        text = json.dumps({"name": name, **objective.spec()}) if json_line else objective.to_toml().rstrip()
        typer.echo(text)
        return
    try:
        entry = _load(name)
    except UsageError:
        if ":" in name:
            raise
        known = [*READY_MADE, *catalogue.names()]
        raise UsageError(f"no reward or objective named '{name}'{nearest(name, known)}") from None
    if json_line:
        typer.echo(json.dumps(_facts(name, entry)))
        return
    for line in description(name, entry):
        typer.echo(visible(f"# {line}"))
    typer.echo("\n" + component_toml(name, entry), nl=False)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the reward, and of its function.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write; NAME.py if not given.")
    ] = None,
    force: ForceFlag = False,
) -> None:
    """Write a Python file with a small reward that works, to make your own of it.

    Example: moldesign rewards new my_reward
    """
    import keyword
    import re

    from moldesign.errors import UsageError
    from moldesign.rewards import catalogue
    from moldesign.rewards.template import python_file

    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or keyword.iskeyword(name):
        raise UsageError(f"'{name}' cannot be the name of a function: letters, digits and underscores can")
    if name in catalogue.BUILT_IN:
        raise UsageError(f"there is a reward '{name}' already; choose another name")
    path = output or Path(f"{name}.py")
    if path.suffix != ".py":
        raise UsageError(f"{path}: a file with Python code has a name that ends in .py")
    refuse_existing(path, force)
    write_output(python_file(name, str(path)), path)
    typer.echo(f"wrote {path}; try it: moldesign rewards test {path}:{name} --trust-plugin {path}", err=True)


@app.command("test")
def trial(
    name: Annotated[str, typer.Argument(help="Name of a reward, or FILE.py:NAME.")],
    smiles: Annotated[
        list[str] | None,
        typer.Option(help="A molecule to score; may be repeated; some drugs if not given."),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="A parameter, its value as in TOML; may be repeated; those of the example if none is given.",
        ),
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option(min=0.1, help="Seconds that a molecule may take; as the reward says if not given."),
    ] = None,
    trust_plugin: TrustOption = None,
    json_line: JsonFlag = False,
) -> None:
    """Try a reward on a few molecules: values, time, and whether it does what a reward has to.

    It runs in a process of its own, so that it may crash or hang. Exit code 5: it is broken.

    Example: moldesign rewards test similarity --smiles CCO --parameter "references=['CCN', 'CCS']"
    """
    trust_plugins(trust_plugin)
    from moldesign.chem.molecules import InvalidMolecule, read, to_smiles
    from moldesign.errors import RewardError, UsageError
    from moldesign.rewards.trials import DRUGS, try_reward

    molecules = {}
    for text in smiles or DRUGS.values():
        try:
            molecules[to_smiles(read(text))] = ""
        except InvalidMolecule as error:
            raise UsageError(f"--smiles {text!a}: {error}") from None
    if not smiles:
        molecules = dict(zip(molecules, DRUGS, strict=True))
    given = None
    if parameter:
        pairs = [text.partition("=") for text in parameter]
        for key, equals, _ in pairs:
            if not equals or not key.strip():
                raise UsageError(f"--parameter {key}: give it as KEY=VALUE")
        given = {key.strip(): value.strip() for key, _, value in pairs}
    tried = try_reward(name, molecules, given, limit_s=limit)
    if json_line:
        typer.echo(json.dumps(_trial_facts(name, tried)))
    else:
        _print_trial(name, tried)
    if tried.verdict == "broken":
        worst = next(check for check in tried.checks if check.verdict == "broken")
        raise RewardError(f"reward '{name}' is broken: {worst.what}: {worst.detail}")


def _load(name: str) -> Entry:
    """As catalogue.find; what a plugin prints goes to standard error."""
    from moldesign.rewards import catalogue

    with contextlib.redirect_stdout(sys.stderr):
        return catalogue.find(name)


def _found(name: str) -> Entry | str:
    """The reward, or why it cannot be loaded."""
    from moldesign.errors import RewardError

    try:
        entry = _load(name)
        json.dumps(_facts(name, entry))  # a plugin's Entry may hold anything
    except RewardError as error:
        return " ".join(str(error).split())
    except Exception as error:
        return f"reward plugin {name}: {type(error).__name__}: {' '.join(str(error).split())}"
    return entry


def _facts(name: str, entry: Entry) -> dict[str, Any]:
    return {
        "name": name,
        "group": entry.group,
        "unit": entry.unit,
        "direction": entry.direction,
        "description": entry.description,
        "parameters": entry.parameters.model_json_schema(),
        "example": dict(entry.example),
        "unit_interval": entry.unit_interval,
        "shaping": None if entry.shaping is None else entry.shaping.model_dump(mode="json"),
        "cost_us": entry.cost_us,
    }


def _print_list(rewards: dict[str, Entry | str], objectives: dict[str, Objective]) -> None:
    from moldesign.rewards.template import inline

    console = Console()
    groups: dict[str, list[str]] = {}
    for name, entry in rewards.items():
        groups.setdefault("plugins" if isinstance(entry, str) else entry.group, []).append(name)
    for group, names in groups.items():
        table = Table(title=f"Rewards: {group}", title_justify="left")
        table.add_column("reward", no_wrap=True)
        table.add_column("unit")
        table.add_column("wanted")
        table.add_column("what it is")
        for name in names:
            entry = rewards[name]
            if isinstance(entry, str):
                table.add_row(plain(name), "", "", plain(f"cannot be used: {entry}", style="bold red"))
                continue
            lines = [entry.description]
            if entry.parameters.model_fields:
                lines.append(f"parameters: {', '.join(entry.parameters.model_fields)}")
            if entry.example:
                lines.append(f"example: parameters = {inline(entry.example)}")
            table.add_row(plain(name), plain(entry.unit), entry.direction, plain("\n".join(lines)))
        console.print(table)
    ready = Table("objective", "what it wants", title="Ready-made objectives", title_justify="left")
    for name, objective in objectives.items():
        ready.add_row(name, plain(objective.description))
    console.print(ready)


def _trial_facts(name: str, trial: Trial) -> dict[str, Any]:
    """The trial as JSON has it: null for no number."""
    return {
        "name": name,
        "verdict": trial.verdict,
        "unit": trial.facts.unit,
        "parameters": trial.facts.parameters,
        "molecules": [
            {
                "smiles": row.smiles,
                "what": row.what,
                "value": None if math.isnan(row.value) else row.value,
                "seconds": None if math.isnan(row.seconds) else row.seconds,
                "problem": row.problem,
            }
            for row in trial.rows
        ],
        "checks": [vars(check) for check in trial.checks],
    }


def _print_trial(name: str, trial: Trial) -> None:
    from moldesign.rewards.template import duration, inline

    console = Console()
    facts = trial.facts
    unit = f" ({facts.unit})" if facts.unit else ""
    console.print(plain(f"{name}{unit}: {facts.description}"), highlight=False)
    if facts.parameters:
        console.print(plain(f"parameters = {inline(facts.parameters)}"), highlight=False)
    table = Table()
    table.add_column("molecule", overflow="fold")
    table.add_column("")
    table.add_column("value", justify="right")
    table.add_column("time", justify="right")
    for row in trial.rows:
        value = plain(row.problem, style="red") if row.problem else f"{row.value:.6g}"
        table.add_row(plain(row.smiles), plain(row.what), value, duration(row.seconds))
    console.print(table)
    checks = Table("check", "verdict", "")
    for check in trial.checks:
        style = _STYLE[check.verdict]
        checks.add_row(check.what, f"[{style}]{check.verdict}[/]", plain(check.detail))
    console.print(checks)
