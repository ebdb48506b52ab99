"""The estimators at work: each learns through the loop, and keeps, draws and reports what it says."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from moldesign.chem.molecules import canonical
from moldesign.language.tokenizer import PAD_INDEX, SPECIALS, Tokenizer
from moldesign.policy.beam import enumerate_sequences
from moldesign.policy.checkpoint import Provenance, load_policy, save_policy
from moldesign.policy.policy import Policy
from moldesign.policy.settings import Architecture
from moldesign.policy.trajectories import Sequences
from moldesign.rl.choices import ESTIMATORS
from moldesign.rl.memory import Remembered, ReplayMemory
from moldesign.rl.methods import Method
from moldesign.rl.optimize import optimize
from moldesign.rl.recipes import RECIPES
from moldesign.rl.rollout import Rollout, as_remembered, rewarded
from moldesign.rl.run import Run
from moldesign.rl.settings import OptimizeSettings
from moldesign.rl.steps import StepReport
from moldesign.rl.updates import Learned

#: Leaves the search for the nearest training molecule out.
QUICK = {"nearest_for": 0}


def nitrogens(smiles: Sequence[str]) -> list[float]:
    """The share of N among the letters."""
    return [text.upper().count("N") / max(1, sum(map(str.isalpha, text))) for text in smiles]


def ran(prior: Path, estimator: str, **settings: Any) -> tuple[Run, list[StepReport]]:
    reports: list[StepReport] = []
    chosen = {
        "budget": None,
        "max_steps": 25,
        "batch_size": 32,
        "max_length": 16,
        "learning_rate": 0.03,
        "kl_coefficient": 0.0,
        "diversity": False,
        "export": QUICK,
        **settings,
    }
    run = optimize(nitrogens, prior=prior, estimator=estimator, progress=reports.append, **chosen)
    return run, reports


def weights_of(policy: Policy) -> list[Tensor]:
    return [weights.detach().clone() for weights in policy.network.parameters()]


def same(first: Sequence[Tensor], second: Sequence[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def few_letters(*, seed: int = 1, scale: float = 1.0) -> Policy:
    """Writes C and N, of a few tokens: a language that can be enumerated."""
    shape = Architecture(layers=1, hidden_size=8, embedding_size=4)
    policy = Policy.fresh(shape, Tokenizer([*SPECIALS, "C", "N"]), seed=seed)
    policy.half_precision = False
    with torch.no_grad():
        for weights in policy.network.parameters():
            weights.mul_(scale)
    return policy


@pytest.fixture(scope="module")
def few_letters_prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prior") / "few.safetensors"
    save_policy(few_letters(), path, Provenance(name="few"))
    return path


# -- through the loop ----------------------------------------------------------------------------------

#: What an estimator needs to learn within so few steps. Sigma as the rewards of these short chains want it:
#: with tb a chain of N has to outweigh the many strings that are none.
PACE: dict[str, dict[str, Any]] = {
    "dap": {"sigma": 20.0},
    "ahc": {"sigma": 20.0},
    "augmented-memory": {"sigma": 20.0, "max_steps": 15},
    "tb": {"sigma": 60.0},
    "ppo": {"max_steps": 15},
    "trpo": {"max_steps": 15, "trust_region": 0.01, "cg_iterations": 4},
    "hill-climb": {"top_share": 0.25},
}


def test_every_estimator_has_a_recipe() -> None:
    assert RECIPES.keys() == ESTIMATORS.keys()


@pytest.mark.parametrize("estimator", [name for name in ESTIMATORS if name != "exact"])
def test_it_learns(small_prior: Path, estimator: str) -> None:
    _, reports = ran(small_prior, estimator, **PACE.get(estimator, {}))
    learns(reports)


@pytest.mark.parametrize(
    ("estimator", "settings"),
    [
        ("reinforce", {"baseline": "value"}),
        ("reinforce", {"baseline": "greedy"}),
        ("reinforce", {"baseline": "least-variance"}),
        ("reinforce", {"baseline": "moving-average", "reward_to_go": True}),
        ("off-policy", {"importance": "v-trace"}),
        ("off-policy", {"importance": "self-normalised"}),
        ("off-policy", {"importance": "per-decision"}),
    ],
)
def test_so_it_does_in_its_other_forms(small_prior: Path, estimator: str, settings: dict[str, Any]) -> None:
    _, reports = ran(small_prior, estimator, **settings)
    learns(reports)


def learns(reports: Sequence[StepReport]) -> None:
    """The prior's mean score is 0.18, that of different molecules 0.3; the standard error is 0.03."""
    scores = [report.mean_score for report in reports]
    assert scores[0] < 0.35
    assert np.mean(scores[-len(scores) // 3 :]) > scores[0] + 0.2
    assert not any(report.rolled_back for report in reports)


def test_exact_goes_up_the_expectation(few_letters_prior: Path) -> None:
    run, reports = ran(few_letters_prior, "exact", max_length=4, max_steps=20, learning_rate=0.01)
    every = enumerate_sequences(run.agent, 4)
    # Whatever the policy, every sequence is there each time: the score of a batch does not change.
    assert len({report.mean_score for report in reports}) == 1
    assert run.oracle.calls < len(every.tokens)
    earned = torch.tensor([0.0 if not text else nitrogens([text])[0] for text in run.agent.decode(every)])
    before, after = (float(p.score(every.tokens).sum(1).exp() @ earned) for p in (run.prior, run.agent))
    assert after > before + 0.1
    # What is said of the policy is of the policy, and not of the list of all that can be written.
    prior = run.prior.score(every.tokens)
    pi = prior.sum(1).exp()
    assert reports[0].agent_nll == pytest.approx(-float(pi @ prior.sum(1)), rel=1e-3)
    lengths = (every.tokens != PAD_INDEX).sum(1).float()
    assert reports[0].entropy == pytest.approx(-float(pi @ prior.sum(1)) / float(pi @ lengths), rel=1e-3)
    now = run.agent.score(every.tokens)
    end = float(now.sum(1).exp() @ (now - prior).sum(1))
    assert reports[0].prior_kl == pytest.approx(0.0, abs=1e-3)
    assert reports[-1].prior_kl == pytest.approx(end, rel=0.2)


@pytest.mark.parametrize(
    "estimator", ["ppo", "augmented-memory", "tb", "off-policy", "without-replacement", "rao-blackwell"]
)
def test_a_run_is_a_function_of_its_seed(small_prior: Path, estimator: str) -> None:
    first, again, other = (
        ran(small_prior, estimator, max_steps=3, batch_size=16, seed=seed)[0] for seed in (5, 5, 6)
    )
    assert first.ledger["smiles"].tolist() == again.ledger["smiles"].tolist()
    assert same(weights_of(first.agent), weights_of(again.agent))
    assert first.ledger["smiles"].tolist() != other.ledger["smiles"].tolist()


@pytest.mark.parametrize("purge", [False, True])
def test_what_earns_nothing_any_more_is_forgotten_where_purged(small_prior: Path, purge: bool) -> None:
    # Chains are their own scaffolds, and one of each is enough here.
    _, reports = ran(
        small_prior,
        "dap",
        max_steps=3,
        diversity=True,
        bucket_size=1,
        diversity_min_score=0.0,
        replay_size=4,
        purge=purge,
    )
    assert [report.replayed for report in reports] == ([0, 0, 0] if purge else [0, 4, 4])


def test_where_the_greedy_molecule_alone_could_be_scored_nothing_is_learned(tmp_path: Path) -> None:
    policy = few_letters(seed=4, scale=4.0)
    save_policy(policy, tmp_path / "sure.safetensors", Provenance(name="sure"))
    (likeliest,) = policy.decode(policy.draw(1, seed=0, temperature=1e-6, max_length=8))

    def only_that(smiles: list[str]) -> list[float | None]:
        return [0.5 if text == canonical(likeliest) else None for text in smiles]

    reports: list[StepReport] = []
    optimize(
        only_that, prior=tmp_path / "sure.safetensors", estimator="reinforce", baseline="greedy",
        replay_size=0, batch_size=2, max_length=8, max_steps=4, progress=reports.append, export=QUICK,
    )  # fmt: skip
    assert [report.step for report in reports] == [1, 2, 3, 4]
    assert any(math.isnan(report.loss) and report.mean_score == 0.5 for report in reports)


# -- step by step --------------------------------------------------------------------------------------


class Course:
    """A method and its batches, scored by their share of N."""

    def __init__(self, policy: Policy, estimator: str, **settings: Any) -> None:
        self.settings = OptimizeSettings.of(
            estimator=estimator, **{"batch_size": 16, "max_length": 16, "learning_rate": 0.02, **settings}
        )
        self.method = Method(self.settings, policy.clone(), policy)

    def batch(self, number: int, again: Sequence[Remembered] = ()) -> Rollout:
        drawn = self.method.draw(first_index=number * self.settings.batch_size, again=again)
        rewards = np.array(nitrogens(self.method.agent.decode(drawn)))
        return rewarded(self.method.read(drawn, again), range(len(rewards)), rewards, again)

    def step(self, number: int, again: Sequence[Remembered] = ()) -> Learned:
        return self.method.learn(self.batch(number, again))

    def everything(self) -> list[Tensor]:
        """All that steps change."""
        method = self.method
        parts = [*weights_of(method.agent), method.log_z.detach().clone()]
        parts += [
            value
            for state in method.update.optimizer.state_dict()["state"].values()
            for value in copy.deepcopy(state).values()
        ]
        if method.critic is not None:
            parts += [value.clone() for value in method.critic.state_dict().values()]
        value = getattr(method.baseline, "value", None)
        return parts if value is None else [*parts, value.clone()]


@pytest.fixture
def policy(small_prior: Path) -> Policy:
    return load_policy(small_prior)[0]


@pytest.mark.parametrize(
    ("estimator", "settings"),
    [
        ("reinforce", {"baseline": "moving-average"}),
        ("ppo", {}),
        ("trpo", {"cg_iterations": 2}),
        ("tb", {"sigma": 20.0}),
        ("rao-blackwell", {}),
    ],
)
@pytest.mark.parametrize("before", [0, 2])
def test_a_state_brings_back_everything(
    policy: Policy, estimator: str, settings: dict[str, Any], before: int
) -> None:
    course = Course(policy, estimator, **settings)
    for number in range(before):
        course.step(number)
    state = course.method.state()
    begin = course.everything()
    course.method.slow_down(0.5)
    ends = []
    for _ in range(2):
        course.method.restore(state)
        assert same(course.everything(), begin) or not before
        for number in (2, 3):
            course.step(number)
        ends.append(course.everything())
    assert same(*ends)
    assert not same(ends[0][:3], begin[:3])


def test_slower_steps_are_half_as_far(policy: Policy) -> None:
    course = Course(policy, "reinforce", learning_rate=0.02)
    before = weights_of(policy)
    assert course.method.slow_down(0.5) == "learning rate 0.01"
    course.step(0)
    # The first step of Adam is the learning rate, whatever the gradient.
    far = max(
        float((a - b).abs().max()) for a, b in zip(before, weights_of(course.method.agent), strict=True)
    )
    assert far == pytest.approx(0.01, rel=1e-3)
    trust = Course(policy, "trpo", trust_region=0.01)
    assert trust.method.slow_down(0.25) == "trust region 0.0025"
    assert 0.0 < trust.step(0).facts["step_kl"] <= 0.0025


# -- what is replayed ----------------------------------------------------------------------------------


def remembered(course: Course, *texts: str, reward: float = 1.0) -> list[Remembered]:
    drawn = Sequences(course.method.agent.encode(texts), None)
    parts = as_remembered(course.method.read(drawn, []), len(texts))
    smiles = [canonical(text) for text in texts]
    return [Remembered(str(one), reward, *part) for one, part in zip(smiles, parts, strict=True)]


def test_remembered_molecules_are_written_in_other_ways(policy: Policy) -> None:
    course = Course(policy, "augmented-memory")
    texts = ["CC(N)CO", "NCCCO", "C(=O)NCC", "CCOCN"]
    rows = remembered(course, *texts)
    course.step(0)
    found: set[str] = set()
    for _ in range(4):
        for row, text in zip(course.method.rewritten(rows), rows, strict=True):
            (written,) = policy.decode(Sequences(torch.tensor(row.tokens)[None], None))
            assert canonical(written) == row.smiles == text.smiles
            tokens = policy.encode([written])
            np.testing.assert_allclose(row.prior_log_probs, policy.score(tokens)[0], rtol=1e-5)
            # Its loss does not ask who wrote them.
            assert np.isnan(row.drawing_log_probs).all()
            found.add(written)
    assert len(found) > 8
    # Of the ring the vocabulary has no word.
    odd = replace(rows[0], smiles="C1CC1")
    assert course.method.rewritten([odd])[0] is odd
    # Nor does trajectory balance ask for the prior.
    (row,) = Course(policy, "tb").method.rewritten(rows[:1])
    assert np.isnan(row.prior_log_probs).all()


@pytest.mark.parametrize("estimator", [name for name, choice in ESTIMATORS.items() if choice.rehearses])
def test_rehearsal_takes_its_rounds_and_makes_the_memory_likelier(policy: Policy, estimator: str) -> None:
    course = Course(policy, estimator, replay_rounds=20, sigma=20.0)
    memory = ReplayMemory(10)
    kept, batch = remembered(course, "NNCN", "NNN"), remembered(course, "NNNN", reward=0.9)
    memory.add(kept)
    agent, texts = course.method.agent, ["NNCN", "NNN", "NNNN"]
    before = agent.nll(texts)
    course.method.rehearse([*batch, kept[0]], memory)
    assert (agent.nll(texts) < before - 1.0).all()
    assert {float(state["step"]) for state in course.method.update.optimizer.state.values()} == {20}
    # Of nothing there is nothing to rehearse.
    course.method.rehearse([], ReplayMemory(10))
    assert {float(state["step"]) for state in course.method.update.optimizer.state.values()} == {20}


# -- what is reported ----------------------------------------------------------------------------------


def test_the_facts_of_a_step_by_hand(policy: Policy) -> None:
    course = Course(policy, "reinforce", kl_coefficient=0.0, replay_size=0)
    rollout = course.batch(0)
    valid, rewards = rollout.valid_steps, rollout.rewards
    before, agent = rollout.log_probs.detach().clone(), course.method.agent
    facts = course.method.learn(rollout).facts
    assert facts["entropy"] == pytest.approx(-float(before.sum() / valid.sum()))
    others = (rewards.sum() - rewards) / (len(rewards) - 1)
    of_actions = (rewards - others)[:, None].expand(valid.shape)[valid]
    assert facts["advantage_mean"] == pytest.approx(float(of_actions.mean()), abs=1e-6)
    assert facts["advantage_std"] == pytest.approx(float(of_actions.std()), rel=1e-5)
    ratio = (agent.score(rollout.tokens) - before)[valid]
    assert facts["step_kl"] == pytest.approx(float((ratio.exp() - 1 - ratio).mean()), rel=0.05)
    assert facts["step_kl"] > 0
    assert "effective_sample_size" not in facts
    assert "explained_variance" not in facts
    assert "log_z" not in facts
    # They cost a pass each, and are looked at every tenth time.
    some = [sorted({"gradient_variance", "step_kl"} & course.step(n).facts.keys()) for n in range(1, 11)]
    assert some == [[]] * 9 + [["gradient_variance", "step_kl"]]


def test_the_variance_of_the_gradient_is_that_between_batches(policy: Policy) -> None:
    gradients, told = [], []
    for number in range(80):
        course = Course(policy, "reinforce", baseline="none", kl_coefficient=0.0, max_length=8)
        parameters = list(course.method.agent.network.parameters())
        rollout = course.batch(number)
        assert course.method.recipe.weigh is not None
        loss = course.method.loss(course.method.recipe.weigh(course.method, rollout))
        parts = torch.autograd.grad(loss, parameters, retain_graph=True)
        gradients.append(torch.cat([part.flatten() for part in parts]))
        told.append(course.method.learn(rollout).facts["gradient_variance"])
    between = float(torch.stack(gradients).var(0).sum())
    # The standard errors of both are about 5%.
    assert np.mean(told) == pytest.approx(between, rel=0.25)


def test_effective_sample_size_of_what_is_stored(policy: Policy) -> None:
    course = Course(policy, "off-policy", importance_cap=2.0)
    rows = remembered(course, "CCN", "NNO", "CO")
    # Drawn by policies to which they were likelier by 0 and 1 nats, and less likely by more than the cap.
    lead = [0.0, 1.0, -5.0]
    drawn = [
        replace(row, drawing_log_probs=row.drawing_log_probs + np.float32(gap / len(row.tokens)))
        for row, gap in zip(rows, lead, strict=True)
    ]
    weights = [1.0, math.exp(-1.0), 2.0]
    facts = course.step(0, drawn).facts
    assert facts["effective_sample_size"] == pytest.approx(
        sum(weights) ** 2 / sum(weight**2 for weight in weights), rel=0.02
    )
    assert "effective_sample_size" not in course.step(1).facts


def test_epochs_and_clipping_are_told(policy: Policy) -> None:
    course = Course(policy, "ppo", epochs=3, clip_ratio=1e-4, target_kl=None)
    facts = course.step(0).facts
    assert facts["epochs"] == 3
    assert facts["clip_fraction"] > 0.9
    still = Course(policy, "ppo", epochs=5, learning_rate=0.5, target_kl=1e-3)
    assert still.step(0).facts["epochs"] == 1


@pytest.mark.parametrize("estimator", ["a2c", "ppo", "trpo"])
def test_the_critic_comes_to_explain_returns(policy: Policy, estimator: str) -> None:
    course = Course(policy, estimator, batch_size=64, learning_rate=1e-4, trust_region=1e-6, gae_lambda=1.0,
                    epochs=1, cg_iterations=2, critic_learning_rate=0.01, kl_coefficient=0.0)  # fmt: skip
    explained = [course.step(number).facts["explained_variance"] for number in range(15)]
    # Of its first values, zeros, nothing is to be expected.
    assert explained[0] == pytest.approx(0.0, abs=1e-6)
    # 0.1 is what can be had of these chains so soon.
    assert np.mean(explained[-5:]) > 0.05


def test_log_z_begins_where_it_is_told_to() -> None:
    course = Course(few_letters(), "tb", log_z_start=-20.0, log_z_learning_rate=0.1, sigma=3.0, max_length=3,
                    batch_size=32, replay_size=0)  # fmt: skip
    # Far too low, and Adam's first step is as long as the learning rate.
    assert course.step(0).facts["log_z"] == pytest.approx(-19.9, abs=1e-3)


def test_trajectory_balance_finds_the_flow() -> None:
    sigma, length = 3.0, 3
    policy = few_letters()
    course = Course(policy, "tb", sigma=sigma, max_length=length, batch_size=32, replay_size=0)
    every = enumerate_sequences(policy, length)
    scores = torch.tensor(nitrogens(policy.decode(every)))
    facts = [course.step(number).facts for number in range(200)]
    flow = (sigma * scores).logsumexp(0)
    assert facts[-1]["log_z"] == pytest.approx(float(course.method.log_z.detach()))
    assert facts[-1]["log_z"] == pytest.approx(float(flow), abs=0.15)
    pi = course.method.agent.score(every.tokens).sum(1)
    np.testing.assert_allclose(pi, sigma * scores - flow, atol=0.5)


def test_a_mean_over_the_policy_of_a_set_that_is_everything() -> None:
    policy = few_letters()
    every = enumerate_sequences(policy, 3)
    course = Course(policy, "without-replacement", max_length=3, batch_size=15)
    rollout = course.batch(0)
    assert len(rollout) == 15
    lengths = (every.tokens != PAD_INDEX).sum(1).float()
    expected = float(policy.score(every.tokens).sum(1).exp() @ lengths)
    found = float(course.method.mean(rollout, rollout.valid_steps.float()))
    assert found == pytest.approx(expected, rel=1e-3)
    # Of six of them, in the mean over many sets.
    few = Course(policy, "without-replacement", max_length=3, batch_size=6)
    means = [few.method.mean(one, one.valid_steps.float()) for one in map(few.batch, range(100))]
    assert float(torch.stack(means).mean()) == pytest.approx(expected, rel=0.03)


def test_there_is_no_mean_of_no_row(policy: Policy) -> None:
    course = Course(policy, "dap")
    rollout = replace(course.batch(0), drawn=0)
    assert math.isnan(float(course.method.mean(rollout, rollout.log_probs)))
    assert math.isnan(course.method.learn(rollout).facts["entropy"])
    rollout = course.batch(1)
    gap = float(course.method.mean(rollout, rollout.log_probs - rollout.prior_log_probs))
    by_hand = (rollout.log_probs.detach().sum() - rollout.prior_log_probs.sum()) / 16
    assert gap == pytest.approx(float(by_hand), abs=1e-4)


def test_with_overlap_a_batch_is_weighed_by_the_agent_that_drew_it() -> None:
    agent = few_letters(scale=2.0)
    method = Method(
        OptimizeSettings.of(estimator="off-policy", overlap=True, batch_size=6), agent, agent.clone()
    )
    drawn = method.draw(first_index=0, again=[])
    before = agent.score(drawn.tokens)
    with torch.no_grad():
        for parameter in agent.network.parameters():
            parameter.add_(0.1)
    rollout = method.read(drawn, [])
    torch.testing.assert_close(rollout.drawing_log_probs, before)
    assert not torch.allclose(rollout.log_probs, before, atol=1e-3)


def test_a_critic_of_actions_gives_a_state_the_mean_of_its_actions(few_letters_prior: Path) -> None:
    agent, _ = load_policy(few_letters_prior)
    settings = OptimizeSettings.of(estimator="rao-blackwell", baseline="value", batch_size=8)
    method = Method(settings, agent, agent.clone())
    assert method.critic is not None
    with torch.no_grad():
        list(method.critic.parameters())[-1].copy_(torch.arange(len(agent.tokenizer)).float())
    rollout = method.read(method.draw(first_index=0, again=[]), [])
    assert rollout.distribution is not None
    found = method.baseline(rollout, rollout.rewards)
    expected = (rollout.distribution.exp() * torch.arange(len(agent.tokenizer))).sum(2)
    torch.testing.assert_close(found, expected.detach())


def test_the_greedy_probe_is_no_find(small_prior: Path) -> None:
    asked: list[list[str]] = []

    def score(smiles: list[str]) -> list[float]:
        asked.append(smiles)
        return nitrogens(smiles)

    batches: list[int] = []
    add = ReplayMemory.add

    def counted(memory: ReplayMemory, molecules: Sequence[Remembered]) -> None:
        batches.append(len(molecules))
        add(memory, molecules)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReplayMemory, "add", counted)
        optimize(
            score,
            prior=small_prior,
            estimator="off-policy",
            baseline="greedy",
            batch_size=8,
            max_steps=3,
            export=QUICK,
        )
    assert len(batches) == 3
    assert max(batches) <= 8
