"""What the catalogue knows of a reward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from moldesign.rewards.reward import Reward
from moldesign.rewards.shaping import Shaping
from moldesign.rewards.strict import Strict

#: Which raw values a chemist usually wants: large ones, small ones, or some between that the shaping names.
Direction = Literal["larger", "smaller", "between"]


class NoParameters(Strict):
    """A reward without parameters."""


@dataclass(frozen=True)
class Entry:
    """A reward that an objective can name."""

    #: One line, without a full stop.
    description: str
    unit: str
    #: Parameters as a model of that class, in; the reward, out.
    build: Callable[[Any], Reward]
    parameters: type[Strict] = NoParameters
    #: Heading under which it is listed.
    group: str = "plugins"
    direction: Direction = "between"
    #: Parameters of an example that works.
    example: Mapping[str, Any] = field(default_factory=dict)
    #: Whether the values lie between 0 and 1 without shaping.
    unit_interval: bool = False
    #: Shaping where the objective gives none.
    shaping: Shaping | None = None
    #: Microseconds a molecule, as `make bench-rewards` measured: cheap components run before dear ones.
    cost_us: float = 10_000.0
    #: Raised when the values change: a cache of scores then starts anew.
    version: int = 1
    #: Seconds that one molecule may take before the process that computes it is killed.
    limit_s: float = 60.0
    #: Whether it runs in a worker process even where one process is asked for: it may hang or crash.
    isolated: bool = False
    #: Which code computes it, where that is not of this package: what is kept of its values belongs to it.
    code: str = ""
    #: Whether its values are kept in the cache of scores unless the objective says otherwise.
    cached: bool = False
