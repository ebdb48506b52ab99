"""Fronts of points worked out by hand."""

import math

import numpy as np
import pytest

from moldesign.rewards.fronts import (
    by_preference,
    crowding,
    hypervolume,
    hypervolume_curve,
    on_front,
    ranks,
)

# a, b and c trade one desirability for the other; d lies under b; e under d and all but a.
POINTS = np.array([[0.1, 0.9], [0.5, 0.5], [0.9, 0.1], [0.4, 0.4], [0.2, 0.05]])


def test_the_front_and_what_lies_behind_it() -> None:
    assert on_front(POINTS).tolist() == [True, True, True, False, False]
    assert ranks(POINTS).tolist() == [0, 0, 0, 1, 2]
    assert on_front([[0.5, 0.5], [0.5, 0.5], [0.5, 0.4]]).tolist() == [True, True, False]
    assert on_front(np.zeros((0, 2))).tolist() == []


def test_crowding_is_the_gap_between_the_neighbours_on_either_side() -> None:
    line = np.array([[0.0, 1.0], [0.1, 0.8], [0.6, 0.3], [1.0, 0.0]])
    # (0.6 - 0.0) / 1 + (1.0 - 0.3) / 1, and (1.0 - 0.1) / 1 + (0.8 - 0.0) / 1.
    assert crowding(line) == pytest.approx([math.inf, 1.3, 1.7, math.inf])
    assert crowding(np.full((3, 2), 0.5)).tolist() == [0, 0, 0]


def test_preference_is_by_front_and_then_by_solitude() -> None:
    line = np.array([[0.1, 0.8], [0.0, 1.0], [0.6, 0.3], [1.0, 0.0], [0.05, 0.05]])
    assert by_preference(line).tolist() == [1, 3, 2, 0, 4]


def test_hypervolume_of_two_and_three_desirabilities() -> None:
    # Steps of width 0.1, 0.4 and 0.4 with heights 0.9, 0.5 and 0.1.
    assert hypervolume(POINTS) == pytest.approx(0.1 * 0.9 + 0.4 * 0.5 + 0.4 * 0.1)
    assert hypervolume([[0.5, 0.5, 0.5], [1.0, 0.1, 0.1]]) == pytest.approx(0.125 + 0.5 * 0.1 * 0.1)
    assert hypervolume(np.zeros((0, 3))) == 0
    # Beyond five an estimate: a corner of half the edge, and the union of two that share half of it.
    assert hypervolume(np.full((2, 7), 0.5)) == pytest.approx(0.5**7, rel=0.02)
    two = np.full((2, 6), 0.8)
    two[0, 0] = two[1, 1] = 0.4
    assert hypervolume(two) == pytest.approx(2 * 0.4 * 0.8**5 - 0.4**2 * 0.8**4, rel=0.02)


def test_the_curve_grows_with_the_calls() -> None:
    order = [4, 3, 1, 0, 2]
    curve = hypervolume_curve(POINTS[order], [2, 4, 6, 8, 10], steps=5)
    assert [calls for calls, _, _ in curve] == [2, 4, 6, 8, 10]
    assert [size for _, size, _ in curve] == [1, 1, 1, 2, 3]
    # 0.16 for (0.4, 0.4), then 0.25 for (0.5, 0.5), which dominates it.
    assert [volume for _, _, volume in curve] == pytest.approx([0.01, 0.16, 0.25, 0.29, 0.33])
    assert hypervolume_curve(np.zeros((0, 2)), []) == []
