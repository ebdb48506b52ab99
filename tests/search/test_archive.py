from __future__ import annotations

from collections import Counter

import numpy as np

from moldesign.search.archive import Archive


def filled(scores: list[float]) -> Archive:
    archive = Archive()
    for i, score in enumerate(scores):
        archive.add("C" * (i + 3), score)
    return archive


def test_ranks_are_those_of_the_scores() -> None:
    archive = Archive()
    assert archive.best() == -np.inf
    assert [archive.add("C" * (i + 1), score) for i, score in enumerate([0.2, 0.5, 0.2, 0.9, 0.1])] == [
        0, 0, 2, 0, 4,
    ]  # fmt: skip
    assert archive.ranked == [3, 1, 2, 0, 4]  # of equals the later first
    assert archive.best() == 0.9
    assert archive.best(3) == 0.2
    assert archive.best(6) == -np.inf
    assert len(archive) == 5
    assert "CC" in archive
    assert "CCCCCC" not in archive
    archive.add_failed("CCCCCC")
    assert "CCCCCC" in archive
    assert len(archive) == 5


def test_the_best_are_parents_most_often_by_their_ranks() -> None:
    archive = filled([i / 100 for i in range(100)])
    drawn = Counter(archive.parents(60_000, np.random.default_rng(0)))
    weights = 1 / (0.01 * 100 + np.arange(100))
    expected = 60_000 * weights / weights.sum()
    for rank in (0, 1, 5, 50):
        count = drawn[archive.smiles[archive.ranked[rank]]]
        assert abs(count - expected[rank]) < 5 * np.sqrt(expected[rank])


def test_a_state_is_gone_back_to() -> None:
    archive, other = filled([0.3, 0.1, 0.3, 0.8]), Archive()
    archive.add_failed("N")
    other.restore(archive.state())
    assert (other.smiles, other.scores, other.ranked) == (archive.smiles, archive.scores, archive.ranked)
    assert "N" in other
