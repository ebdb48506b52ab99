"""`moldesign estimators`: the ways to estimate the gradient."""

from __future__ import annotations

import json

import typer
from rich.console import Console
from rich.table import Table

from moldesign.cli.options import JsonFlag


def estimators(json_line: JsonFlag = False) -> None:
    """List the gradient estimators of `moldesign optimize --estimator`.

    Example: moldesign estimators
    """
    from moldesign.rl.estimators import ESTIMATORS

    if json_line:
        typer.echo(
            json.dumps(
                [
                    {"name": n, "description": e.description, "settings": e.settings}
                    for n, e in ESTIMATORS.items()
                ]
            )
        )
        return
    table = Table("name", "what it is", "its settings")
    for name, estimator in ESTIMATORS.items():
        table.add_row(name, estimator.description, ", ".join(estimator.settings))
    Console().print(table)
