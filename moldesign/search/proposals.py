"""Molecules to score next: proposed by several operators, chosen by a surrogate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moldesign.chem.fingerprints import Kind
from moldesign.chem.molecules import Mol, parse, randomised, reread, to_smiles
from moldesign.policy.policy import Policy
from moldesign.search.acquisition import Acquisition, chosen
from moldesign.search.archive import Archive
from moldesign.search.bandit import Bandit
from moldesign.search.operators import POLICY, PREFIX, children
from moldesign.search.surrogate import Surrogate

#: An operator did well whose proposal is among the best so many.
_BEST = 100


@dataclass(frozen=True)
class Plan:
    """How molecules are searched for.

    Attributes:
        operators: names of those that propose.
        pool: proposals a step.
        acquisition: what the surrogate chooses by; None: as many are proposed as are scored.
        unscreened: share of a batch that is the policy's own, whatever the surrogate says.
        fingerprints: the surrogate's. points: molecules that it is made of at most.
        max_length: tokens of what the policy writes at most.
    """

    operators: tuple[str, ...]
    pool: int
    acquisition: Acquisition | None
    unscreened: float
    fingerprints: tuple[Kind, ...]
    points: int
    max_length: int


@dataclass(frozen=True)
class Proposal:
    """A molecule that might be scored.

    Attributes:
        smiles: canonical. text: as it was written, which is what the policy learns.
        origin: the operator that proposed it.
    """

    smiles: str
    text: str
    origin: str
    mol: Mol


class Proposals:
    """Proposes molecules and learns from their scores.

    Attributes:
        archive: what was scored.
        drawn: rows that the policy has written so far.
    """

    def __init__(self, plan: Plan, agent: Policy, seed: int) -> None:
        self.plan, self._agent, self._seed = plan, agent, seed
        self.archive = Archive(seed)
        self.surrogate = Surrogate(plan.fingerprints, most=plan.points) if plan.acquisition else None
        self.bandit = Bandit(plan.operators)
        self.generator = np.random.default_rng([seed, 4])
        self.drawn = 0

    def propose(self, n: int) -> list[Proposal]:
        """n molecules to score, none of them scored yet; fewer where no more are found."""
        plan = self.plan
        if len(self.archive) < n:
            # There is nothing to breed from, and nothing to foretell by.
            return self._written(4 * n)[:n]
        quotas = self.bandit.quotas(plan.pool, self.generator)
        pool: dict[str, Proposal] = {}
        for name, quota in quotas.items():
            for one in self._proposed(name, quota):
                pool.setdefault(one.smiles, one)
        found = list(pool.values())
        if self.surrogate is None:
            return [found[i] for i in self.generator.permutation(len(found))[:n]]
        own = [one for one in found if one.origin == POLICY][: round(plan.unscreened * n)]
        kept = {one.smiles for one in own}
        rest = [one for one in found if one.smiles not in kept]
        if not rest:
            return own
        posterior = self.surrogate.expect(
            [one.mol for one in rest], covariance=plan.acquisition == "information"
        )
        assert plan.acquisition is not None
        places = chosen(
            plan.acquisition, posterior, n - len(own), best=self.archive.best(), generator=self.generator
        )
        return [*own, *(rest[i] for i in places)]

    def take_in(self, proposals: Sequence[Proposal], scores: Sequence[float]) -> None:
        """Learn what came of proposals; a score that is no number is one that could not be had."""
        scored, joined = Counter[str](), Counter[str]()
        good: list[tuple[Proposal, float]] = []
        for one, score in zip(proposals, scores, strict=True):
            if one.smiles in self.archive:
                continue
            if not np.isfinite(score):
                self.archive.add_failed(one.smiles)
                continue
            scored[one.origin] += 1
            joined[one.origin] += self.archive.add(one.smiles, score) < _BEST
            good.append((one, score))
        self.bandit.learn({name: (scored[name], joined[name]) for name in scored})
        if self.surrogate is not None:
            self.surrogate.add(
                [one.smiles for one, _ in good],
                [one.mol for one, _ in good],
                [score for _, score in good],
                self.generator,
            )

    def _proposed(self, name: str, n: int) -> list[Proposal]:
        if name == POLICY:
            return self._written(n)
        if name == PREFIX:
            return self._written(n, begun=True)
        made = children(name, n, self.archive, self.generator)
        # What the policy cannot write it cannot learn from.
        return [
            Proposal(text, text, name, reread(text)) for text in made if self._agent.tokenizer.knows(text)
        ]

    def _written(self, n: int, *, begun: bool = False) -> list[Proposal]:
        """What of n texts of the policy are molecules that are not scored yet.

        Args:
            begun: whether they go on from the beginnings of good ones.
        """
        beginnings = self._beginnings(n) if begun else None
        drawn = self._agent.draw(
            n, seed=self._seed, first_index=self.drawn, max_length=self.plan.max_length, beginnings=beginnings
        )
        self.drawn += n
        found: dict[str, Proposal] = {}
        for text in self._agent.decode(drawn):
            mol = parse(text)
            if mol is None:
                continue
            smiles = to_smiles(mol)
            if smiles not in self.archive:
                found.setdefault(smiles, Proposal(smiles, text, PREFIX if begun else POLICY, mol))
        return list(found.values())

    def _beginnings(self, n: int) -> list[list[int]]:
        """Tokens of good molecules, each written in some way, up to some place."""
        tokenizer = self._agent.tokenizer
        found: list[list[int]] = []
        for place in self.archive.parents(n, self.generator):
            text = randomised(self.archive.mol(place), int(self.generator.integers(2**31)))
            if not tokenizer.knows(text):
                text = self.archive.smiles[place]
            tokens = tokenizer.encode(text)[:-1]
            found.append(tokens[: int(self.generator.integers(1, len(tokens) + 1))])
        return found

    def state(self) -> dict[str, Any]:
        """All that the next proposal depends on but the policy."""
        return {
            "archive": self.archive.state(),
            "surrogate": None if self.surrogate is None else self.surrogate.state(),
            "bandit": self.bandit.state(),
            "generator": self.generator.bit_generator.state,
            "drawn": self.drawn,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a state."""
        self.archive.restore(state["archive"])
        if self.surrogate is not None:
            self.surrogate.restore(state["surrogate"], reread)
        self.bandit.restore(state["bandit"])
        self.generator.bit_generator.state = state["generator"]
        self.drawn = state["drawn"]
