"""Warnings of what in an objective would mislead a search.

They are for its author: few, each a sentence on one component, what is wrong with it and what to change. A
limit that ordinary molecules keep, such as a molecular weight of at most 500, is no mistake, and nothing is
said of it unless no molecule comes near.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moldesign.chem.smarts import misreading
from moldesign.rewards.combining import COMBINE, ZEROED, Combination
from moldesign.rewards.component import Component, Group, factor
from moldesign.rewards.fields import Smarts
from moldesign.rewards.known import Known, Node, Place, places
from moldesign.rewards.objective import Objective
from moldesign.rewards.reward import Values
from moldesign.rewards.shaping import ExponentialDecay, Gaussian, Linear, Shaping, ValueMap

Kind = Literal[
    "failing", "smarts", "direction", "unit", "zero", "saturated", "constant", "rejects_all", "rejects_none",
    "superfluous", "dominant", "without_influence", "all_zero",
]  # fmt: skip

#: A desirability this near to 0 or 1 is taken for it.
_EDGE = 0.01
#: What counts as all but a few molecules.
_NEARLY_ALL = 0.95
#: How many molecules it takes before something is said of them: that none pleases, that limits lie elsewhere,
#: that two orders are one, that all are alike. A few good molecules may well be alike.
_FEW, _SEVERAL, _ORDERED, _MANY = 3, 5, 10, 20
#: Distinct desirabilities that make an order.
_DISTINCT = 5
#: Rank correlation from which two components say the same, and from which one component is the score.
_SAME, _DECIDES = 0.95, 0.98
#: Share of the weight below which a component is not expected to be felt.
_SMALL_SHARE = 0.05
#: How many times larger the limits of a shaping are than the raw values, or the raw values than the limits,
#: where they are in different units; and where raw values may just be well within a limit.
_FAR, _FAR_WITHIN = 10.0, 30.0
#: Rewards of these groups say how much a molecule has of something, which may be what is to be avoided.
_AVOIDABLE = frozenset({"similarity", "structure"})
#: Kinds of warnings after which a component is not looked at for its part in the order.
_STATES = frozenset({"smarts", "unit", "zero", "saturated", "constant"})
#: Kinds of warnings that tell why no molecule has a score.
_CAUSES_OF_ZERO = frozenset({"smarts", "unit", "zero", "rejects_all"})
#: What marks a parameter as a SMARTS.
_SMARTS = get_args(Smarts)[1]
#: Of rewards of these groups nobody but the user knows whether large or small values are wanted.
_UNKNOWN = frozenset({"models", "external", "plugins"})


@dataclass(frozen=True)
class Warn:
    """Something in the objective that is probably not meant."""

    kind: Kind
    #: Label of the component or group; "" for the objective as a whole.
    component: str
    #: What is wrong, and what to change: a sentence or two.
    text: str


def warnings(objective: Objective, known: Known) -> list[Warn]:
    """What is probably not meant in the objective, in the order of its components.

    Most warnings rest on what the molecules show: a few molecules give fewer of them than a hundred.
    """
    found: list[Warn] = []
    lost = _lost(objective, known)
    if lost:
        text = f"{_of(lost, known)} could not be scored at all{_why(lost, known)}"
        found.append(Warn("failing", "", text))
    for leaf in objective.leaves:
        found += [*_failing(leaf, known, lost), *_misread(leaf), *_direction(leaf)]
    found += _states(objective, known, {warn.component for warn in found if warn.kind == "smarts"})
    if not objective.open_ended and not any(warn.kind in _CAUSES_OF_ZERO for warn in found):
        found += _all_zero(known)
    found += _orders(objective, known, {warn.component for warn in found if warn.kind in _STATES})
    order = ["", *objective.labels]
    return sorted(found, key=lambda warn: order.index(warn.component))


def _states(objective: Objective, known: Known, flagged: set[str]) -> list[Warn]:
    found: list[Warn] = []
    # Groups after what is in them, whose fault theirs may be.
    for place in reversed(places(objective)):
        named = {place.label, *(leaf.label for leaf in place.node.leaves())}
        if not named & (flagged | {warn.component for warn in found}):
            warn = _state(place, known, open_ended=objective.open_ended)
            found += [] if warn is None else [warn]
    return found


def _orders(objective: Objective, known: Known, flagged: set[str]) -> list[Warn]:
    found: list[Warn] = []
    parents: list[Objective | Group] = [objective]
    parents += [place.node for place in places(objective) if isinstance(place.node, Group)]
    for parent in parents:
        scores = [
            node
            for node in parent.components
            if node.role == "score" and node.label not in flagged and _varies(known.shaped[node.label])
        ]
        same = list(_superfluous(scores, known))
        found += same
        # Weights that move, and fronts, make no one order.
        fixed = isinstance(parent, Group) or parent.weighting is None
        if fixed and parent.combination != "pareto" and not same:
            found += _order(parent.combination, parent.components, scores, known)
    return found


def _all_zero(known: Known) -> list[Warn]:
    scores = known.score[np.isfinite(known.score)]
    if len(scores) < _FEW or scores.any():
        return []
    text = (
        f"all {len(scores):,} molecules score 0, though no component alone is 0 for all of them; loosen "
        "those that are 0 most often"
    )
    return [Warn("all_zero", "", text)]


def edges(shaped: Values) -> tuple[float, float]:
    """Shares of desirabilities of nearly 0 and nearly 1; NaN of none."""
    if not len(shaped):
        return np.nan, np.nan
    return float((shaped < _EDGE).mean()), float((shaped > 1 - _EDGE).mean())


def limits(shaping: Shaping) -> tuple[float, ...]:
    """The raw values between which a shaping's curve turns, ascending: its limits, in the user's terms."""
    if isinstance(shaping, Linear):
        return tuple(sorted((shaping.zero, shaping.one)))
    if isinstance(shaping, Gaussian):
        return shaping.mean - shaping.sd, shaping.mean + shaping.sd
    if isinstance(shaping, ExponentialDecay):
        return 0.0, 1.0 / shaping.k
    if isinstance(shaping, ValueMap):
        return tuple(sorted(float(key) for key in shaping.table))
    return tuple(limit for limit in (shaping.low, shaping.high) if limit is not None)


def _lost(objective: Objective, known: Known) -> list[int]:
    """Molecules of which no component could say anything, as their process hung or died."""
    labels = tuple(f"{leaf.label}: " for leaf in objective.leaves)
    return [i for i, reason in enumerate(known.reasons) if reason and not reason.startswith(labels)]


def _failing(leaf: Component, known: Known, lost: Sequence[int]) -> Iterator[Warn]:
    failed = np.isnan(known.shaped[leaf.label])
    failed[lost] = False
    rows = np.flatnonzero(failed).tolist()
    if not rows:
        return
    # Of a molecule with several failures only the first is told.
    own = [i for i in rows if known.reasons[i].startswith(f"{leaf.label}: ")]
    cure = "a molecule without a value is never scored: mend the reward"
    if np.isfinite(known.raw[leaf.label][rows]).all():
        cure = "give it a shaping that brings its raw values to 0..1"
    text = f"'{leaf.label}' fails for {_of(rows, known)}{_why(own, known, leaf.label)}; {cure}"
    yield Warn("failing", leaf.label, text)


def _why(rows: Sequence[int], known: Known, label: str = "") -> str:
    """The commonest reason of these rows, with a molecule."""
    if not rows:
        return ""
    reasons = [known.reasons[i] for i in rows]
    commonest = Counter(reasons).most_common(1)[0][0]
    example = known.smiles[rows[reasons.index(commonest)]]
    return f", as {example}: {commonest.removeprefix(f'{label}: ')}"


def _of(rows: Sequence[int], known: Known) -> str:
    if len(known) == 1:
        return "the only molecule"
    return f"{len(rows):,} of {len(known):,} molecules"


def _misread(leaf: Component) -> Iterator[Warn]:
    for smarts in _smarts(leaf):
        found = misreading(smarts)
        if found is not None:
            cure = f"write {found.instead}" if found.instead else "write it as SMARTS, not as SMILES"
            text = (
                f"'{leaf.label}' has the SMARTS {smarts}, which does not match even the molecule "
                f"that is written so: {found.why}; {cure}"
            )
            yield Warn("smarts", leaf.label, text)


def _smarts(leaf: Component) -> Iterator[str]:
    """The parameters of a component that are SMARTS."""
    for name, field in leaf.entry.parameters.model_fields.items():
        if name in leaf.parameters and _is_smarts([field.annotation, *field.metadata]):
            value = leaf.parameters[name]
            yield from [value] if isinstance(value, str) else value or []


def _is_smarts(parts: Iterable[Any]) -> bool:
    """Whether an annotation is Smarts, or a list of them."""
    return any(
        part == _SMARTS or _is_smarts([*getattr(part, "__args__", ()), *getattr(part, "__metadata__", ())])
        for part in parts
    )


def _direction(leaf: Component) -> Iterator[Warn]:
    entry = leaf.entry
    trend = "rising" if leaf.shaping is None else leaf.shaping.direction
    if entry.direction == "smaller" and trend == "rising":
        better, worth = "small", "large"
    elif entry.direction == "larger" and trend == "falling" and entry.group not in _AVOIDABLE:
        better, worth = "large", "small"
    else:
        return
    if leaf.shaping is None:
        fault = f"without a shaping {worth} values are worth more; give it one that falls"
    else:
        fault = f"its shaping ({leaf.shaping.kind}) makes {worth} values worth more; {_turned(leaf.shaping)}"
    text = (
        f"'{leaf.label}': {leaf.reward} ({entry.unit}) is better when {better}, but {fault}, unless the "
        "opposite is wanted"
    )
    yield Warn("direction", leaf.label, text)


def _turned(shaping: Shaping) -> str:
    cures = {
        "linear": "swap zero and one",
        "sigmoid": "take a reverse_sigmoid",
        "reverse_sigmoid": "take a sigmoid",
        "step": "give the other limit (low for at least, high for at most)",
        "soft_step": "give the other limit (low for at least, high for at most)",
        "gaussian": "turn flat round (above or below)",
    }
    return cures.get(shaping.kind, "take a shaping that goes the other way")


def _state(place: Place, known: Known, *, open_ended: bool) -> Warn | None:
    """The first that is so: limits elsewhere, a filter of all or none, always 0, all alike, always 1."""
    node = place.node
    valued = np.isfinite(known.shaped[node.label])
    raw, shaped = known.raw[node.label][valued], known.shaped[node.label][valued]
    n = len(shaped)
    if n < _FEW:
        return None
    at_zero, at_one = edges(shaped)
    unit = _unit(place, raw, shaped, at_zero, at_one)
    if unit is not None:
        return unit
    if node.role == "filter":
        return _filter(node, n, float((shaped < 0.5).mean()), known)
    if open_ended:
        at_zero = at_one = 0.0  # its values have no such ends
    alike = np.ptp(raw) == 0
    spread = f"its raw value is {raw[0]:.4g}" if alike else f"raw values {raw.min():.4g} to {raw.max():.4g}"
    if at_zero >= _NEARLY_ALL:
        exactly = float((shaped == 0).mean()) >= _NEARLY_ALL
        return Warn(
            "zero",
            node.label,
            f"'{node.label}' is {'0' if exactly else 'nearly 0'} for {_share(at_zero, n)} ({spread}), so "
            f"{_consequence(place, exactly=exactly)}; {_loosen(node)}",
        )
    if node.role != "score" or n < _MANY:
        return None
    if alike:
        return Warn(
            "constant",
            node.label,
            f"'{node.label}' has the raw value {raw[0]:.4g} for all {n:,} molecules, so it cannot tell them "
            "apart; leave it out, or make it a filter if it is a condition",
        )
    if at_one >= _NEARLY_ALL and not _kept(node, raw):
        return Warn(
            "saturated",
            node.label,
            f"'{node.label}' is 1 for {_share(at_one, n)} ({spread}), so it "
            f"cannot guide the search among molecules like these; {_tighten(node)}",
        )
    return None


def _kept(node: Node, raw: Values) -> bool:
    """Whether a desirability of 1 means that the molecules keep a limit which is near to them.

    That cannot be of a reward which is to be as large, or as small, as it can be.
    """
    if isinstance(node, Group) or node.shaping is None:
        return False
    wanted = {"larger": "rising", "smaller": "falling", "between": ""}[node.entry.direction]
    if node.shaping.direction == wanted or node.entry.group in _UNKNOWN:
        return False
    if wanted and node.shaping.direction != "range":
        return True
    low, high = raw.min(), raw.max()
    return any(low - (high - low) <= limit <= high + (high - low) for limit in limits(node.shaping))


def _filter(node: Node, n: int, rejected: float, known: Known) -> Warn | None:
    if rejected >= _NEARLY_ALL:
        return Warn(
            "rejects_all",
            node.label,
            f"the filter '{node.label}' rejects {_share(rejected, n)}, so their score is 0; {_loosen(node)}",
        )
    if rejected == 0 and n >= _MANY and n == len(known):
        return Warn(
            "rejects_none",
            node.label,
            f"the filter '{node.label}' rejects none of the {n:,} molecules, so it decides nothing here; "
            "if it should, check what it asks for",
        )
    return None


def _share(share: float, n: int) -> str:
    return f"all {n:,} molecules" if share == 1 else f"{share:.0%} of {n:,} molecules"


def _consequence(place: Place, *, exactly: bool) -> str:
    whole = f"the group '{place.group}'" if place.group else "the score"
    zeroed = f"{whole} is 0 too, whatever the other components say"
    if exactly and place.node.role == "penalty":
        return zeroed
    if exactly and place.combination in ZEROED:
        return f"in the {place.combination.replace('_', ' ')} {zeroed}"
    return "it cannot guide the search"


def _loosen(node: Node) -> str:
    if node.shaping is None:
        asks = isinstance(node, Group) or node.parameters
        return "loosen what it asks for" if asks else "give it a shaping that rises where its raw values lie"
    return f"move the limits of its shaping ({_numbers(limits(node.shaping))}) to where the raw values lie"


def _tighten(node: Node) -> str:
    if node.shaping is None:
        return "make it a filter if it is a condition"
    where = f"({_numbers(limits(node.shaping))}) to where the raw values differ"
    return f"move the limits of its shaping {where}, or make it a filter if it is a condition"


def _numbers(numbers: Sequence[float]) -> str:
    """A few numbers as in `1, 2 and 3`; a long list by its ends."""
    texts = [f"{number:.4g}" for number in numbers]
    if len(texts) > 4:
        return f"{texts[0]} to {texts[-1]}"
    return " and ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else texts[0]


def _unit(place: Place, raw: Values, shaped: Values, at_zero: float, at_one: float) -> Warn | None:
    """Where a shaping is flat as its limits are in another unit, or of another sign, than the raw values."""
    shaping = place.node.shaping
    if shaping is None or max(at_zero, at_one, float(np.ptp(shaped) <= 0.05)) < _NEARLY_ALL:
        return None
    turns = np.array(limits(shaping))
    large, largest_turn = float(np.abs(raw).max()), float(np.abs(turns).max())
    met = at_one >= _NEARLY_ALL
    apart = not met and (raw.max() < 0 < turns.min() or turns.max() < 0 < raw.min())
    opposite = apart and bool(-turns.max() <= raw.max() and raw.min() <= -turns.min())
    if apart and not opposite:
        return None  # a quantity that has both signs, and molecules that have the other one
    if place.unit_interval:
        # Limits well beyond 1 are known to be wrong even where they are met, and up to 1 never are.
        low = largest_turn > max(2.0, _FAR * large)
    else:
        low = not met and largest_turn > _FAR * large > 0
    low = low and len(raw) >= _SEVERAL
    middle = float(np.median(np.abs(raw)))
    high = len(raw) >= _SEVERAL and middle > (_FAR_WITHIN if met else _FAR) * largest_turn > 0
    if not (opposite or low or high):
        return None
    if opposite:
        cure = "check the sign"
    elif low and place.unit_interval and largest_turn >= _FAR:
        cure = "give fractions, not per cent"
    else:
        cure = "put them where the raw values lie, in the same unit"
    which = f"limit{'s' if len(turns) > 1 else ''} {_numbers(limits(shaping))}"
    unit = f" ({place.unit})" if place.unit else ""
    return Warn(
        "unit",
        place.label,
        f"'{place.label}' has raw values {raw.min():.4g} to {raw.max():.4g}{unit}, far from the {which} of "
        f"its shaping ({shaping.kind}), which makes all of them about {np.median(shaped):.2g}; {cure}",
    )


def _superfluous(scores: Sequence[Node], known: Known) -> Iterator[Warn]:
    """Pairs of one order, each component named in one pair at most."""
    named: set[str] = set()
    for i, first in enumerate(scores):
        for second in scores[i + 1 :]:
            x, y = known.shaped[first.label], known.shaped[second.label]
            rows = np.isfinite(x) & np.isfinite(y)
            if {first.label, second.label} & named or not (_ordered(x[rows]) and _ordered(y[rows])):
                continue
            rho = _rank_correlation(x[rows], y[rows])
            if rho > _SAME:
                named |= {first.label, second.label}
                text = (
                    f"'{first.label}' and '{second.label}' put the molecules in nearly the same order (rank "
                    f"correlation {rho:.2f}), so one of them is superfluous and their weights add up; "
                    "leave one out"
                )
                yield Warn("superfluous", second.label, text)


def _varies(shaped: Values) -> bool:
    """Whether desirabilities differ: a limit that nearly all keep rightly leaves the order to others."""
    there = shaped[np.isfinite(shaped)]
    return len(there) > 0 and max(edges(there)) < _NEARLY_ALL and bool(np.ptp(there) > 0)


def _ordered(shaped: Values) -> bool:
    return len(shaped) >= _ORDERED and len(np.unique(shaped)) >= _DISTINCT


def _rank_correlation(x: Values, y: Values) -> float:
    """Spearman's, ties at their mean rank; NaN where either is constant."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    first, second = (pd.Series(values).rank().to_numpy() for values in (x, y))
    return float(np.corrcoef(first, second)[0, 1])


def _order(
    combination: Combination, nodes: Sequence[Node], alive: Sequence[Node], known: Known
) -> Iterator[Warn]:
    """Where one of several components makes the order alone, or one has no part in it, against the weights.

    Args:
        alive: the nodes of role score that vary, and of which nothing was said yet.
    """
    scores = [node for node in nodes if node.role == "score"]
    matrix = np.stack([known.shaped[node.label] for node in scores], axis=1)
    # What filters and penalties do to the order is their task.
    product = np.broadcast_to(np.asarray(factor(nodes, known.shaped)), len(known))
    rows = np.isfinite(matrix).all(axis=1) & np.isfinite(product) & (product > 0)
    weights = np.array([node.weight for node in scores])
    matrix, share = matrix[rows], weights / weights.sum()
    if len(alive) < 2 or not _ordered(matrix.max(axis=1, initial=0)):
        return
    whole = COMBINE[combination](matrix, weights)
    for j, node in enumerate(scores):
        if node in alive and share[j] <= 0.5 and _ordered(matrix[:, j]):
            rho = _rank_correlation(matrix[:, j], whole)
            if rho > _DECIDES:
                others = ", ".join(f"'{other.label}'" for other in alive if other is not node)
                text = (
                    f"'{node.label}' alone makes the order of the molecules (rank correlation with the score "
                    f"{rho:.2f}) though it has {share[j]:.0%} of the weight; widen its shaping, or move the "
                    f"limits of {others} to where their raw values differ"
                )
                yield Warn("dominant", node.label, text)
                return
    for j, node in enumerate(scores):
        if node in alive and share[j] < _SMALL_SHARE and _ordered(matrix[:, j]):
            rest = _without(matrix, j), _without(weights, j)
            rho = _rank_correlation(COMBINE[combination](*rest), whole)
            if rho > _DECIDES:
                text = (
                    f"'{node.label}' has {share[j]:.1%} of the weight and no influence: without it the "
                    f"molecules have the same order (rank correlation {rho:.2f}); raise its weight, or leave "
                    "it out"
                )
                yield Warn("without_influence", node.label, text)


def _without(array: NDArray[np.float64], j: int) -> NDArray[np.float64]:
    return np.delete(array, j, axis=-1)
