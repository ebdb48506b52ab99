"""`moldesign estimators`: the ways to estimate the gradient."""

from __future__ import annotations

import json

import typer
from rich.console import Console
from rich.table import Table

from moldesign.cli.options import JsonFlag
from moldesign.rl.choices import ESTIMATORS


def estimators(json_line: JsonFlag = False) -> None:
    """List the gradient estimators of `moldesign optimize --estimator`.

    Example: moldesign estimators
    """
    if json_line:
        typer.echo(
            json.dumps(
                [
                    {
                        "name": name,
                        "description": one.description,
                        "source": one.source,
                        "settings": one.settings,
                        "defaults": dict(one.defaults),
                        "off_policy": one.off_policy,
                    }
                    for name, one in ESTIMATORS.items()
                ]
            )
        )
        return
    table = Table("name", "what it is", "its settings", "its own defaults")
    table.columns[0].no_wrap = True
    for name, one in ESTIMATORS.items():
        defaults = ", ".join(f"{key} {value}" for key, value in one.defaults.items())
        table.add_row(name, f"{one.description} ({one.source})", ", ".join(one.settings), defaults)
    Console().print(table)
