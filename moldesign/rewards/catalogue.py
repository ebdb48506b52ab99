"""Every reward by name: those of this package, those of plugins, and those in files that the user trusts."""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from moldesign.errors import RewardError, UsageError, nearest
from moldesign.rewards import (
    alerts,
    chemprop,
    commands,
    conformers,
    docking,
    http,
    isomers,
    models,
    neighbours,
    pairs,
    properties,
    reactions,
    rings,
    rules,
    scaffolds,
    shapes,
    similarity,
    substructures,
    tautomers,
    trust,
    zwitterions,
)
from moldesign.rewards.entry import Entry
from moldesign.rewards.reward import from_smiles_function
from moldesign.rewards.strict import known

#: Entry points of this group are an Entry each, or a function from a list of SMILES to numbers.
GROUP = "moldesign.rewards"

#: Every reward of this package; each module lists its own.
BUILT_IN: dict[str, Entry] = {
    **properties.ENTRIES,
    **rules.ENTRIES,
    **isomers.ENTRIES,
    **conformers.ENTRIES,
    **similarity.ENTRIES,
    **neighbours.ENTRIES,
    **shapes.ENTRIES,
    **substructures.ENTRIES,
    **alerts.ENTRIES,
    **scaffolds.ENTRIES,
    **rings.ENTRIES,
    **reactions.ENTRIES,
    **pairs.ENTRIES,
    **tautomers.ENTRIES,
    **zwitterions.ENTRIES,
    **models.ENTRIES,
    **chemprop.ENTRIES,
    **commands.ENTRIES,
    **http.ENTRIES,
    **docking.ENTRIES,
}

#: A function, or an Entry, in a Python file: `scores/mine.py:reward`.
_FILE = re.compile(r"(?P<path>.+\.py):(?P<name>[A-Za-z_][A-Za-z0-9_]*)")


def names() -> list[str]:
    """Names of all rewards, built in first, then those of plugins. Loads no plugin."""
    plugins = sorted({point.name for point in entry_points(group=GROUP)} - BUILT_IN.keys())
    return [*BUILT_IN, *plugins]


def label_of(name: str) -> str:
    """What a component of that reward is called unless it has a label: its name, or that of the function."""
    in_file = _FILE.fullmatch(name)
    return in_file["name"] if in_file else name


def find(name: str) -> Entry:
    """The reward of that name.

    Raises:
        UsageError: no such name (the message holds the nearest), or a file that the user does not trust.
        RewardError: a plugin that cannot be loaded.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    in_file = _FILE.fullmatch(name)
    if in_file:
        path = trust.require(in_file["path"], f"reward '{in_file['name']}'")
        digest = trust.trusted()[str(path)]
        return _plugin(name, lambda: getattr(_module(path, digest), in_file["name"]), digest)
    for point in entry_points(group=GROUP, name=name):
        version = f"{point.dist.name} {point.dist.version}" if point.dist else ""
        return _plugin(f"{name} ({point.value})", point.load, version)
    raise UsageError(f"unknown reward '{name}'{nearest(name, names()) or known(names())}")


@cache
def _module(path: Path, digest: str) -> Any:
    """The module of a file, run once as long as it stays the same."""
    # Not by import, which may run what it compiled earlier, or was made to believe that it had.
    source = path.read_bytes()
    if hashlib.sha256(source).hexdigest() != digest:
        raise UsageError(f"{path} has changed since it was trusted; start again")
    module = ModuleType(f"moldesign_plugin_{path.stem}_{digest[:8]}")
    module.__file__ = str(path)
    # Dataclasses and pickle look a class's module up by its name.
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


def _plugin(name: str, load: Callable[[], Any], code: str) -> Entry:
    try:
        # What it prints must not get among results.
        with contextlib.redirect_stdout(sys.stderr):
            plugin = load()
    except (Exception, SystemExit) as error:
        raise RewardError(
            f"reward plugin {name} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    # It runs in a process of its own, which its faults then end instead of the run.
    if isinstance(plugin, Entry):
        return replace(plugin, isolated=True, code=code)
    if callable(plugin):
        description = (plugin.__doc__ or "a function of SMILES").strip().splitlines()[0].rstrip(".")
        # Its range is unknown; a value outside 0 to 1 without shaping fails where it occurs.
        entry = Entry(description, "", lambda _: from_smiles_function(plugin), unit_interval=True)
        return replace(entry, isolated=True, code=code)
    raise RewardError(f"reward plugin {name} is neither an Entry nor a function of SMILES")
