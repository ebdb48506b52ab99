"""Every reward by name: those of this package and those of plugins."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from moldesign.errors import RewardError, UsageError, nearest
from moldesign.rewards import properties, similarity, substructures
from moldesign.rewards.entry import Entry
from moldesign.rewards.reward import from_smiles_function
from moldesign.rewards.strict import known

#: Entry points of this group are an Entry each, or a function from a list of SMILES to numbers.
GROUP = "moldesign.rewards"


#: Every reward of this package; each module lists its own.
BUILT_IN: dict[str, Entry] = {
    **properties.ENTRIES,
    **similarity.ENTRIES,
    **substructures.ENTRIES,
}


def names() -> list[str]:
    """Names of all rewards, built in first, then those of plugins. Loads no plugin."""
    plugins = sorted({point.name for point in entry_points(group=GROUP)} - BUILT_IN.keys())
    return [*BUILT_IN, *plugins]


def find(name: str) -> Entry:
    """The reward of that name.

    Raises:
        UsageError: no such name; the message holds the nearest.
        RewardError: a plugin that cannot be loaded.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    for point in entry_points(group=GROUP, name=name):
        return _load(name, point.value, point.load)
    raise UsageError(f"unknown reward '{name}'{nearest(name, names()) or known(names())}")


def _load(name: str, value: str, load: Callable[[], Any]) -> Entry:
    try:
        plugin = load()
    except Exception as error:
        raise RewardError(f"reward plugin '{name}' ({value}) cannot be loaded: {error}") from error
    if isinstance(plugin, Entry):
        return plugin
    if callable(plugin):
        description = (plugin.__doc__ or value).strip().splitlines()[0]
        # Its range is unknown; a value outside 0 to 1 without shaping fails where it occurs.
        return Entry(description, "", lambda _: from_smiles_function(plugin), unit_interval=True)
    raise RewardError(f"reward plugin '{name}' ({value}) is neither an Entry nor a function of SMILES")
