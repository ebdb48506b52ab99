"""Replay of the best molecules."""

from __future__ import annotations

import numpy as np

from moldesign.rl.memory import Remembered, ReplayMemory


def remembered(smiles: str, reward: float, *tokens: int) -> Remembered:
    return Remembered(smiles, reward, np.array(tokens), np.zeros(len(tokens), dtype=np.float32))


def memory(capacity: int, **rewards: float) -> ReplayMemory:
    out = ReplayMemory(capacity)
    out.add(remembered(name, reward, 7) for name, reward in rewards.items())
    return out


def test_the_best_stay_each_once_in_order_of_arrival_where_equal() -> None:
    best = memory(3, C=0.2, N=0.9, O=0.5, CC=0.5)
    assert [row.smiles for row in best.rows] == ["N", "O", "CC"]
    # Written in another way, a molecule is the same.
    best.add([remembered("N", 1.0, 8, 9), remembered("CO", 0.6, 3, 4), remembered("CO", 0.8, 4, 3)])
    assert [(row.smiles, row.tokens.tolist(), row.reward) for row in best.rows] == [
        ("N", [7], 0.9),
        ("CO", [3, 4], 0.6),
        ("O", [7], 0.5),
    ]


def test_what_is_worth_nothing_is_not_remembered() -> None:
    assert len(memory(5, C=0.0, N=-1.0, O=float("nan"))) == 0


def test_nothing_is_kept_without_capacity_and_nothing_drawn_from_nothing() -> None:
    empty = memory(0, C=1.0)
    assert len(empty) == 0
    assert empty.draw(4, np.random.default_rng(0)) == []
    assert memory(4, C=1.0).draw(0, np.random.default_rng(0)) == []


def test_draws_differ_and_follow_the_rewards() -> None:
    two = memory(5, C=0.75, N=0.25)
    generator = np.random.default_rng(0)
    share = np.mean([two.draw(1, generator)[0].smiles == "C" for _ in range(2000)])
    assert abs(share - 0.75) < 4 * (0.75 * 0.25 / 2000) ** 0.5
    assert sorted(row.smiles for row in two.draw(9, generator)) == ["C", "N"]


def test_a_reward_too_small_to_be_a_share_can_still_be_drawn() -> None:
    rows = memory(5, C=1.0, N=1.0, O=1.0, CC=5e-324).draw(4, np.random.default_rng(0))
    assert sorted(row.smiles for row in rows) == ["C", "CC", "N", "O"]


def test_the_generator_fixes_what_is_drawn() -> None:
    rows = [memory(5, C=0.4, N=0.3, O=0.2).draw(2, np.random.default_rng(7)) for _ in range(2)]
    assert rows[0] == rows[1]
