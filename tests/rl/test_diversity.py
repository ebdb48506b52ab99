"""The scaffold memory."""

from __future__ import annotations

import numpy as np
import pytest

from moldesign.chem.molecules import read
from moldesign.rl.diversity import ScaffoldMemory


def discounted(memory: ScaffoldMemory, smiles: list[str], rewards: np.ndarray) -> np.ndarray:
    return np.asarray(rewards * memory.shares([(text, read(text)) for text in smiles], rewards))


def test_the_discount_is_linear_and_counts_good_molecules_only() -> None:
    memory = ScaffoldMemory(bucket_size=4, min_reward=0.5)
    benzenes = ["Cc1ccccc1", "Oc1ccccc1", "Nc1ccccc1"]
    first = discounted(memory, benzenes, np.array([1.0, 0.4, 0.8]))
    assert first.tolist() == pytest.approx([1.0, 0.4, 0.8 * 0.75])
    later = discounted(memory, ["CCc1ccccc1", "c1ccncc1", "CCCc1ccccc1", "Fc1ccccc1"], np.ones(4))
    assert later.tolist() == pytest.approx([0.5, 1.0, 0.25, 0.0]), "pyridine has a bucket of its own"
    assert discounted(memory, ["Clc1ccccc1"], np.ones(1)).tolist() == [0.0], "and never below nothing"


def test_molecules_without_rings_do_not_share_a_bucket() -> None:
    memory = ScaffoldMemory(bucket_size=2, min_reward=0.0)
    assert discounted(memory, ["CCO", "CCN", "CCC", "CCCC"], np.ones(4)).tolist() == [1.0] * 4
    assert len(memory.counts) == 4
    # Drawn again, one counts again: a policy that writes one molecule over and over earns less and less.
    assert discounted(memory, ["CCO", "CCO"], np.ones(2)).tolist() == [0.5, 0.0]


def test_the_rewards_given_stay_as_they_are_and_a_missing_one_counts_for_nothing() -> None:
    memory = ScaffoldMemory(bucket_size=1, min_reward=0.5)
    rewards = np.array([1.0, np.nan, 1.0])
    out = discounted(memory, ["Cc1ccccc1", "Oc1ccccc1", "Nc1ccccc1"], rewards)
    np.testing.assert_array_equal(out, [1.0, np.nan, 0.0])
    np.testing.assert_array_equal(rewards, [1.0, np.nan, 1.0])


def test_a_reward_below_nothing_is_not_raised() -> None:
    memory = ScaffoldMemory(bucket_size=2, min_reward=-10.0)
    out = discounted(memory, ["Cc1ccccc1", "Oc1ccccc1", "Nc1ccccc1"], np.array([-4.0, -4.0, 2.0]))
    assert out.tolist() == [-4.0, -4.0, 0.0]


def test_room_is_where_a_new_molecule_would_earn() -> None:
    memory = ScaffoldMemory(bucket_size=2, min_reward=0.0)
    discounted(memory, ["Cc1ccccc1", "CCO", "CCO"], np.ones(3))
    assert memory.has_room(read("Oc1ccccc1"))
    discounted(memory, ["Nc1ccccc1"], np.ones(1))
    assert not memory.has_room(read("Oc1ccccc1"))
    assert memory.has_room(read("Oc1ccncc1"))
    assert memory.has_room(read("CCN")), "each molecule without rings is a scaffold of its own"
