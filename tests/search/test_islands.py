from __future__ import annotations

from moldesign.search.islands import Islands

SCORES = {f"m{i}": i / 100 for i in range(60)}


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
    islands = standing_still()
    assert islands.due
    assert "m59" in islands
    assert not islands.founding
    islands.move_on(SCORES.values())
    assert not islands.due
    assert islands.founding
    assert "m59" not in islands
    # What is worse than the best elsewhere is a gain here.
    for i in range(10):
        islands.take_in(f"o{i}", 0.1)
    for i in range(19):
        islands.take_in(f"p{i}", 0.0)
    assert not islands.due
    islands.take_in("p19", 0.11)
    assert not islands.due
    assert {"o0", "p19"} < (islands.members or set())
    assert islands.founding
    for i in range(20):
        islands.take_in(f"q{i}", 0.0)
    assert not islands.founding
    assert islands.due
    islands.move_on(SCORES.values())
    assert "m59" in islands
    assert not islands.founding
    # A gain is one among the best of all again.
    for i in range(20):
        islands.take_in(f"r{i}", 0.3)
    assert islands.due


def test_without_patience_there_is_no_island() -> None:
    never = Islands(0)
    for i in range(100):
        never.take_in(f"m{i}", 0.0)
    assert not never.due


def test_a_state_is_gone_back_to() -> None:
    islands, other = standing_still(), Islands(20)
    islands.move_on(SCORES.values())
    islands.take_in("x", 0.9)
    other.restore(islands.state())
    assert other.state() == islands.state()
    for one in (islands, other):
        for i in range(29):
            one.take_in(f"y{i}", 0.0)
    assert islands.due is other.due is True
