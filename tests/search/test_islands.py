from __future__ import annotations

import numpy as np

from moldesign.search.islands import Islands

SCORES = {f"m{i}": i / 100 for i in range(60)}
FOUNDERS = [f"m{i}" for i in range(30)]


def standing_still(patience: int = 20) -> Islands:
    islands = Islands(patience)
    for smiles, score in SCORES.items():
        islands.take_in(smiles, score)
    assert not islands.due
    for i in range(patience):
        assert not islands.due
        islands.take_in(f"n{i}", 0.5)  # as good as the tenth best, and no better
    return islands


def test_what_stands_still_begins_anew_and_comes_back() -> None:
    generator = np.random.default_rng(0)
    islands = standing_still()
    assert islands.due
    assert "m59" in islands
    islands.move_on(FOUNDERS, SCORES, generator)
    assert not islands.due
    assert islands.members is not None
    assert len(islands.members) == 15
    assert islands.members < {*FOUNDERS}
    # What is worse than the best elsewhere is a gain here.
    founders = sorted((SCORES[smiles] for smiles in islands.members), reverse=True)
    for i in range(19):
        islands.take_in(f"o{i}", 0.0)
    islands.take_in("o19", founders[9] + 0.001)
    assert not islands.due
    assert {"o0", "o19"} < islands.members
    assert "m59" not in islands
    for i in range(20):
        islands.take_in(f"p{i}", 0.0)
    assert islands.due
    islands.move_on(FOUNDERS, SCORES, generator)
    assert "m59" in islands
    # A gain is one among the best of all again.
    for i in range(20):
        islands.take_in(f"q{i}", 0.3)
    assert islands.due


def test_islands_are_of_different_founders() -> None:
    islands, generator, seen = Islands(1), np.random.default_rng(0), []
    for _ in range(4):
        islands.move_on(FOUNDERS, SCORES, generator)
        if islands.members is not None:
            seen.append(frozenset(islands.members))
    assert len(seen) == 2
    assert seen[0] != seen[1]


def test_without_patience_or_founders_there_is_no_island() -> None:
    islands = standing_still()
    islands.move_on(FOUNDERS[:5], SCORES, np.random.default_rng(0))
    assert islands.members is None
    never = Islands(0)
    for i in range(100):
        never.take_in(f"m{i}", 0.0)
    assert not never.due


def test_a_state_is_gone_back_to() -> None:
    islands, other = standing_still(), Islands(20)
    islands.move_on(FOUNDERS, SCORES, np.random.default_rng(0))
    islands.take_in("x", 0.9)
    other.restore(islands.state())
    assert other.state() == islands.state()
    for one in (islands, other):
        for i in range(20):
            one.take_in(f"y{i}", 0.0)
    assert islands.due is other.due is True
