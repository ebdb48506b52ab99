"""A component of an objective: one reward, shaped; or a group of components, combined."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    ValidationError,
    field_serializer,
    model_validator,
)

from moldesign.chem.molecules import Mol
from moldesign.errors import DataError, MoldesignError, RewardError
from moldesign.files import sha256
from moldesign.rewards import catalogue
from moldesign.rewards.cache import component_key
from moldesign.rewards.combining import COMBINE, ZEROED, Combination
from moldesign.rewards.entry import Entry
from moldesign.rewards.reward import Reward, SomeFailed, Values, as_values, reason_of
from moldesign.rewards.shaping import Shaping
from moldesign.rewards.strict import Strict, fault

Role = Literal["score", "filter", "penalty"]

#: How a component whose reward is Python code, not a name, is shown and written.
PYTHON = "python"

#: What a Python function in the user's own process is taken to cost, and may take.
_UNKNOWN = Entry("", "", lambda _: None, limit_s=float("inf"))  # type: ignore[arg-type, return-value]


class _Node(Strict):
    label: str = Field("", description="column name")
    role: Role = Field("score", description="score, filter or penalty")
    weight: float = Field(1.0, gt=0, description="in the combination; only for the role score")
    shaping: Shaping | None = Field(None, description="from the raw value to 0..1")

    @model_validator(mode="after")
    def _named(self) -> _Node:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", self.label):
            raise ValueError(f"label '{self.label}' must be a letter, then letters, digits and underscores")
        if self.role != "score" and "weight" in self.model_fields_set and self.weight != 1.0:
            raise ValueError(f"a {self.role} has no weight")
        return self

    def shape(self, raw: Values) -> Values:
        """Desirabilities (n,); NaN stays NaN."""
        if self.shaping is None:
            return raw.copy()
        shaped = np.full(raw.shape, np.nan)
        known = ~np.isnan(raw)
        shaped[known] = self.shaping(raw[known])
        return shaped


class Component(_Node):
    """One reward in an objective.

    Roles: a `score` enters the combination; a `penalty` multiplies it by its shaped value; a `filter`
    multiplies it by 1 where its shaped value is at least 1/2, else by 0.
    """

    reward: str | Callable[[Sequence[Mol]], Values] = Field(description="name in the catalogue")
    parameters: dict[str, Any] = Field(default_factory=dict, description="of the reward")
    limit_s: float | None = Field(
        None, gt=0, description="seconds that one molecule may take; the reward's own limit if left out"
    )
    cache: bool | None = Field(
        None, description="keep raw values for later runs; if left out, as the reward says"
    )

    _reward: Reward = PrivateAttr()
    _entry: Entry = PrivateAttr(default=_UNKNOWN)
    _key: str = PrivateAttr(default="")

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "reward" not in data:
            return data
        data = dict(data)
        name = data["reward"]
        if isinstance(name, str):
            data.setdefault("label", catalogue.label_of(name))
            if data.get("shaping") is None and name != PYTHON:
                data["shaping"] = _find(name).shaping
        else:
            data.setdefault("label", getattr(name, "__name__", "").strip("<>") or PYTHON)
        return data

    @model_validator(mode="after")
    def _build(self) -> Component:
        if callable(self.reward):
            if self.parameters:
                raise ValueError("parameters belong to rewards of the catalogue")
            self._reward = self.reward
            return self
        if self.reward == PYTHON:
            raise ValueError("a Python function or a command scored here: give it again (--oracle-cmd)")
        entry = _find(self.reward)
        try:
            parameters = entry.parameters.model_validate(self.parameters)
        except ValidationError as error:
            place, what = fault(error)
            raise ValueError(f"parameters{'.' if place else ''}{place}: {what}") from None
        if self.shaping is None and not entry.unit_interval:
            raise ValueError(f"{self.reward} ({entry.unit}) does not lie between 0 and 1: give it a shaping")
        try:
            # What a plugin prints must not get among results.
            with contextlib.redirect_stdout(sys.stderr):
                self._reward = entry.build(parameters)
        except (RewardError, DataError):
            raise
        except (MoldesignError, ValueError) as error:
            raise ValueError(" ".join(str(error).split())) from None
        except (Exception, SystemExit) as error:
            raise RewardError(f"reward '{self.label}' cannot be built: {reason_of(error)}") from error
        self._entry = entry
        if entry.cached if self.cache is None else self.cache:
            self._key = component_key(
                self.reward,
                entry.version,
                parameters.model_dump(mode="json"),
                fingerprint=entry.code + getattr(self._reward, "fingerprint", "") + _files(self.parameters),
            )
        return self

    @field_serializer("reward")
    def _name(self, reward: Any) -> str:
        return reward if isinstance(reward, str) else PYTHON

    @property
    def entry(self) -> Entry:
        """What the catalogue knows of the reward."""
        return self._entry

    @property
    def cache_key(self) -> str:
        """Under which raw values are kept; empty where they are not."""
        return self._key

    @property
    def limit(self) -> float:
        """Seconds that one molecule may take."""
        if self.limit_s is not None:
            return self.limit_s
        # A program or an endpoint may have been given longer than such rewards usually take.
        return max(self._entry.limit_s, float(self.parameters.get("timeout_s", 0.0)))

    @property
    def isolated(self) -> bool:
        """Whether it may hang or crash: only another process can be given up."""
        return self._entry.isolated or self.limit_s is not None

    @property
    def finished(self) -> bool:
        """Whether the reward wants no more calls, as an external scorer may say."""
        return bool(getattr(self._reward, "finished", False))

    def leaves(self) -> Iterator[Component]:
        """This component."""
        yield self

    def raw(self, mols: Sequence[Mol]) -> tuple[Values, dict[int, str]]:
        """Raw values (n,), NaN where failed, and why by index."""
        if not mols:
            return np.zeros(0), {}
        why: dict[int, str] = {}
        try:
            values = self._ask(mols)
        except MoldesignError:
            raise
        except SomeFailed as failed:
            values, why = failed.values.copy(), dict(failed.why)
        except (Exception, SystemExit) as error:
            # Only the culprits fail: the others are valued without them.
            values = np.full(len(mols), np.nan)
            if len(mols) == 1:
                return values, {0: reason_of(error)}
            for i, mol in enumerate(mols):
                try:
                    values[i] = self._ask([mol])[0]
                except MoldesignError:
                    raise
                except (Exception, SystemExit) as alone:
                    why[i] = reason_of(alone)
        for i in np.flatnonzero(~np.isfinite(values)).tolist():
            why.setdefault(i, "gave no value" if np.isnan(values[i]) else "gave an infinite value")
            values[i] = np.nan
        return values, why

    def _ask(self, mols: Sequence[Mol]) -> Values:
        try:
            if self._entry.code or callable(self.reward):
                # Of the user's own code: the other components see molecules that it has not changed.
                mols = [Mol(mol) for mol in mols]
            return as_values(self._reward(mols), len(mols))
        except RewardError as error:
            raise RewardError(f"reward '{self.label}': {error}") from error


def _find(name: str) -> Entry:
    """As catalogue.find; what is wrong with the name is a fault of the objective, which says where."""
    try:
        return catalogue.find(name)
    except RewardError:
        raise
    except MoldesignError as error:
        raise ValueError(str(error)) from None


class Group(_Node):
    """Components combined to one value, which then is a component itself."""

    combination: Combination = Field("geometric_mean", description="how its components become one value")
    components: Sequence[Node] = Field(min_length=1)

    @model_validator(mode="after")
    def _combinable(self) -> Group:
        check_combination(self.combination, self.components)
        if self.combination == "pareto":
            raise ValueError(
                "pareto orders whole molecules: it is a combination of the objective, not of a group"
            )
        return self

    def leaves(self) -> Iterator[Component]:
        """Its rewards, and those of groups within it, in order."""
        for node in self.components:
            yield from node.leaves()


def _kind(data: Any) -> str:
    return (
        "group"
        if isinstance(data, Group) or (isinstance(data, dict) and "components" in data)
        else "component"
    )


Node = Annotated[
    Annotated[Component, Tag("component")] | Annotated[Group, Tag("group")], Discriminator(_kind)
]
Group.model_rebuild()


def check_combination(combination: Combination, nodes: Sequence[Component | Group]) -> None:
    """Pass where the combination can combine the nodes.

    Raises:
        ValueError: no node of the role score, or weights where none count.
    """
    scores = [node for node in nodes if node.role == "score"]
    if not scores:
        raise ValueError("at least one component needs the role score")
    if combination == "minimum" and any(node.weight != 1.0 for node in scores):
        raise ValueError("a minimum has no weights")


def combined(
    combination: Combination,
    nodes: Sequence[Component | Group],
    shaped: dict[str, Values],
    weights: Values | None = None,
) -> Values:
    """(scores combined) x penalties x filters (n,); NaN where any of them is.

    Args:
        shaped: (n,) of every node, by label.
        weights: (k,) of the k nodes of role score, in place of their own.
    """
    scores = [node for node in nodes if node.role == "score"]
    matrix = np.stack([shaped[node.label] for node in scores], axis=1)
    if weights is None:
        weights = np.array([node.weight for node in scores])
    return np.asarray(COMBINE[combination](matrix, weights) * factor(nodes, shaped), dtype=np.float64)


def factor(nodes: Sequence[Component | Group], shaped: Mapping[str, Values]) -> Values | float:
    """The product of penalties and filters (n,), by which the combined scores are multiplied; or 1.0."""
    product: Values | float = 1.0
    for node in nodes:
        value = shaped[node.label]
        if node.role == "penalty":
            product = product * value
        elif node.role == "filter":
            product = product * np.where(np.isnan(value), np.nan, value >= 0.5)
    return product


def front_points(nodes: Sequence[Component | Group], shaped: Mapping[str, Values]) -> Values:
    """(n, k) of the k nodes of role score, each times the penalties and filters: what fronts are of."""
    scores = np.stack([shaped[node.label] for node in nodes if node.role == "score"], axis=1)
    return np.asarray(scores * np.reshape(factor(nodes, shaped), (-1, 1)), dtype=np.float64)


def zeroes(combination: Combination, node: Component | Group, shaped: Values) -> Values:
    """Which molecules (n,) have a score of 0 for this node's desirability alone, whatever the others are."""
    if node.role == "filter":
        return np.asarray(shaped < 0.5)
    if node.role == "penalty" or combination in ZEROED:
        return np.asarray(shaped == 0.0)
    return np.zeros(shaped.shape, dtype=bool)


def _files(value: Any) -> str:
    """The SHA-256 of every file that parameters name: their values change with it."""
    if isinstance(value, dict):
        return "".join(_files(one) for one in value.values())
    if isinstance(value, list):
        return "".join(_files(one) for one in value)
    if isinstance(value, str) and len(value) < 4096 and Path(value).is_file():
        return sha256(Path(value))
    return ""
