from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Never

import numpy as np
import pytest

import moldesign.search.proposals as proposals_module
from moldesign.chem.environments import environments
from moldesign.chem.fingerprints import fingerprint, tanimoto
from moldesign.chem.molecules import canonical, read
from moldesign.language.tokenizer import tokenize
from moldesign.policy.checkpoint import load_policy
from moldesign.policy.policy import Policy
from moldesign.rewards.oracle import Evaluation
from moldesign.search.brood import Brood
from moldesign.search.chemistry import is_known, is_sound
from moldesign.search.choices import ORIGINS, Acquisition
from moldesign.search.operators import OPERATORS
from moldesign.search.proposals import Plan, Proposal, Proposals

PLAN = Plan(
    operators=dict.fromkeys(ORIGINS),
    pool=200,
    acquisition="ucb",
    unscreened=0.25,
    fingerprints=("ecfp4",),
    points=1000,
    max_length=60,
)
TARGET = "CCOCCN(CC)C(=O)CC(C)O"


@pytest.fixture(scope="module")
def policy(small_prior: Path) -> Policy:
    return load_policy(small_prior)[0]


def score(proposal: Proposal) -> float:
    target = fingerprint(read(TARGET), "ecfp4")
    return float(tanimoto(target, [fingerprint(proposal.mol, "ecfp4")])[0])


def evaluations(proposals: Iterable[Proposal]) -> list[Evaluation]:
    return [Evaluation(one.smiles, "scored", score(one)) for one in proposals]


def searched(proposals: Proposals, steps: int, n: int = 16) -> list[Proposal]:
    """What was proposed in so many steps, each step's scores learned."""
    everything: list[Proposal] = []
    for _ in range(steps):
        batch = proposals.propose(n)
        proposals.take_in(evaluations(batch))
        everything.extend(batch)
    return everything


def test_each_molecule_is_proposed_once_and_as_it_was_written(policy: Policy) -> None:
    found = searched(Proposals(PLAN, policy, policy, seed=0), 12)
    assert len({one.smiles for one in found}) == len(found)
    assert all(canonical(one.text) == one.smiles for one in found)
    assert all(policy.tokenizer.knows(one.text) for one in found)
    # The policy writes chains, and there is no ring to put another in the place of.
    assert {"policy", *OPERATORS} - {"ring"} <= {one.origin for one in found} <= {*PLAN.operators}


def test_some_of_each_batch_is_what_the_policy_wants(policy: Policy) -> None:
    # A surrogate that prefers anything else.
    proposals = Proposals(replace(PLAN, acquisition="greedy"), policy, policy, seed=0)
    searched(proposals, 6)
    origins = Counter(one.origin for one in proposals.propose(16))
    assert origins["policy"] >= 4


def test_what_has_failed_is_not_proposed_again(policy: Policy) -> None:
    proposals = Proposals(PLAN, policy, policy, seed=0)
    first = proposals.propose(16)
    failed = [Evaluation(one.smiles, "failed", np.nan, reason="no value") for one in first[:4]]
    unpaid = [Evaluation(one.smiles, "unpaid", np.nan) for one in first[4:5]]
    proposals.take_in([*failed, *unpaid, *evaluations(first[5:])])
    assert len(proposals.archive) == len(first) - 5
    others = [one for _ in range(5) for one in proposals.propose(16)]
    assert not {one.smiles for one in first if one is not first[4]} & {one.smiles for one in others}


def test_beginnings_are_those_of_good_molecules(policy: Policy) -> None:
    plan = replace(PLAN, operators={"prefix": None}, acquisition=None, pool=60)
    proposals = Proposals(plan, policy, policy, seed=0)
    # Only one molecule is worth going on from: each of its texts begins in one of few ways.
    proposals.archive.add("NCCCCCCCCO", 1.0)
    for text in ("CC", "CCC", "CCCC"):
        proposals.archive.add(text, 0.0)
    found = proposals.propose(4)
    assert {one.origin for one in found} == {"prefix"}
    for one in found:
        assert tokenize(one.text)[0] in "NCO"


def test_the_search_finds_more_than_the_policy_writes(policy: Policy) -> None:
    means = {}
    for name, plan in {
        "search": PLAN,
        "no surrogate": replace(PLAN, acquisition=None),
        "policy": replace(PLAN, operators={"policy": None}, acquisition=None),
    }.items():
        runs = [searched(Proposals(plan, policy, policy, seed), 12) for seed in range(2)]
        best = [np.sort([score(one) for one in found])[-10:].mean() for found in runs]
        means[name] = np.mean(best)
    assert means["search"] > means["no surrogate"] > means["policy"]
    assert means["search"] > means["policy"] + 0.1


@pytest.mark.parametrize("acquisition", ["ucb", "thompson", "information", None])
def test_a_search_goes_on_from_its_state(policy: Policy, acquisition: Acquisition | None) -> None:
    plan = replace(
        PLAN,
        acquisition=acquisition,
        points=60,
        generations=2,
        properties=(0.0, 0.75),
        targets="both",
        patience=20,
    )
    whole, other = Proposals(plan, policy, policy, seed=3), Proposals(plan, policy, policy, seed=3)
    searched(whole, 7)
    under_way = whole.propose(16)
    other.restore(whole.state())
    for one in (whole, other):
        one.take_in(evaluations(under_way))
    first, second = (searched(one, 4) for one in (whole, other))
    assert [(one.text, one.origin) for one in first] == [(one.text, one.origin) for one in second]


def test_breeding_from_what_is_wanted_finds_better(policy: Policy) -> None:
    # Of the same hundred molecules that were scored: whole searches differ more by chance than by breeding.
    known = Proposals(replace(PLAN, operators={"policy": None}), policy, policy, seed=0).propose(100)
    plan = replace(PLAN, acquisition="greedy", operators=dict.fromkeys(OPERATORS), pool=60, unscreened=0.0)
    means: dict[int, list[float]] = {0: [], 3: []}
    for generations, found in means.items():
        for seed in range(4):
            proposals = Proposals(replace(plan, generations=generations), policy, policy, seed)
            proposals.take_in(evaluations(known))
            found.append(np.mean([score(one) for one in proposals.propose(16)]).item())
    assert min(means[3]) > max(means[0])


def test_a_small_brood_is_of_what_is_wanted_most(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parents of a generation are the first of what is wanted, and so many of them."""
    sizes: list[int] = []

    class Watched(Brood):
        def parents(self, n: int, generator: np.random.Generator) -> list[str]:
            sizes.append(len(self.smiles))
            return super().parents(n, generator)

    monkeypatch.setattr(proposals_module, "Brood", Watched)
    for brood in (1, 20):
        plan = replace(PLAN, generations=2, brood=brood, operators={"edit": None}, pool=60, unscreened=0.0)
        proposals = Proposals(plan, policy, policy, 0)
        proposals.take_in(evaluations(proposals.propose(40)))
        sizes.clear()
        proposals.propose(16)
        # First of all that was scored, then twice of a brood.
        assert [*dict.fromkeys(sizes)] == [40, brood]


@pytest.mark.parametrize(("acquisition", "bred"), [("ucb", True), ("random", False), ("information", False)])
def test_generations_go_towards_what_is_wanted_where_that_means_something(
    policy: Policy, acquisition: Acquisition, bred: bool
) -> None:
    plan = replace(PLAN, acquisition=acquisition, pool=40, operators={"edit": None})
    found = []
    for generations in (0, 2):
        proposals = Proposals(replace(plan, generations=generations), policy, policy, seed=0)
        proposals.take_in(evaluations(Proposals(plan, policy, policy, seed=0).propose(16)))
        found.append([one.smiles for one in proposals.propose(12)])
    assert (found[0] != found[1]) is bred


def test_strict_chemistry_is_proposed_alone(policy: Policy) -> None:
    # Of what this prior writes next to nothing is sound but short chains, which are bred from.
    found = searched(Proposals(replace(PLAN, chemistry="strict"), policy, policy, seed=0), 5, n=6)
    assert len(found) >= 15
    assert {"policy"} < {one.origin for one in found}
    assert all(is_sound(one.mol) for one in found)
    anything = searched(Proposals(PLAN, policy, policy, seed=0), 2)
    assert not all(is_sound(one.mol) for one in anything)


def test_unknown_chemistry_is_not_proposed(policy: Policy) -> None:
    found = searched(Proposals(replace(PLAN, chemistry="known"), policy, policy, seed=0), 4)
    assert len(found) > 30
    assert all(is_known(one.mol) for one in found)
    anything = searched(Proposals(PLAN, policy, policy, seed=0), 4)
    assert not all(is_known(one.mol) for one in anything)


def test_while_all_scores_are_alike_the_prior_writes(policy: Policy) -> None:
    silent = Policy(policy.network, policy.tokenizer)
    proposals = Proposals(PLAN, silent, policy, seed=0)
    parts = []
    for _ in range(3):
        batch = proposals.propose(16)
        assert {(one.origin, one.screened) for one in batch} == {("policy", False)}
        parts.append(np.mean([len(environments(one.mol, "ecfp6")) for one in batch]))
        proposals.take_in([Evaluation(one.smiles, "scored", 0.0) for one in batch])
    # Once that is known, molecules of many different parts: one of them may be what is looked for.
    assert min(parts[1:]) > 1.5 * parts[0]
    proposals.take_in([Evaluation("CCCCCCCO", "scored", 0.3)])
    assert any(one.screened for one in proposals.propose(16))


def test_an_island_begins_with_what_the_prior_writes(policy: Policy) -> None:
    class Unused(Policy):
        def draw(self, *arguments: object, **others: object) -> Never:
            raise AssertionError("the agent has learnt to write what was found elsewhere")

    agent = Unused(policy.network, policy.tokenizer)
    proposals = Proposals(replace(PLAN, patience=20), agent, policy, seed=0)
    proposals.archive.add("CCN", 0.9)
    proposals.archive.add("CCO", 0.1)
    proposals.islands.members = set()
    founders = searched(proposals, 4)
    assert not any(one.screened for one in founders)
    assert "CCN" not in (members := proposals.islands.members or set())
    assert len(members) >= 50
    later = proposals.propose(16)
    assert any(one.screened for one in later)
