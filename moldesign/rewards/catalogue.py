"""Every reward by name: those of this package and those of plugins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from moldesign.errors import RewardError, UsageError, nearest
from moldesign.rewards.properties import PROPERTIES, UNIT_INTERVAL
from moldesign.rewards.reward import Reward, from_smiles_function, per_molecule
from moldesign.rewards.shaping import Shaping, Step
from moldesign.rewards.similarity import SimilarityParameters, similarity
from moldesign.rewards.strict import Strict, known
from moldesign.rewards.substructures import (
    AlertsParameters,
    SubstructureCountParameters,
    SubstructuresParameters,
    structural_alerts,
    substructure_count,
    substructures,
)

#: Entry points of this group are an Entry each, or a function from a list of SMILES to numbers.
GROUP = "moldesign.rewards"


class NoParameters(Strict):
    """A reward without parameters."""


@dataclass(frozen=True)
class Entry:
    """A reward that an objective can name."""

    description: str
    unit: str
    #: Parameters as a model of that class, in; the reward, out.
    build: Callable[[Any], Reward]
    parameters: type[Strict] = NoParameters
    #: Whether the values lie between 0 and 1 without shaping.
    unit_interval: bool = False
    #: Shaping where the objective gives none.
    shaping: Shaping | None = None


def _property(name: str) -> Entry:
    value, unit = PROPERTIES[name]
    description = (value.__doc__ or "").strip().splitlines()[0].rstrip(".")
    return Entry(description, unit, lambda _: per_molecule(value), unit_interval=name in UNIT_INTERVAL)


BUILT_IN: dict[str, Entry] = {
    **{name: _property(name) for name in PROPERTIES},
    "similarity": Entry(
        "Tanimoto similarity to one or several reference molecules",
        "0 to 1",
        similarity,
        SimilarityParameters,
        unit_interval=True,
    ),
    "substructures": Entry(
        "1 where all required SMARTS are there and no forbidden one is, else 0",
        "0 or 1",
        substructures,
        SubstructuresParameters,
        unit_interval=True,
    ),
    "substructure_count": Entry(
        "Number of matches of a SMARTS", "count", substructure_count, SubstructureCountParameters
    ),
    "alerts": Entry(
        "Number of PAINS and BRENK structural alerts; shaped to 1 without any, else 0",
        "count",
        structural_alerts,
        AlertsParameters,
        shaping=Step(high=0.0),
    ),
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
