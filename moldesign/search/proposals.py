"""Molecules to score next: proposed by several operators, chosen by a surrogate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moldesign.chem.environments import environments
from moldesign.chem.molecules import Mol, canonical, parse, randomised, reread, to_smiles
from moldesign.policy.policy import Policy
from moldesign.rewards.oracle import Evaluation
from moldesign.search.acquisition import VALUED, chosen, values
from moldesign.search.archive import Archive
from moldesign.search.bandit import Bandit
from moldesign.search.brood import Brood
from moldesign.search.chemistry import is_known, is_sound
from moldesign.search.choices import Acquisition, Chemistry, Origin, SurrogateKind, Targets
from moldesign.search.islands import Islands
from moldesign.search.kernels import Features
from moldesign.search.operators import OPERATORS, Breeding, children
from moldesign.search.relatives import Relatives
from moldesign.search.stock import Stock
from moldesign.search.surrogate import Surrogate

#: An operator did well whose proposal is among the best so many.
_BEST = 100
#: What is bred from at first are the best so many that were scored.
_PARENTS = 1000
#: Where less is in stock, the policy writes until there are about twice as many.
_LEAST_STOCK = 1000
#: Where the policy alone proposes it writes so often more than are wanted, at most.
_ROUNDS = 8
#: Of the candidates of all generations so many of the most hopeful are compared with one another.
_SHORTLIST = 512


@dataclass(frozen=True)
class Plan:
    """How molecules are searched for.

    Attributes:
        operators: those that propose, and what each has of the proposals; None where a bandit says.
        pool: tries of the operators a step; what is no molecule, known or proposed twice is not in it.
        generations: how often as many children of those that the surrogate wants join them.
        brood: so many of these are bred from, of what was scored and what was not.
        acquisition, boldness: what the surrogate chooses by, see `values`; None: any.
        unscreened: share of a batch that is the policy's own, whatever the surrogate says.
        family: of a scaffold so many are bred from at most; 0: any number.
        patience: calls without gain after which the search begins anew, see `Islands`; 0: never.
        fingerprints, properties, targets: the surrogate's. points: molecules that it is made of at most.
        max_length: tokens of what the policy writes at most.
        temperature: at which it writes. chemistry: what is left out.
    """

    operators: Mapping[Origin, float | None]
    pool: int
    acquisition: Acquisition | None
    unscreened: float
    fingerprints: tuple[SurrogateKind, ...]
    points: int
    max_length: int
    generations: int = 0
    brood: int = 300
    properties: tuple[float, ...] = (0.0,)
    targets: Targets = "scores"
    family: int = 0
    boldness: float = 1.0
    patience: int = 0
    temperature: float = 1.0
    chemistry: Chemistry = "any"


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


class Candidates:
    """Proposals as a surrogate sees them.

    Attributes:
        seen: their `features`.
    """

    def __init__(
        self, proposals: list[Proposal], surrogate: Surrogate, seen: list[Features] | None = None
    ) -> None:
        self.proposals, self.surrogate = proposals, surrogate
        self.seen = surrogate.features([one.mol for one in proposals]) if seen is None else seen

    def joined(self, others: Candidates) -> Candidates:
        """These and others."""
        seen = [own.joined(further) for own, further in zip(self.seen, others.seen, strict=True)]
        return Candidates([*self.proposals, *others.proposals], self.surrogate, seen)

    def some(self, places: Tensor) -> Candidates:
        """Those at some places."""
        proposals = [self.proposals[i] for i in places.tolist()]
        return Candidates(proposals, self.surrogate, [rows.rows(places) for rows in self.seen])


class Proposals:
    """Proposes molecules and learns from their scores.

    Args:
        fits: whether a molecule may be proposed, beside what the plan says; None: any.

    Attributes:
        archive: what was scored.
        drawn: rows that the policy has written so far.
    """

    def __init__(
        self, plan: Plan, agent: Policy, prior: Policy, seed: int, fits: Callable[[Mol], bool] | None = None
    ) -> None:
        self.plan, self._agent, self._prior, self._seed = plan, agent, prior, seed
        self._may_be = fits
        self.archive = Archive()
        self.relatives, self.stock = Relatives(), Stock()
        self.surrogate: Surrogate | None = None
        if plan.acquisition:
            self.surrogate = Surrogate(
                plan.fingerprints, most=plan.points, properties=plan.properties, targets=plan.targets
            )
        self.bandit = Bandit(plan.operators)
        self.islands = Islands(plan.patience)
        self.generator = np.random.default_rng([seed, 4])
        self.drawn = 0
        #: Proposed, and not scored yet.
        self._open: dict[str, Proposal] = {}
        #: Of each operator, how many of what was scored since should have been its own.
        self._asked: dict[Origin, float] = {}

    def propose(self, n: int) -> list[Proposal]:
        """n molecules to score, none of them proposed before; fewer where no more are found."""
        if len(self.archive) < n or self.islands.founding or self._all_alike:
            # There is nothing to breed from or nothing to foretell by, and whatever comes is among the best.
            batch = self._unscreened(n)
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
            self.islands.take_in(one.smiles, one.score)
            found.append((proposal, one.score))
        if self.islands.due:
            self.islands.move_on(self.archive.scores)
        self.bandit.learn(
            {name: (max(scored[name], asked.get(name, 0.0)), joined[name]) for name in {**asked, **scored}}
        )
        if self.surrogate is not None:
            smiles, scores = [one.smiles for one, _ in found], [score for _, score in found]
            # As they will be read when the run is resumed: some features depend on the order of the atoms.
            self.surrogate.add(smiles, [reread(text) for text in smiles], scores, self.generator)

    def forget_open(self) -> None:
        """Nothing that was proposed and is not scored yet will be."""
        self._open.clear()

    def _pool(self, n: int, brood: Brood, names: Collection[Origin]) -> list[Proposal]:
        """What operators make of a brood, each molecule once, for n to be chosen in the end."""
        plan = self.plan
        pool: dict[str, Proposal] = {}
        for name, quota in self.bandit.quotas(plan.pool, self.generator, names).items():
            # What would be scored of an operator whose proposals are as good as those of others.
            share = quota / (plan.pool * (1 + self._generations))
            self._asked[name] = self._asked.get(name, 0.0) + n * share
            for one in self._proposed(name, quota, brood):
                pool.setdefault(one.smiles, one)
        return list(pool.values())

    @property
    def _generations(self) -> int:
        """How often children of what is wanted join: not where no candidate is wanted more than others."""
        return self.plan.generations if self.plan.acquisition in VALUED and self._breeders else 0

    @property
    def _breeders(self) -> list[Origin]:
        return [name for name in self.plan.operators if name in OPERATORS]

    def _chosen(self, n: int) -> list[Proposal]:
        ranked = (self.archive.smiles[place] for place in self.archive.ranked)
        best = (smiles for smiles in ranked if smiles in self.islands)
        plan = self.plan
        if "graft" in plan.operators and len(self.stock) < _LEAST_STOCK:
            self._written(2 * _LEAST_STOCK)
        pool = self._pool(n, self._brood(best, _PARENTS), plan.operators)
        if self.surrogate is None or plan.acquisition is None:
            return self._sound((pool[i] for i in self.generator.permutation(len(pool))), n)
        wanted = round(plan.unscreened * n) if "policy" in plan.operators else 0
        # Beside what it has of the pool, which may be little: some are no molecules, some are known.
        written = self._written(4 * wanted)
        own = [replace(one, screened=False) for one in self._sound(written, wanted)]
        kept = {one.smiles for one in own}
        rest = [*{one.smiles: one for one in [*written, *pool] if one.smiles not in kept}.values()]
        if not rest:
            return own
        candidates = Candidates(rest, self.surrogate)
        if plan.acquisition in VALUED:
            candidates = self._hopeful(candidates, n, kept)
        places = chosen(
            plan.acquisition,
            self.surrogate.expect(candidates.seen, covariance=plan.acquisition != "random"),
            len(candidates.proposals) if plan.chemistry == "strict" else n - len(own),
            best=float(self.surrogate.targets().max()),
            generator=self.generator,
            boldness=plan.boldness,
        )
        return [*own, *self._sound((candidates.proposals[i] for i in places), n - len(own))]

    def _unscreened(self, n: int) -> list[Proposal]:
        """What the policy writes, as it comes; while all scores are alike what of it tells most."""
        found: dict[str, Proposal] = {}
        for _ in range(_ROUNDS):
            if self._all_alike:
                # What makes a difference is rare, and so many different parts of molecules are tried a call.
                written = sorted(self._written(8 * n), key=lambda one: -len(environments(one.mol, "ecfp6")))
            else:
                written = self._written(4 * n)
            sound = self._sound((one for one in written if one.smiles not in found), n - len(found))
            found |= {one.smiles: replace(one, screened=False) for one in sound}
            if len(found) == n:
                break
        return [*found.values()]

    def _hopeful(self, candidates: Candidates, n: int, kept: set[str]) -> Candidates:
        """The most hopeful of candidates and of generations of children of what is wanted of them."""
        surrogate, acquisition = candidates.surrogate, self.plan.acquisition
        assert acquisition is not None
        targets = surrogate.targets()
        best = float(targets.max())
        known = {one.smiles for one in candidates.proposals} | kept
        expected = surrogate.expect(candidates.seen)
        for _ in range(self._generations):
            wanted = values(
                acquisition, expected, best=best, generator=self.generator, boldness=self.plan.boldness
            )
            texts = [*(one.smiles for one in candidates.proposals), *surrogate.smiles]
            order = torch.cat([wanted, targets]).argsort(descending=True, stable=True).tolist()
            # What was scored elsewhere is known, and not bred from.
            here = (texts[i] for i in order if i < len(texts) - len(targets) or texts[i] in self.islands)
            brood = self._brood(here, self.plan.brood)
            made = [one for one in self._pool(n, brood, self._breeders) if one.smiles not in known]
            if made:
                known.update(one.smiles for one in made)
                further = Candidates(made, surrogate)
                expected = expected.joined(surrogate.expect(further.seen))
                candidates = candidates.joined(further)
        # Those that could be among the most wanted, whatever the boldness.
        hopes = expected.mean + 0.5 * expected.sd
        return candidates.some(hopes.argsort(descending=True, stable=True)[:_SHORTLIST])

    def _brood(self, ranked: Iterable[str], size: int) -> Brood:
        return Brood(ranked, size, family=self.plan.family, relatives=self.relatives)

    def _sound(self, proposals: Iterable[Proposal], n: int) -> list[Proposal]:
        """The first n that are read as they were written; with strict chemistry those that are sound."""
        wanted = (
            one
            for one in proposals
            if canonical(one.smiles) == one.smiles and (self.plan.chemistry != "strict" or is_sound(one.mol))
        )
        return [*islice(wanted, n)]

    def _fits(self, mol: Mol) -> bool:
        return (self.plan.chemistry == "any" or is_known(mol)) and (self._may_be is None or self._may_be(mol))

    def _is_new(self, smiles: str) -> bool:
        return smiles not in self.archive and smiles not in self._open

    @property
    def _writer(self) -> Policy:
        """The agent; the prior while there was nothing to learn, and on an island, as the agent has learnt to
        write what was found elsewhere.
        """
        return self._prior if self._all_alike or self.islands.members is not None else self._agent

    @property
    def _all_alike(self) -> bool:
        """Whether one score is as good as another, so that there is nowhere to search."""
        ranked, scores = self.archive.ranked, self.archive.scores
        return bool(ranked) and scores[ranked[0]] == scores[ranked[-1]]

    def _proposed(self, name: Origin, n: int, brood: Brood) -> list[Proposal]:
        if name == "policy":
            return self._written(n)
        if name == "prefix":
            return self._written(n, self._beginnings(n, brood))
        among = Breeding(brood, self.stock, self.relatives, self.generator)
        made = children(name, n, among, self._is_new, self._fits)
        # What the policy cannot write it cannot learn from.
        knows = self._agent.tokenizer.knows
        return [Proposal(text, text, name, mol) for text, mol in made.items() if knows(text)]

    def _written(self, n: int, beginnings: Sequence[list[int]] | None = None) -> list[Proposal]:
        """What of n texts of the policy are molecules that are not scored yet.

        Args:
            beginnings: tokens that each goes on from.
        """
        if not n:
            return []
        drawn = self._writer.draw(
            n,
            seed=self._seed,
            first_index=self.drawn,
            temperature=self.plan.temperature,
            max_length=self.plan.max_length,
            beginnings=beginnings,
        )
        self.drawn += n
        origin: Origin = "policy" if beginnings is None else "prefix"
        found: dict[str, Proposal] = {}
        for text in self._agent.decode(drawn):
            mol = parse(text)
            if mol is None:
                continue
            smiles = to_smiles(mol)
            if self._is_new(smiles) and self._fits(mol):
                found.setdefault(smiles, Proposal(smiles, text, origin, mol))
        if beginnings is None:
            self.stock.add(found)
        return list(found.values())

    def _beginnings(self, n: int, brood: Brood) -> list[list[int]]:
        """Tokens of molecules, each written in some way, up to some place."""
        tokenizer = self._agent.tokenizer
        found: list[list[int]] = []
        for smiles in brood.parents(n, self.generator):
            text = randomised(self.relatives.mol(smiles), int(self.generator.integers(2**31)))
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
            "islands": self.islands.state(),
            "stock": self.stock.state(),
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
        self.islands.restore(state["islands"])
        self.stock.restore(state["stock"])
        self.generator.bit_generator.state = state["generator"]
        self.drawn = state["drawn"]
        self._open = {
            smiles: Proposal(smiles, text, origin, reread(smiles), screened)
            for smiles, text, origin, screened in state["open"]
        }
        self._asked = dict(state["asked"])
