"""What the command says of itself: its help, its examples, its lists."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from moldesign import __version__, assets
from moldesign.cli.app import app
from moldesign.rewards import catalogue
from moldesign.rewards.objective import Objective
from moldesign.rewards.objectives import READY_MADE
from moldesign.rl.choices import ESTIMATORS
from moldesign.rl.presets import settings_of
from moldesign.rl.settings import OptimizeSettings


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command that does something."""
    children = getattr(command, "commands", {})
    if not children or getattr(command, "invoke_without_command", False):
        yield path
    for name, child in children.items():
        yield from leaves(child, (*path, name))


COMMANDS = list(leaves(get_command(app)))


def help_of(path: tuple[str, ...]) -> str:
    result = CliRunner().invoke(app, [*path, "--help"], env={"TERMINAL_WIDTH": "200", "COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.stdout


def example_of(path: tuple[str, ...]) -> list[str]:
    """The arguments of the example in the help of a command, up to where its output goes."""
    found = re.findall(r"Example: (moldesign .*?)\s*$", help_of(path), re.MULTILINE)
    assert len(found) == 1, f"{' '.join(path)}: {found}"
    words = shlex.split(found[0])[1:]
    return words[: words.index(">")] if ">" in words else words


def test_there_are_commands() -> None:
    assert {("optimize",), ("sample",), ("score",), ("pretrain",), ("rewards",), ("rewards", "show")} <= set(
        COMMANDS
    )


def test_the_list_of_commands_has_the_first_line_of_the_help_of_each() -> None:
    # The list is written apart, since a command is imported only when it is asked for.
    commands: Any = get_command(app)
    for name, command in commands.commands.items():
        context = command.make_context(name, [], resilient_parsing=True)
        assert command.short_help == context.command.help.split("\n")[0], name


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_example_in_the_help_is_right_usage(path: tuple[str, ...]) -> None:
    words = example_of(path)
    assert tuple(words[: len(path)]) == path
    command: Any = get_command(app)
    for name in path:
        command = command.commands[name]
    command.make_context(" ".join(path), words[len(path) :])  # raises where the usage is wrong


def test_the_help_shows_the_defaults_of_the_settings() -> None:
    text = help_of(("optimize",))
    defaults = OptimizeSettings.of(**settings_of("efficient")).model_dump(exclude={"budget"})
    for name in OptimizeSettings.model_fields:
        line = next(line for line in text.splitlines() if f"--{name.replace('_', '-')} " in line)
        default = defaults.get(name)
        if default is None:
            assert "(default: " not in line
        else:
            shown = str(default).lower() if isinstance(default, bool) else str(default)
            assert f"(default: {shown})" in line


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (("rewards",), [*catalogue.BUILT_IN, *READY_MADE]),
        (("estimators",), list(ESTIMATORS)),
        (("priors",), list(assets.priors())),
    ],
    ids=str,
)
def test_the_example_of_a_list_runs(
    forks: Any, tmp_path: Path, path: tuple[str, ...], shown: list[str]
) -> None:
    done = forks(*example_of(path), cwd=tmp_path)
    assert done.code == 0, done.err
    assert not done.err
    assert [name for name in shown if name not in done.out] == []


def test_an_objective_that_is_shown_can_be_used(forks: Any, tmp_path: Path) -> None:
    done = forks(*example_of(("rewards", "show")), cwd=tmp_path)
    assert done.code == 0, done.err
    assert Objective.from_toml(done.out).spec() == READY_MADE["druglike"]().spec()


def lines_of(*arguments: str) -> Any:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_the_lists_are_there_for_programs() -> None:
    rewards = lines_of("rewards", "--json")
    assert {row["name"] for row in rewards["rewards"]} >= set(catalogue.BUILT_IN)
    similarity = next(row for row in rewards["rewards"] if row["name"] == "similarity")
    assert "references" in similarity["parameters"]["properties"]
    assert {row["name"] for row in rewards["objectives"]} == set(READY_MADE)
    assert [row["name"] for row in lines_of("estimators", "--json")] == list(ESTIMATORS)
    priors = {row["name"]: row for row in lines_of("priors", "--json")}
    assert {"druglike", "zinc250k"} <= set(priors)
    assert Path(priors["druglike"]["path"]).is_file()
    shown = lines_of("priors", "show", "druglike", "--json")
    assert len(shown["vocabulary"]) == priors["druglike"]["tokens"]


def test_a_reward_is_shown_with_its_parameters() -> None:
    result = CliRunner().invoke(app, ["rewards", "show", "substructure_count"])
    assert re.search(r"smarts: .*required", result.stdout)


def test_the_version(moldesign: Any, tmp_path: Path) -> None:
    assert moldesign("--version", cwd=tmp_path).out == f"moldesign {__version__}\n"
