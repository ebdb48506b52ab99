"""An objective: rewards, shaped to desirabilities, weighted, combined; with honest failures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import tomli_w
from pydantic import Field, ValidationError, model_validator

from moldesign.chem.molecules import Mol
from moldesign.errors import UsageError
from moldesign.rewards import cache
from moldesign.rewards.combining import Combination
from moldesign.rewards.component import Component, Group, Node, check_combination, combined, zeroes
from moldesign.rewards.places import line_of
from moldesign.rewards.reward import Reward, Values
from moldesign.rewards.scores import Pending, Scores, smiles_of
from moldesign.rewards.strict import Strict, explain
from moldesign.settings import parse_toml


class Drawn(Strict):
    """Weights drawn anew for every batch, so that one run covers the whole front."""

    kind: Literal["drawn"] = "drawn"
    concentration: float = Field(
        1.0,
        gt=0,
        description="of the Dirichlet distribution; the larger, the nearer to the weights",
    )


class Schedule(Strict):
    """Weights that go from those of the components to others while the budget is spent."""

    kind: Literal["schedule"] = "schedule"
    final: dict[str, Annotated[float, Field(gt=0)]] = Field(
        min_length=1, description="label = weight at the end of the run; others stay as they are"
    )


Weighting = Annotated[Drawn | Schedule, Field(discriminator="kind")]


class Objective(Strict):
    """Components and how they combine: (scores combined) x (penalties) x (filters, 0 or 1)."""

    name: str = Field("objective", description="shown in tables and records")
    description: str = Field("", description="one line for people")
    combination: Combination = Field("geometric_mean", description="how the scores become one")
    weighting: Weighting | None = Field(None, description="weights that move; fixed if left out")
    spare: bool = Field(
        True, description="leave components out for a molecule whose score is known to be 0 before them"
    )
    components: Sequence[Node] = Field(min_length=1)

    @model_validator(mode="after")
    def _coherent(self) -> Objective:
        labels = list(self.labels)
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two components are called '{label}': give one a label")
        check_combination(self.combination, self.components)
        scores = [node.label for node in self.components if node.role == "score"]
        if self.weighting is not None or self.combination == "pareto":
            if not self.several:
                raise ValueError("several objectives need two or more components of the role score")
            if self.weighting is not None and self.combination in ("minimum", "pareto"):
                raise ValueError(f"{self.combination} has no weights to be drawn or scheduled")
        if isinstance(self.weighting, Schedule):
            for label in self.weighting.final:
                if label not in scores:
                    raise ValueError(f"weighting.final: no score is called '{label}'")
        return self

    @classmethod
    def of(cls, reward: Reward, label: str = "score") -> Objective:
        """The objective whose score is the value of one reward, as it is, in whatever range."""
        component = Component(reward=reward, label=label)
        return cls(name=label, combination="arithmetic_mean", components=[component])

    @property
    def leaves(self) -> tuple[Component, ...]:
        """All rewards, those within groups included, in order."""
        return tuple(leaf for node in self.components for leaf in node.leaves())

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of components and groups, a group before what is in it."""
        return tuple(node.label for node in _walk(self.components))

    @property
    def finished(self) -> bool:
        """Whether a reward wants no more calls, as an external scorer may say."""
        return any(leaf.finished for leaf in self.leaves)

    @property
    def portable(self) -> bool:
        """Whether TOML describes it wholly, with no Python function in it."""
        return all(isinstance(leaf.reward, str) for leaf in self.leaves)

    @property
    def isolated(self) -> bool:
        """Whether it has a reward that may hang or crash, or has a limit: only a process can be given up."""
        return any(leaf.isolated for leaf in self.leaves)

    @property
    def limit_s(self) -> float:
        """Seconds that one molecule may take: each component its own."""
        return sum(leaf.limit for leaf in self.leaves)

    @property
    def cost_us(self) -> float:
        """Microseconds that a molecule is expected to take."""
        return sum(leaf.entry.cost_us for leaf in self.leaves)

    @property
    def several(self) -> bool:
        """Whether it has several scores, and so a front."""
        return sum(node.role == "score" for node in self.components) > 1

    @property
    def open_ended(self) -> bool:
        """Whether the score is one raw value, which may then lie outside 0 to 1."""
        return len(self.labels) == 1 and self.components[0].shaping is None

    def evaluate(self, mols: Sequence[Mol], smiles: Sequence[str] | None = None) -> Scores:
        """Scores of n molecules.

        A molecule for which any component fails is failed: NaN, with the reason. It is never
        scored without that component and never given 0. Components that can make the score 0 are
        asked first, cheap ones before dear ones, and no component for a molecule whose score is
        known by then (unless `spare` is off).

        Args:
            smiles: the canonical isomeric SMILES of the molecules, if known: they need not be written.

        Raises:
            RewardError: a reward that is broken, not one molecule.
        """
        n = len(mols)
        values = {label: np.full(n, np.nan) for label in self.labels}
        shaped = {label: np.full(n, np.nan) for label in self.labels}
        reasons: list[str | None] = [None] * n
        zero = np.zeros(n, dtype=bool)
        wanted = np.ones(n, dtype=bool)
        seconds: dict[str, float] = {}
        asked: dict[str, int] = {}
        for node in sorted(self.components, key=self._order):
            for leaf in sorted(node.leaves(), key=lambda leaf: leaf.entry.cost_us):
                rows = np.flatnonzero(wanted).tolist()
                started = time.perf_counter()
                values[leaf.label][rows], why, asked[leaf.label] = _raw(
                    leaf, [mols[i] for i in rows], None if smiles is None else [smiles[i] for i in rows]
                )
                seconds[leaf.label] = time.perf_counter() - started
                shaped[leaf.label] = leaf.shape(values[leaf.label])
                failures = {rows[i]: reason for i, reason in why.items()}
                if not self.open_ended:
                    # A product of values beyond 0 to 1 would mean nothing.
                    failures |= _outside(values[leaf.label], shaped[leaf.label])
                for i, reason in sorted(failures.items()):
                    if reasons[i] is None:
                        reasons[i] = f"{leaf.label}: {reason}"
                    wanted[i] &= not self.spare
            for group in reversed([inner for inner in _walk([node]) if isinstance(inner, Group)]):
                values[group.label] = combined(group.combination, group.components, shaped)
                shaped[group.label] = group.shape(values[group.label])
            zero |= zeroes(self.combination, node, shaped[node.label])
            if self.spare:
                wanted &= ~zero
        score = self._score(shaped, zero, reasons)
        return Scores(score, values, shaped, reasons, seconds, asked)

    def submit(self, mols: Sequence[Mol], smiles: Sequence[str]) -> Pending:
        """As `evaluate`, which waits until the result is asked for."""
        return _Later(self, mols, smiles)

    def _order(self, node: Component | Group) -> tuple[bool, float, bool]:
        """Those that can make the score 0 first, then the cheap before the dear, filters among equals."""
        deciding = bool(zeroes(self.combination, node, np.zeros(1))[0])
        cost = sum(leaf.entry.cost_us for leaf in node.leaves())
        return not deciding, cost, node.role == "score"

    def _score(self, shaped: dict[str, Values], zero: Values, reasons: Sequence[str | None]) -> Values:
        if self.open_ended:
            score = shaped[self.components[0].label].copy()
        else:
            score = combined(self.combination, self.components, shaped)
        # Also where a component was spared, and is unknown.
        score[zero] = 0.0
        score[[reason is not None for reason in reasons]] = np.nan
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
        return cls.from_table(parse_toml(text, source), text, source)

    @classmethod
    def from_table(cls, table: Mapping[str, Any], text: str, source: str) -> Objective:
        """The objective that a table of a TOML text describes; errors as `from_toml`."""
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            line = line_of(text, error)
            where = f"{source}, line {line}" if line else source
            raise UsageError(f"{where}: {explain(error)}") from None
        except RecursionError:
            raise UsageError(f"{source}: groups nested too deep") from None


@dataclass(frozen=True)
class _Later:
    objective: Objective
    mols: Sequence[Mol]
    smiles: Sequence[str]

    def result(self) -> Scores:
        return self.objective.evaluate(self.mols, self.smiles)


def _walk(nodes: Sequence[Component | Group]) -> Iterator[Component | Group]:
    for node in nodes:
        yield node
        if isinstance(node, Group):
            yield from _walk(node.components)


def _raw(
    leaf: Component, mols: Sequence[Mol], smiles: Sequence[str] | None
) -> tuple[Values, dict[int, str], int]:
    """As Component.raw, from the cache where it is kept there; and how many molecules had to be asked for."""
    if not leaf.cache_key or not mols:
        values, why = leaf.raw(mols)
        return values, why, len(mols)
    if smiles is None:
        smiles = smiles_of(mols)
    known = cache.get(leaf.cache_key, smiles)
    values = np.array([known.get(one, np.nan) for one in smiles])
    missing = [i for i, one in enumerate(smiles) if one not in known]
    values[missing], why = leaf.raw([mols[i] for i in missing])
    cache.put(leaf.cache_key, {smiles[i]: float(values[i]) for i in missing})
    return values, {missing[i]: reason for i, reason in why.items()}, len(missing)


def _outside(raw: Values, shaped: Values) -> dict[int, str]:
    """Why, by index, where a desirability is none; it becomes NaN."""
    why = {}
    for i in np.flatnonzero((shaped < 0) | (shaped > 1)).tolist():
        why[i] = f"value {raw[i]:.6g} outside 0 to 1 needs a shaping"
        shaped[i] = np.nan
    return why
