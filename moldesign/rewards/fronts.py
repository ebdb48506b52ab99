"""The Pareto front: molecules of which no other is better in one desirability and as good in all."""

from __future__ import annotations

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from moldesign.rewards.reward import Values

#: Exact hypervolumes take seconds each beyond so many desirabilities; more are estimated.
EXACT = 5
_SAMPLES = 2**14


def on_front(points: ArrayLike) -> NDArray[np.bool_]:
    """Which of the n points (n, k), larger is better, are on the front; equal ones all are."""
    array = np.asarray(points, dtype=np.float64)
    if not len(array):
        return np.zeros(0, dtype=bool)
    return np.asarray(moocore.is_nondominated(array, maximise=True, keep_weakly=True), dtype=bool)


def ranks(points: ArrayLike) -> NDArray[np.int64]:
    """The front (n,) on which each of the points (n, k) lies: 0, or 1 more than the best that dominates it.

    Non-dominated sorting (Deb et al., IEEE Trans. Evol. Comput. 6, 182, 2002).
    """
    array = np.asarray(points, dtype=np.float64)
    if not len(array):
        return np.zeros(0, dtype=np.int64)
    return np.asarray(moocore.pareto_rank(array, maximise=True), dtype=np.int64)


def crowding(points: ArrayLike) -> Values:
    """How alone each of the points (n, k) of one front is: infinite at the ends (Deb et al. 2002, III.B).

    The sum over desirabilities of the gap between the neighbours on either side, in units of the range.
    """
    array = np.asarray(points, dtype=np.float64)
    n, k = array.shape
    distance = np.zeros(n)
    for j in range(k):
        order = np.argsort(array[:, j], kind="stable")
        column = array[order, j]
        span = column[-1] - column[0] if n else 0.0
        if span == 0:
            continue
        distance[order[[0, -1]]] = np.inf
        distance[order[1:-1]] += (column[2:] - column[:-2]) / span
    return distance


def by_preference(points: ArrayLike) -> NDArray[np.int64]:
    """The order (n,), best first, of the points (n, k): by front, then the more alone before the crowded."""
    array = np.asarray(points, dtype=np.float64)
    front = ranks(array)
    alone = np.zeros(len(array))
    for rank in np.unique(front):
        rows = front == rank
        alone[rows] = crowding(array[rows])
    return np.lexsort((-alone, front))


def hypervolume(points: ArrayLike) -> float:
    """The share of the unit cube that the points (n, k) dominate, 0 to 1 (Zitzler and Thiele 1999).

    With more than EXACT desirabilities an estimate, the same for the same points (Deng and Zhang, IEEE Trans.
    Evol. Comput. 23, 913, 2019).
    """
    array = np.asarray(points, dtype=np.float64)
    if not len(array):
        return 0.0
    zero = np.zeros(array.shape[1])
    if array.shape[1] > EXACT:
        approximate = moocore.hv_approx(array, ref=zero, maximise=True, nsamples=_SAMPLES, method="DZ2019-HW")
        return float(approximate)
    return float(moocore.hypervolume(array, ref=zero, maximise=True))


def hypervolume_curve(
    points: ArrayLike, calls: ArrayLike, *, steps: int = 100
) -> list[tuple[int, int, float]]:
    """(calls, size of the front, hypervolume) after each of up to `steps` equal parts of the calls.

    Args:
        points: (n, k) in the order of the calls, larger is better, 0 to 1.
        calls: (n,) rising.
    """
    array, at = np.asarray(points, dtype=np.float64), np.asarray(calls, dtype=np.int64)
    if not len(array):
        return []
    last = int(at[-1])
    curve = []
    front = array[:0]
    done = 0
    for end in np.unique(np.linspace(0, last, steps + 1).astype(int)[1:]):
        until = int(np.searchsorted(at, end, side="right"))
        candidates = np.concatenate([front, array[done:until]])
        front, done = candidates[on_front(candidates)], until
        curve.append((int(end), len(front), hypervolume(front)))
    return curve
