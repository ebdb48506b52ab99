"""Molecules to score next: proposed by several operators, chosen by a surrogate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from moldesign.chem.molecules import Mol, parse, randomised, reread, to_smiles
from moldesign.policy.policy import Policy
from moldesign.rewards.oracle import Evaluation
from moldesign.search.acquisition import chosen
from moldesign.search.archive import Archive
from moldesign.search.bandit import Bandit
from moldesign.search.chemistry import is_sound
from moldesign.search.choices import Acquisition, Origin, SurrogateKind
from moldesign.search.operators import children
from moldesign.search.surrogate import Surrogate

#: An operator did well whose proposal is among the best so many.
_BEST = 100


@dataclass(frozen=True)
class Plan:
    """How molecules are searched for.

    Attributes:
        operators: those that propose, and what each has of the proposals; None where a bandit says.
        pool: tries of the operators a step; what is no molecule, known or proposed twice is not in it.
        acquisition: what the surrogate chooses by; None: any.
        unscreened: share of a batch that is the policy's own, whatever the surrogate says.
        fingerprints: the surrogate's. points: molecules that it is made of at most.
        max_length: tokens of what the policy writes at most.
        temperature: at which it writes. strict: whether what is not sound chemistry is left out.
    """

    operators: Mapping[Origin, float | None]
    pool: int
    acquisition: Acquisition | None
    unscreened: float
    fingerprints: tuple[SurrogateKind, ...]
    points: int
    max_length: int
    temperature: float = 1.0
    strict: bool = False


@dataclass(frozen=True)
class Proposal:
    """A molecule that might be scored.

    Attributes:
        smiles: canonical. text: as it was written, which is what the policy learns.
        origin: the operator that proposed it. screened: whether it was chosen, and not taken as it came.
    """

    smiles: str
    text: str
    origin: Origin
    mol: Mol
    screened: bool = True


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
        #: Proposed, and not scored yet.
        self._open: dict[str, Proposal] = {}
        #: Of each operator, how many of what was scored since should have been its own.
        self._asked: dict[Origin, float] = {}

    def propose(self, n: int) -> list[Proposal]:
        """n molecules to score, none of them proposed before; fewer where no more are found."""
        if len(self.archive) < n:
            # There is nothing to breed from and nothing to foretell by, and whatever comes is among the best.
            written = (replace(one, screened=False) for one in self._written(4 * n))
            batch = self._sound(written, n)
        else:
            batch = self._chosen(n)
        self._open |= {one.smiles: one for one in batch}
        return batch

    def take_in(self, evaluations: Iterable[Evaluation]) -> None:
        """Learn what came of molecules, proposed here or not."""
        scored, joined = Counter[Origin](), Counter[Origin]()
        asked, self._asked = self._asked, {}
        found: list[tuple[Proposal, float]] = []
        for one in evaluations:
            proposal = self._open.pop(one.smiles, None)
            if one.status == "unpaid" or one.smiles in self.archive:
                continue
            if one.status == "invalid" or not np.isfinite(one.score):
                self.archive.add_failed(one.smiles)
                continue
            if proposal is None:
                proposal = Proposal(one.smiles, one.smiles, "policy", reread(one.smiles), screened=False)
            rank = self.archive.add(one.smiles, one.score)
            if proposal.screened:
                scored[proposal.origin] += 1
                joined[proposal.origin] += rank < _BEST
            found.append((proposal, one.score))
        self.bandit.learn(
            {name: (max(scored[name], asked.get(name, 0.0)), joined[name]) for name in {**asked, **scored}}
        )
        if self.surrogate is not None:
            proposals, scores = [one for one, _ in found], [score for _, score in found]
            self.surrogate.add(
                [one.smiles for one in proposals], [one.mol for one in proposals], scores, self.generator
            )

    def forget_open(self) -> None:
        """Nothing that was proposed and is not scored yet will be."""
        self._open.clear()

    def _pool(self, n: int) -> list[Proposal]:
        """What the operators propose, each molecule once, for n to be chosen."""
        pool: dict[str, Proposal] = {}
        for name, quota in self.bandit.quotas(self.plan.pool, self.generator).items():
            # What would be scored of an operator whose proposals are as good as those of others.
            self._asked[name] = self._asked.get(name, 0.0) + n * quota / self.plan.pool
            for one in self._proposed(name, quota):
                pool.setdefault(one.smiles, one)
        return list(pool.values())

    def _chosen(self, n: int) -> list[Proposal]:
        plan, pool = self.plan, self._pool(n)
        if self.surrogate is None or plan.acquisition is None:
            return self._sound((pool[i] for i in self.generator.permutation(len(pool))), n)
        policys = (replace(one, screened=False) for one in pool if one.origin == "policy")
        own = self._sound(policys, round(plan.unscreened * n))
        kept = {one.smiles for one in own}
        rest = [one for one in pool if one.smiles not in kept]
        if not rest:
            return own
        posterior = self.surrogate.expect(
            [one.mol for one in rest], covariance=plan.acquisition == "information"
        )
        left = n - len(own)
        places = chosen(
            plan.acquisition,
            posterior,
            len(rest) if plan.strict else left,
            best=self.archive.best(),
            generator=self.generator,
        )
        return [*own, *self._sound((rest[i] for i in places), left)]

    def _sound(self, proposals: Iterable[Proposal], n: int) -> list[Proposal]:
        """The first n; with strict chemistry the first n that are sound."""
        wanted = (one for one in proposals if not self.plan.strict or is_sound(one.smiles))
        return [*islice(wanted, n)]

    def _is_new(self, smiles: str) -> bool:
        return smiles not in self.archive and smiles not in self._open

    def _proposed(self, name: Origin, n: int) -> list[Proposal]:
        if name == "policy":
            return self._written(n)
        if name == "prefix":
            return self._written(n, begun=True)
        made = children(name, n, self.archive, self.generator, self._is_new)
        # What the policy cannot write it cannot learn from.
        known = (text for text in made if self._agent.tokenizer.knows(text))
        return [
            Proposal(text, text, name, mol)
            for text in known
            if (mol := parse(text)) and to_smiles(mol) == text
        ]

    def _written(self, n: int, *, begun: bool = False) -> list[Proposal]:
        """What of n texts of the policy are molecules that are not scored yet.

        Args:
            begun: whether they go on from the beginnings of good ones.
        """
        if not n:
            return []
        beginnings = self._beginnings(n) if begun else None
        drawn = self._agent.draw(
            n,
            seed=self._seed,
            first_index=self.drawn,
            temperature=self.plan.temperature,
            max_length=self.plan.max_length,
            beginnings=beginnings,
        )
        self.drawn += n
        found: dict[str, Proposal] = {}
        for text in self._agent.decode(drawn):
            mol = parse(text)
            if mol is None:
                continue
            smiles = to_smiles(mol)
            # As it will be read again: some features depend on the order of the atoms.
            mol = parse(smiles)
            if mol is not None and self._is_new(smiles):
                found.setdefault(smiles, Proposal(smiles, text, "prefix" if begun else "policy", mol))
        return list(found.values())

    def _beginnings(self, n: int) -> list[list[int]]:
        """Tokens of good molecules, each written in some way, up to some place."""
        tokenizer = self._agent.tokenizer
        found: list[list[int]] = []
        for place in self.archive.parents(n, self.generator):
            text = randomised(self.archive.mol(place), int(self.generator.integers(2**31)))
            known = tokenizer.knows(text)
            tokens = tokenizer.encode(text)[:-1] if known else []
            found.append(tokens[: int(self.generator.integers(len(tokens) + 1))])
        return found

    def state(self) -> dict[str, Any]:
        """All that the next proposal depends on but the policy."""
        return {
            "archive": self.archive.state(),
            "surrogate": None if self.surrogate is None else self.surrogate.state(),
            "bandit": self.bandit.state(),
            "generator": self.generator.bit_generator.state,
            "drawn": self.drawn,
            "open": [(one.smiles, one.text, one.origin, one.screened) for one in self._open.values()],
            "asked": self._asked,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a state."""
        self.archive.restore(state["archive"])
        if self.surrogate is not None:
            self.surrogate.restore(state["surrogate"], reread)
        self.bandit.restore(state["bandit"])
        self.generator.bit_generator.state = state["generator"]
        self.drawn = state["drawn"]
        self._open = {
            smiles: Proposal(smiles, text, origin, reread(smiles), screened)
            for smiles, text, origin, screened in state["open"]
        }
        self._asked = dict(state["asked"])
