"""The course of a run: everything that the next step depends on, and the way to write it down."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch

from moldesign.errors import CheckpointError, NonFiniteTrainingError, ResourceError
from moldesign.policy.trajectories import Sequences
from moldesign.rewards.oracle import Asked, Evaluation
from moldesign.rl.diversity import ScaffoldMemory
from moldesign.rl.guard import Guard
from moldesign.rl.memory import Remembered, ReplayMemory
from moldesign.rl.methods import Method
from moldesign.rl.preferences import Preference
from moldesign.rl.run import Run
from moldesign.rl.settings import OptimizeSettings
from moldesign.rl.steps import Watch
from moldesign.search.choices import Acquisition, SurrogateKind, operator_shares, property_shares
from moldesign.search.proposals import Plan, Proposals

#: Molecules of a batch that grows, at first.
_SMALLEST = 8


class Course:
    """What steps change, between two of them a state that `restore` goes on from, to the bit.

    Attributes:
        rows: drawn so far. A row of a batch depends on the agent, the seed and its number alone.
        in_flight: batches that scorers have already, the first drawn first.

    Args:
        run: with a state to go on from, or without.
        should_stop: asked once a step.
    """

    def __init__(self, run: Run, should_stop: Callable[[], bool]) -> None:
        chosen = run.settings
        self._run = run
        self.method = Method(chosen, run.agent, run.prior)
        self.replay = ReplayMemory(
            chosen.replay_capacity,
            keep=chosen.replay_keep,
            weights=chosen.replay_weights,
            repeats=chosen.replay_repeats,
        )
        self.scaffolds = ScaffoldMemory(chosen.bucket_size, chosen.diversity_min_score)
        self.generator = np.random.default_rng([chosen.seed, 1])
        self.preference = Preference(run.objective, chosen.seed)
        self.watch = Watch(chosen, run.oracle, should_stop)
        self.guard = Guard(self.method, run.say)
        self.search: Proposals | None = None
        if chosen.searches:
            fits = self.scaffolds.has_room if chosen.diversity else None
            self.search = Proposals(_plan(chosen), run.agent, run.prior, chosen.seed, fits)
        self.rows = 0
        self.in_flight: deque[tuple[Sequences, Asked]] = deque()
        if run.saved is not None:
            try:
                self.restore(run.saved)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise CheckpointError(
                    f"{run.path}: its checkpoint is of another version, or of other settings ({error!r})"
                ) from error

    def draw(self, again: Sequence[Remembered]) -> tuple[Sequences, list[str], list[str]]:
        """The next batch: as tokens, as SMILES, and what proposed each.

        What is proposed by others is written by nobody: it is read as if the policy had drawn it.
        """
        if self.search is not None:
            proposed = self.search.propose(self._size())
            if proposed:
                written = [one.text for one in proposed]
                origins = [str(one.origin) for one in proposed]
                return Sequences(self._run.agent.encode(written), None), written, origins
        drawn = self.method.draw(first_index=self.rows, again=again)
        written = self._run.agent.decode(drawn)
        return drawn, written, ["policy"] * len(written)

    def _size(self) -> int:
        """Molecules of the next batch: fewer at first, when each call tells most."""
        settings = self.method.settings
        grown = int(settings.batch_growth * self._run.oracle.calls) if settings.batch_growth else math.inf
        return int(min(settings.batch_size, max(_SMALLEST, grown)))

    def send(self, drawn: Sequences, written: Sequence[str], origins: Sequence[str]) -> None:
        """Hand a batch that was drawn to the scorers."""
        self.in_flight.append((drawn, self._run.oracle.submit(written, origins)))
        self.rows += self.method.settings.batch_size

    def take_in(self, evaluations: Sequence[Evaluation]) -> None:
        """Let the search, where there is one, learn what came of a batch."""
        if self.search is not None:
            self.search.take_in(evaluations)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A step: one that runs out of memory begins again, on the same samples in batches of half the size.

        What was scored of them is known by then, and free. Weights that are no longer finite are put back
        to the last good ones before the error goes on its way.

        Raises:
            ResourceError: of a batch of one.
        """
        rows = self.rows - len(self.in_flight) * self.method.settings.batch_size
        try:
            yield
        except NonFiniteTrainingError:
            self.guard.go_back()
            raise
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            self._halve(rows)

    def _halve(self, rows: int) -> None:
        size = self.method.settings.batch_size // 2
        if not size:
            raise ResourceError(
                "out of memory for a single molecule: free some, or use a smaller prior"
            ) from None
        self._run.oracle.collect()
        self.in_flight.clear()
        if self.search is not None:
            self.search.forget_open()
        self.rows = rows
        self.method.settings = self.method.settings.model_copy(update={"batch_size": size})
        self._run.say(f"step {self.watch.step + 1}: out of memory; batches of {size} from now on")

    def state(self) -> dict[str, Any]:
        """All of it but the run's own records: numbers, texts, arrays and tensors."""
        return {
            "rows": self.rows,
            "batch_size": self.method.settings.batch_size,
            "method": self.method.state(),
            "rewriting": self.method.generator.bit_generator.state,
            "bad_steps": self.method.update.bad_steps,
            "replay": self.replay.state(),
            "scaffolds": dict(self.scaffolds.counts),
            "generator": self.generator.bit_generator.state,
            "preference": self.preference.state(),
            "watch": self.watch.state(),
            "guard": self.guard.state(),
            "search": None if self.search is None else self.search.state(),
            "in_flight": [
                {
                    "tokens": drawn.tokens,
                    "reshaped_log_probs": drawn.reshaped_log_probs,
                    "probes": drawn.probes,
                    "written": asked.written,
                    "origins": asked.origins,
                }
                for drawn, asked in self.in_flight
            ],
            "oracle": self._run.oracle.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state. The oracle has its part of it already, and gets what was in flight again."""
        self.rows = state["rows"]
        self.method.settings = self.method.settings.model_copy(update={"batch_size": state["batch_size"]})
        self.method.restore(state["method"])
        self.method.generator.bit_generator.state = state["rewriting"]
        self.method.update.bad_steps = state["bad_steps"]
        self.replay.restore(state["replay"])
        self.scaffolds.counts.update(state["scaffolds"])
        self.generator.bit_generator.state = state["generator"]
        self.preference.restore(state["preference"])
        self.watch.restore(state["watch"])
        self.guard.restore(state["guard"])
        if self.search is not None:
            self.search.restore(state["search"])
        device = self.method.agent.device
        for batch in state["in_flight"]:
            reshaped = batch["reshaped_log_probs"]
            drawn = Sequences(
                batch["tokens"].to(device),
                None if reshaped is None else reshaped.to(device),
                probes=batch["probes"],
            )
            asked = self._run.oracle.submit(batch["written"], batch.get("origins", ()))
            self.in_flight.append((drawn, asked))


def _plan(settings: OptimizeSettings) -> Plan:
    return Plan(
        operators=operator_shares(settings.operators),
        pool=settings.pool_size,
        acquisition=None if settings.acquisition == "none" else cast("Acquisition", settings.acquisition),
        boldness=settings.boldness,
        unscreened=settings.unscreened,
        fingerprints=cast("tuple[SurrogateKind, ...]", (*settings.fingerprints.split(","),)),
        points=settings.surrogate_points,
        generations=settings.generations,
        brood=settings.brood_size,
        family=settings.family_size,
        patience=settings.island_after,
        properties=property_shares(settings.surrogate_properties),
        targets=settings.surrogate_targets,
        max_length=settings.max_length,
        temperature=settings.temperature,
        chemistry=settings.chemistry,
    )


def _out_of_memory(error: BaseException) -> bool:
    # On a processor torch says so in words only.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
