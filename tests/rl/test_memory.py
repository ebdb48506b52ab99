"""Replay of the best molecules."""

from __future__ import annotations

import numpy as np

from moldesign.rl.memory import Remembered, ReplayMemory


def remembered(smiles: str, reward: float, *tokens: int) -> Remembered:
    zeros = np.zeros(len(tokens), dtype=np.float32)
    return Remembered(smiles, reward, np.array(tokens), zeros, zeros)


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


def test_of_the_recent_everything_stays_newest_first_as_often_as_it_came() -> None:
    recent = ReplayMemory(3, keep="recent", weights="uniform")
    recent.add([remembered("C", 0.9, 1), remembered("not a molecule", 0.0, 2)])
    recent.add([remembered("C", 0.9, 3), remembered("N", 0.1, 4)])
    assert [int(row.tokens[0]) for row in recent.rows] == [4, 3, 2]
    recent.revalue([0.2, 0.8, 0.0])
    assert [row.reward for row in recent.rows] == [0.2, 0.8, 0.0], "their order is that of time"


def test_draws_by_rank_and_without_any_preference() -> None:
    generator = np.random.default_rng(0)
    by_rank = ReplayMemory(3, weights="rank")
    by_rank.add([remembered("C", 0.5), remembered("N", 0.4999), remembered("O", 1e-6)])
    # 1 / (0.01 * 3 + rank), whatever the rewards are.
    weights = np.array([1 / 0.03, 1 / 1.03, 1 / 2.03])
    drawn = [by_rank.draw(1, generator)[0].smiles for _ in range(4000)]
    for name, share in zip("CNO", weights / weights.sum(), strict=True):
        assert abs(drawn.count(name) / 4000 - share) < 4.5 * (share / 4000) ** 0.5
    even = ReplayMemory(2, weights="uniform")
    even.add([remembered("C", 1.0), remembered("N", 1e-9)])
    drawn = [even.draw(1, generator)[0].smiles for _ in range(2000)]
    assert abs(drawn.count("C") / 2000 - 0.5) < 0.05


def test_with_repeats_the_best_of_few_are_drawn_most_of_the_time() -> None:
    by_rank = ReplayMemory(3, weights="rank", repeats=True)
    assert by_rank.draw(4, np.random.default_rng(0)) == []
    by_rank.add([remembered("C", 0.5), remembered("N", 0.4999), remembered("O", 1e-6)])
    drawn = [row.smiles for row in by_rank.draw(4000, np.random.default_rng(0))]
    weights = np.array([1 / 0.03, 1 / 1.03, 1 / 2.03])
    for name, share in zip("CNO", weights / weights.sum(), strict=True):
        assert abs(drawn.count(name) / 4000 - share) < 4.5 * (share / 4000) ** 0.5


def test_what_is_purged_is_forgotten() -> None:
    best = memory(5, C=0.2, N=0.9, O=0.5)
    best.purge(lambda smiles: smiles != "N")
    assert [row.smiles for row in best.rows] == ["O", "C"]
