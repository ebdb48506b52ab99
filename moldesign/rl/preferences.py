"""What a scored molecule is worth to the policy now, where an objective is several objectives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from moldesign.rewards.component import combined, front_points
from moldesign.rewards.fronts import by_preference, on_front
from moldesign.rewards.objective import Drawn, Objective, Schedule
from moldesign.rewards.oracle import Evaluation
from moldesign.rewards.reward import Values
from moldesign.rl.memory import ReplayMemory

#: The least share of a drawn weight: a weight of 0 would ask for 0 times the logarithm of 0.
_LEAST_WEIGHT = 1e-6

#: Members of the front, the most spread ones, that new molecules are compared with.
_FRONT = 200


class Preference:
    """Rewards of a batch: the recorded scores; or, with weights that move or with `pareto`, of the moment.

    With `pareto` the molecules of a batch and of the front found so far are ordered by
    non-dominated sorting and crowding; the i-th of n, from 0, is worth 1 - i / n (the rank reward
    of DrugEx, Liu et al., J. Cheminf. 13, 85, 2021). Penalties count in every score.
    """

    def __init__(self, objective: Objective, seed: int) -> None:
        self._objective = objective
        self._generator = np.random.default_rng([seed, 2])
        labels = objective.labels
        self._nodes = [(node, labels.index(node.label)) for node in objective.components]
        self._scores = [(node, column) for node, column in self._nodes if node.role == "score"]
        self._front = np.zeros((0, len(self._scores)))
        #: Of this step; None for those of the components.
        self._weights: Values | None = None

    @property
    def moves(self) -> bool:
        """Whether a molecule's reward depends on when it is asked for."""
        return self._objective.weighting is not None or self._objective.combination == "pareto"

    def begin_step(self, progress: float) -> None:
        """Choose the weights of a step.

        Args:
            progress: share of the run that is done, 0 to 1.
        """
        weighting = self._objective.weighting
        start = np.array([node.weight for node, _ in self._scores])
        if isinstance(weighting, Drawn):
            alpha = weighting.concentration * len(start) * start / start.sum()
            self._weights = np.maximum(self._generator.dirichlet(alpha), _LEAST_WEIGHT)
        elif isinstance(weighting, Schedule):
            end = np.array([weighting.final.get(node.label, node.weight) for node, _ in self._scores])
            self._weights = start + (end - start) * min(1.0, progress)

    def rewards(self, evaluations: Sequence[Evaluation], *, remember: bool = True) -> Values:
        """(n,) NaN where a molecule has no score.

        Args:
            remember: whether the front is to hold what belongs on it from now on.
        """
        rewards = np.array([evaluation.score for evaluation in evaluations], dtype=np.float64)
        if not self.moves:
            return rewards
        # A score of 0 stays 0 whatever the weights are: a filter, or a component spared because of it.
        rows = np.flatnonzero(rewards > 0).tolist()
        if not rows:
            return rewards
        shaped = {
            node.label: np.array([evaluations[i].shaped[column] for i in rows])
            for node, column in self._nodes
        }
        nodes = [node for node, _ in self._nodes]
        if self._objective.combination == "pareto":
            rewards[rows] = self._ranked(front_points(nodes, shaped), remember=remember)
        else:
            rewards[rows] = combined(self._objective.combination, nodes, shaped, self._weights)
        return rewards

    def revalue(self, replay: ReplayMemory, recall: Callable[[str], Evaluation]) -> None:
        """Give the molecules of a replay memory what they are worth now."""
        if self.moves and len(replay):
            # A memory of all that is recent has what is no molecule too: that stays worth nothing.
            known = [i for i, row in enumerate(replay.rows) if row.reward > 0]
            worth = self.rewards([recall(replay.rows[i].smiles) for i in known], remember=False)
            rewards = [row.reward for row in replay.rows]
            for i, reward in zip(known, worth, strict=True):
                rewards[i] = float(reward) * replay.rows[i].share
            replay.revalue(rewards)

    def state(self) -> dict[str, Any]:
        """The generator of weights, and the front."""
        return {"generator": self._generator.bit_generator.state, "front": self._front}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a state."""
        self._generator.bit_generator.state = state["generator"]
        self._front = state["front"]

    def _ranked(self, points: Values, *, remember: bool) -> Values:
        """(n,) of the points (n, k) by their place among them and the front."""
        everything = np.concatenate([points, self._front])
        order = by_preference(everything)
        place = np.empty(len(order))
        place[order] = np.arange(len(order))
        if remember:
            members = order[on_front(everything)[order]]
            self._front = np.unique(everything[members[:_FRONT]], axis=0)
        return 1.0 - place[: len(points)] / len(everything)
