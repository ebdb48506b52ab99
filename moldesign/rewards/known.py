"""What an objective said of molecules that the user knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from moldesign.rewards.combining import Combination
from moldesign.rewards.component import PYTHON, Component, Group
from moldesign.rewards.objective import Objective
from moldesign.rewards.reward import Values

Node = Component | Group


@dataclass(frozen=True)
class Known:
    """What an objective said of n molecules, all valid. Arrays (n,); NaN where it failed."""

    smiles: Sequence[str]
    score: Values
    #: By label of component or group.
    raw: dict[str, Values]
    shaped: dict[str, Values]
    #: Why a molecule failed; "" where it did not.
    reasons: Sequence[str]
    #: What the molecules are called, such as the lines of their file.
    names: Sequence[str]

    @classmethod
    def of(cls, objective: Objective, table: pd.DataFrame) -> Known:
        """The valid molecules of a table as `moldesign.rewards.scoring.score` gives it for the objective.

        They are called by the column `line` if there is one, else by their number from 1.
        """
        valid = table[table["status"] != "invalid"]
        # The names of the columns give way to others that are there; their places do not.
        first = list(table.columns).index("score") + 1
        columns = valid.iloc[:, first : first + 2 * len(objective.labels)].to_numpy(dtype=np.float64)
        return cls(
            smiles=[str(smiles) for smiles in valid["smiles"]],
            score=valid["score"].to_numpy(dtype=np.float64),
            raw={label: columns[:, 2 * i] for i, label in enumerate(objective.labels)},
            shaped={label: columns[:, 2 * i + 1] for i, label in enumerate(objective.labels)},
            reasons=[str(reason) for reason in valid["reason"]],
            names=[str(name) for name in (valid["line"] if "line" in valid else valid.index + 1)],
        )

    def __len__(self) -> int:
        return len(self.smiles)


@dataclass(frozen=True)
class Place:
    """A component or group, and where it stands."""

    node: Node
    group: str
    combination: Combination

    @property
    def label(self) -> str:
        return self.node.label

    @property
    def reward(self) -> str:
        if isinstance(self.node, Group):
            return self.node.combination
        return self.node.reward if isinstance(self.node.reward, str) else PYTHON

    @property
    def unit(self) -> str:
        return self.node.entry.unit if isinstance(self.node, Component) else "0 to 1"

    @property
    def unit_interval(self) -> bool:
        """Whether raw values are known to lie between 0 and 1: of a plain function that is only hoped."""
        if not isinstance(self.node, Component):
            return True
        return self.node.entry.unit_interval and self.node.entry.unit != ""


def places(objective: Objective) -> list[Place]:
    """Every component and group, a group before what is in it."""
    return list(_places(objective.components, objective.combination, ""))


def _places(nodes: Sequence[Node], combination: Combination, group: str) -> Iterator[Place]:
    for node in nodes:
        yield Place(node, group, combination)
        if isinstance(node, Group):
            yield from _places(node.components, node.combination, node.label)
