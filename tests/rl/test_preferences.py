"""What molecules are worth when an objective is several."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from moldesign.chem.molecules import Mol
from moldesign.rewards.component import Component
from moldesign.rewards.objective import Objective
from moldesign.rewards.oracle import Evaluation, Oracle
from moldesign.rewards.reward import Values
from moldesign.rl.memory import Remembered, ReplayMemory
from moldesign.rl.preferences import Preference

#: Desirabilities of the molecules C, CC, CCC, ...: three on a front, one behind, one that the filter stops.
FIRST = (0.1, 0.5, 0.9, 0.4, 1.0)
SECOND = (0.9, 0.5, 0.1, 0.4, 1.0)
FILTER = (1.0, 1.0, 1.0, 1.0, 0.0)
SMILES = ["C" * n for n in range(1, 6)]


def by_length(label: str, values: Sequence[float], **others: Any) -> Component:
    def reward(mols: Sequence[Mol], /) -> Values:
        return np.array([values[mol.GetNumAtoms() - 1] for mol in mols])

    return Component(reward=reward, label=label, **others)


def objective(**changes: Any) -> Objective:
    components = [
        by_length("first", FIRST, weight=3.0),
        by_length("second", SECOND),
        by_length("f", FILTER, role="filter"),
    ]
    return Objective(components=components, combination="arithmetic_mean").model_copy(update=changes)


def remembered(smiles: str, reward: float, share: float = 1.0) -> Remembered:
    nothing = np.zeros(0, dtype=np.float32)
    return Remembered(smiles, reward, np.zeros(0, dtype=np.int64), nothing, nothing, share)


def evaluated(made: Objective) -> tuple[Oracle, list[Evaluation]]:
    oracle = Oracle(made)
    return oracle, oracle(SMILES)


def test_fixed_weights_give_the_recorded_scores() -> None:
    made = objective()
    _, evaluations = evaluated(made)
    preference = Preference(made, 0)
    preference.begin_step(0.5)
    assert not preference.moves
    assert preference.rewards(evaluations).tolist() == [e.score for e in evaluations]


def test_a_schedule_goes_from_the_weights_to_the_final_ones() -> None:
    made = Objective.model_validate(
        {
            "combination": "arithmetic_mean",
            "weighting": {"kind": "schedule", "final": {"second": 3.0, "first": 1.0}},
            "components": objective().components,
        }
    )
    _, evaluations = evaluated(made)
    preference = Preference(made, 0)
    for progress, weights in [(0.0, (3, 1)), (0.5, (2, 2)), (1.0, (1, 3)), (1.5, (1, 3))]:
        preference.begin_step(progress)
        expected = [
            0 if f == 0 else (weights[0] * a + weights[1] * b) / 4
            for a, b, f in zip(FIRST, SECOND, FILTER, strict=True)
        ]
        assert preference.rewards(evaluations) == pytest.approx(expected)


def test_drawn_weights_differ_from_step_to_step_and_follow_the_seed() -> None:
    made = Objective.model_validate(
        {"combination": "chebyshev", "weighting": {"kind": "drawn"}, "components": objective().components}
    )
    _, evaluations = evaluated(made)

    def course(seed: int) -> list[int]:
        preference = Preference(made, seed)
        best = []
        for _ in range(60):
            preference.begin_step(0.0)
            rewards = preference.rewards(evaluations)
            assert rewards[4] == 0
            best.append(int(rewards.argmax()))
        return best

    # Every member of the front is the best for some weights; what lies behind never is.
    assert set(course(0)) == {0, 1, 2}
    assert course(0) == course(0)
    assert course(0) != course(1)


def test_drawn_weights_keep_to_those_of_the_components_on_average() -> None:
    drawn = {"kind": "drawn", "concentration": 50.0}
    made = Objective.model_validate(
        {"combination": "arithmetic_mean", "weighting": drawn, "components": objective().components}
    )
    _, evaluations = evaluated(made)
    preference = Preference(made, 0)
    rewards = []
    for _ in range(200):
        preference.begin_step(0.0)
        rewards.append(preference.rewards(evaluations)[0])
    assert np.mean(rewards) == pytest.approx(evaluations[0].score, abs=0.01)


def pareto() -> Objective:
    return Objective(components=objective().components, combination="pareto")


def test_pareto_rewards_the_front_above_what_lies_behind_and_nothing_for_what_a_filter_stops() -> None:
    made = pareto()
    _, evaluations = evaluated(made)
    rewards = Preference(made, 0).rewards(evaluations)
    # Ends of the front, its middle, what lies behind: places 0 to 3 of 4.
    assert sorted(rewards[[0, 2]], reverse=True) == [1.0, 0.75]
    assert rewards[[1, 3, 4]].tolist() == [0.5, 0.25, 0.0]


def test_pareto_compares_with_the_front_found_before() -> None:
    made = pareto()
    _, evaluations = evaluated(made)
    preference = Preference(made, 0)
    preference.rewards(evaluations[:3])
    # Behind the three of the front: the last of 4.
    assert preference.rewards(evaluations[3:4]).tolist() == [0.25]
    assert Preference(made, 0).rewards(evaluations[3:4]).tolist() == [1.0]


def test_the_replay_memory_is_revalued() -> None:
    made = pareto()
    oracle, evaluations = evaluated(made)
    replay = ReplayMemory(10)
    replay.add(remembered(e.smiles, 0.1 * i + 0.1) for i, e in enumerate(evaluations[:4]))
    preference = Preference(made, 0)
    preference.revalue(replay, oracle.recall)
    assert [row.smiles for row in replay.rows][-2:] == ["CC", "CCCC"]
    assert replay.rows[-1].reward == 0.25
    # The front is that of the batches: what is remembered is compared with it, and does not become it.
    assert preference.rewards(evaluations[3:4]).tolist() == [1.0]
    fixed = Preference(objective(), 0)
    fixed.revalue(replay, oracle.recall)
    assert replay.rows[-1].reward == 0.25


def test_what_is_replayed_keeps_its_discount() -> None:
    made = pareto()
    oracle, _ = evaluated(made)
    replay = ReplayMemory(10)
    replay.add([remembered("C", 0.3, share=0.5)])
    Preference(made, 0).revalue(replay, oracle.recall)
    assert [row.reward for row in replay.rows] == [0.5]


def test_a_penalty_counts_in_every_score_of_the_front() -> None:
    components = [
        by_length("first", (0.9, 0.5), weight=3.0),
        by_length("second", (0.9, 0.5)),
        by_length("p", (0.1, 1.0), role="penalty"),
    ]
    made = Objective(components=components, combination="pareto")
    rewards = Preference(made, 0).rewards(Oracle(made)(["C", "CC"]))
    assert rewards.tolist() == [0.5, 1.0]
