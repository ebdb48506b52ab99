"""An objective: rewards, shaped to desirabilities, weighted, combined; with honest failures."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import tomli_w
from pydantic import Field, PrivateAttr, ValidationError, field_serializer, model_validator

from moldesign.chem.molecules import Mol, to_smiles
from moldesign.errors import MoldesignError, RewardError, UsageError, nearest
from moldesign.rewards import catalogue
from moldesign.rewards.combining import MEANS, Combination
from moldesign.rewards.reward import Reward, Values, as_values, from_smiles_function
from moldesign.rewards.shaping import Shaping
from moldesign.rewards.strict import Strict, explain, fault

Role = Literal["score", "filter", "penalty"]

#: How a component whose reward is Python code, not a name, is shown and written.
PYTHON = "python"


class Component(Strict):
    """One reward in an objective.

    Roles: a `score` enters the weighted mean; a `penalty` multiplies the mean by its shaped value;
    a `filter` multiplies it by 1 where its shaped value is at least 1/2, else by 0.
    """

    reward: str | Callable[[Sequence[Mol]], Values] = Field(description="name in the catalogue")
    label: str = Field("", description="column name; the reward's name if left out")
    role: Role = Field("score", description="score, filter or penalty")
    weight: float = Field(1.0, gt=0, description="in the mean; only for the role score")
    parameters: dict[str, Any] = Field(default_factory=dict, description="of the reward")
    shaping: Shaping | None = Field(None, description="from the raw value to 0..1")

    _reward: Reward = PrivateAttr()

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "reward" not in data:
            return data
        data = dict(data)
        name = data["reward"]
        if isinstance(name, str):
            data.setdefault("label", name)
            if data.get("shaping") is None and name != PYTHON:
                try:
                    data["shaping"] = catalogue.find(name).shaping
                except RewardError:
                    raise
                except MoldesignError as error:
                    raise ValueError(str(error)) from None
        else:
            data.setdefault("label", getattr(name, "__name__", "").strip("<>") or PYTHON)
        return data

    @model_validator(mode="after")
    def _build(self) -> Component:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", self.label):
            raise ValueError(f"label '{self.label}' must be a letter, then letters, digits and underscores")
        if self.role != "score" and "weight" in self.model_fields_set and self.weight != 1.0:
            raise ValueError(f"a {self.role} has no weight")
        if callable(self.reward):
            if self.parameters:
                raise ValueError("parameters belong to rewards of the catalogue")
            self._reward = self.reward
            return self
        if self.reward == PYTHON:
            raise ValueError("a Python function or a command scored here: give it again (--oracle-cmd)")
        entry = catalogue.find(self.reward)
        try:
            parameters = entry.parameters.model_validate(self.parameters)
        except ValidationError as error:
            place, what = fault(error)
            raise ValueError(f"parameters{'.' if place else ''}{place}: {what}") from None
        if self.shaping is None and not entry.unit_interval:
            raise ValueError(f"{self.reward} ({entry.unit}) does not lie between 0 and 1: give it a shaping")
        self._reward = entry.build(parameters)
        return self

    @field_serializer("reward")
    def _name(self, reward: Any) -> str:
        return reward if isinstance(reward, str) else PYTHON

    def raw(self, mols: Sequence[Mol]) -> tuple[Values, dict[int, str]]:
        """Raw values (n,), NaN where failed, and why by index."""
        if not mols:
            return np.zeros(0), {}
        why: dict[int, str] = {}
        try:
            values = self._ask(mols)
        except MoldesignError:
            raise
        except Exception as error:
            # Only the culprits fail: the others are valued without them.
            values = np.full(len(mols), np.nan)
            if len(mols) == 1:
                return values, {0: _message(error)}
            for i, mol in enumerate(mols):
                try:
                    values[i] = self._ask([mol])[0]
                except MoldesignError:
                    raise
                except Exception as alone:
                    why[i] = _message(alone)
        for i in np.flatnonzero(~np.isfinite(values)).tolist():
            why.setdefault(i, "gave no value" if np.isnan(values[i]) else "gave an infinite value")
            values[i] = np.nan
        return values, why

    def _ask(self, mols: Sequence[Mol]) -> Values:
        try:
            return as_values(self._reward(mols), len(mols))
        except RewardError as error:
            raise RewardError(f"reward '{self.label}': {error}") from error

    def shape(self, raw: Values) -> Values:
        """Desirabilities (n,); NaN stays NaN."""
        if self.shaping is None:
            return raw.copy()
        shaped = np.full(raw.shape, np.nan)
        known = ~np.isnan(raw)
        shaped[known] = self.shaping(raw[known])
        return shaped


def _message(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__


@dataclass(frozen=True)
class Scores:
    """What an objective says of n molecules. NaN: failed, and `reasons` says why."""

    score: Values
    raw: dict[str, Values]
    shaped: dict[str, Values]
    reasons: list[str | None]


class Evaluator(Protocol):
    """What an oracle needs of an objective; a pool of workers has it too."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def finished(self) -> bool: ...

    def evaluate(self, mols: Sequence[Mol]) -> Scores: ...


class Objective(Strict):
    """Components and how they combine: (mean of scores) x (penalties) x (filters, 0 or 1)."""

    name: str = Field("objective", description="shown in tables and records")
    description: str = Field("", description="one line for people")
    combination: Combination = Field("geometric_mean", description="geometric_mean or arithmetic_mean")
    components: list[Component] = Field(min_length=1)

    @model_validator(mode="after")
    def _coherent(self) -> Objective:
        labels = [component.label for component in self.components]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two components are called '{label}': give one a label")
        if not any(component.role == "score" for component in self.components):
            raise ValueError("at least one component needs the role score")
        return self

    @classmethod
    def of(cls, reward: Reward, label: str = "score") -> Objective:
        """The objective whose score is the value of one reward, as it is, in whatever range."""
        component = Component(reward=reward, label=label)
        return cls(name=label, combination="arithmetic_mean", components=[component])

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the components, in order."""
        return tuple(component.label for component in self.components)

    @property
    def finished(self) -> bool:
        """Whether a reward wants no more calls, as an external scorer may say."""
        return any(getattr(component._reward, "finished", False) for component in self.components)

    @property
    def portable(self) -> bool:
        """Whether TOML describes it wholly, with no Python function in it."""
        return all(isinstance(component.reward, str) for component in self.components)

    @property
    def _open_ended(self) -> bool:
        """Whether the score is one raw value, which may then lie outside 0 to 1."""
        return len(self.components) == 1 and self.components[0].shaping is None

    def evaluate(self, mols: Sequence[Mol]) -> Scores:
        """Scores of n molecules.

        A molecule for which any component fails is failed: NaN, with the reason. It is never
        scored without that component and never given 0.

        Raises:
            RewardError: a reward that is broken, not one molecule.
        """
        raw: dict[str, Values] = {}
        shaped: dict[str, Values] = {}
        reasons: list[str | None] = [None] * len(mols)
        for component in self.components:
            label = component.label
            raw[label], why = component.raw(mols)
            shaped[label] = component.shape(raw[label])
            if not self._open_ended:
                # A product of values beyond 0 to 1 would mean nothing.
                for i in np.flatnonzero((shaped[label] < 0) | (shaped[label] > 1)).tolist():
                    why[i] = f"value {raw[label][i]:.6g} outside 0 to 1 needs a shaping"
                    shaped[label][i] = np.nan
            for i in sorted(why):
                if reasons[i] is None:
                    reasons[i] = f"{label}: {why[i]}"
        return Scores(self._combine(shaped), raw, shaped, reasons)

    def _combine(self, shaped: dict[str, Values]) -> Values:
        scores = [component for component in self.components if component.role == "score"]
        if self._open_ended:
            return shaped[scores[0].label].copy()
        matrix = np.stack([shaped[component.label] for component in scores], axis=1)
        weights = np.array([component.weight for component in scores])
        score = MEANS[self.combination](matrix, weights)
        for component in self.components:
            value = shaped[component.label]
            if component.role == "penalty":
                score = score * value
            elif component.role == "filter":
                score = score * np.where(np.isnan(value), np.nan, value >= 0.5)
        return score

    def spec(self) -> dict[str, Any]:
        """The objective as plain data, without what was left at None; Python functions as 'python'."""
        return self.model_dump(mode="json", exclude_none=True)

    def to_toml(self) -> str:
        """The objective as a TOML file.

        Raises:
            UsageError: a component is a Python function.
        """
        if not self.portable:
            raise UsageError("an objective with a Python function cannot be written as TOML")
        return tomli_w.dumps(self.spec())

    @classmethod
    def from_toml(cls, text: str, source: str = "objective") -> Objective:
        """The objective that a TOML text describes.

        Raises:
            UsageError: naming source, line where it is known, place and what to do.
        """
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{source}: not valid TOML: {error}") from None
        return cls.from_table(data, text, source)

    @classmethod
    def from_table(cls, table: Mapping[str, Any], text: str, source: str) -> Objective:
        """The objective that a table of a TOML text describes; errors as `from_toml`."""
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            line = _line(text, error)
            where = f"{source}, line {line}" if line else source
            raise UsageError(f"{where}: {explain(error)}") from None


def _line(text: str, error: ValidationError) -> int | None:
    """The line that the first fault is on, as near as the text of a TOML file tells; None if unknown."""
    location = error.errors(include_url=False)[0]["loc"]
    message = fault(error)[1]
    lines = text.splitlines()
    start = 0
    if len(location) > 1 and location[0] == "components" and isinstance(location[1], int):
        heads = [
            i
            for i, line in enumerate(lines)
            if re.match(r"\s*\[\[\s*(objective\s*\.\s*)?components\s*\]\]", line)
        ]
        if location[1] < len(heads):
            start = heads[location[1]]
    quoted = re.findall(r"'([^']+)'", message)
    keys = [str(step) for step in reversed(location) if isinstance(step, str)]
    parameter = re.match(r"parameters\.([A-Za-z_]+)", message)
    for key in [*quoted[:1], *([parameter[1]] if parameter else []), *keys]:
        pattern = re.compile(rf"(^|[\s{{,.\[\"'])({re.escape(key)})([\s\"']*=|[\"'\]])")
        for i in range(start, len(lines)):
            if i > start and re.match(r"\s*\[\[", lines[i]) and start:
                break
            if pattern.search(lines[i].split("#")[0]):
                return i + 1
    return start + 1 if start else None


def load_objective(objective: str | Path | Objective | Callable[[list[str]], Sequence[Any]]) -> Objective:
    """The objective meant by a ready-made name, a TOML file, an Objective, or a function of SMILES.

    A function takes a list of canonical SMILES and gives a number each; None or NaN is a failure.

    Raises:
        UsageError: no such name or file, or a file that is no objective.
    """
    from moldesign.rewards.objectives import READY_MADE  # it is made of what is defined above

    if isinstance(objective, Objective):
        return objective
    if isinstance(objective, str) and objective in READY_MADE:
        return READY_MADE[objective]()
    if isinstance(objective, str | Path):
        path = Path(objective)
        if path.suffix == ".toml" or path.is_file():
            return _read(path)
        known = nearest(str(objective), READY_MADE) or f" (known: {', '.join(READY_MADE)}; or a .toml file)"
        raise UsageError(f"unknown objective '{objective}'{known}")
    if callable(objective):
        name = getattr(objective, "__name__", "").strip("<>")
        label = name if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) and name != "lambda" else "score"
        return Objective.of(from_smiles_function(objective), label)
    raise UsageError(f"an objective is a name, a TOML file, an Objective or a function, not {objective!r}")


def _read(path: Path) -> Objective:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"objective file not found: {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"objective file cannot be read: {path}: {error}") from None
    loaded = Objective.from_toml(text, str(path))
    return loaded if "name" in loaded.model_fields_set else loaded.model_copy(update={"name": path.stem})


def smiles_of(mols: Sequence[Mol]) -> list[str]:
    """Canonical isomeric SMILES of molecules: what travels to other processes."""
    return [to_smiles(mol) for mol in mols]
