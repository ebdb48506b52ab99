"""`moldesign rewards`: what molecules can be scored by."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from moldesign.cli.options import JsonFlag

app = typer.Typer(invoke_without_command=True)


@app.callback()
def list_rewards(context: typer.Context, json_line: JsonFlag = False) -> None:
    """List the rewards that an objective can name, and the ready-made objectives.

    Example: moldesign rewards
    """
    if context.invoked_subcommand is not None:
        return
    from moldesign.rewards import catalogue
    from moldesign.rewards.objectives import READY_MADE

    rewards = {name: catalogue.find(name) for name in catalogue.names()}
    objectives = {name: make() for name, make in READY_MADE.items()}
    if json_line:
        facts = {
            "rewards": [
                {"name": name, "unit": entry.unit, "description": entry.description,
                 "parameters": entry.parameters.model_json_schema().get("properties", {})}
                for name, entry in rewards.items()
            ],
            "objectives": [{"name": name, **objective.spec()} for name, objective in objectives.items()],
        }  # fmt: skip
        typer.echo(json.dumps(facts))
        return
    table = Table("reward", "unit", "what it is", title="Rewards", title_justify="left")
    for name, entry in rewards.items():
        table.add_row(name, entry.unit, entry.description)
    ready = Table("objective", "what it wants", title="Ready-made objectives", title_justify="left")
    for name, objective in objectives.items():
        ready.add_row(name, objective.description)
    console = Console()
    console.print(table)
    console.print(ready)


@app.command()
def show(name: Annotated[str, typer.Argument(help="Name of a reward or of a ready-made objective.")]) -> None:
    """Print a reward's parameters, or a ready-made objective as TOML to begin from.

    Example: moldesign rewards show druglike > mine.toml
    """
    from moldesign.errors import UsageError, nearest
    from moldesign.rewards import catalogue
    from moldesign.rewards.objectives import READY_MADE

    if name in READY_MADE:
        typer.echo(READY_MADE[name]().to_toml(), nl=False)
        return
    if name not in catalogue.names():
        known = [*READY_MADE, *catalogue.names()]
        raise UsageError(f"no reward or objective named '{name}'{nearest(name, known)}")
    entry = catalogue.find(name)
    typer.echo(f"{name} ({entry.unit}): {entry.description}")
    for parameter, field in entry.parameters.model_fields.items():
        default = (
            "required" if field.is_required() else f"default {field.get_default(call_default_factory=True)!r}"
        )
        typer.echo(f"  {parameter}: {field.description} ({default})")
