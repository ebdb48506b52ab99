"""Bias and variance of the gradient estimators, against the exact gradient of a small language."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moldesign.chem import qed
from moldesign.chem.molecules import parse
from moldesign.language.tokenizer import END_INDEX, PAD_INDEX, SPECIALS, Tokenizer
from moldesign.policy.beam import enumerate_sequences
from moldesign.policy.policy import Policy
from moldesign.policy.prefixes import PrefixTree
from moldesign.policy.settings import Architecture
from moldesign.rl.methods import Method
from moldesign.rl.rollout import Rollout
from moldesign.rl.settings import OptimizeSettings

#: Of the language: its letters, and the tokens of a sequence at most.
LETTERS, LENGTH = ("C", "N", "O", "="), 5
# What the logit of a bond is lowered by.
_RARE = 2.5
# What that of the end is lowered by, so that the likeliest sequence is not the empty one.
_LONGER = 1.5
#: What KL to the prior costs in the objective, in reward a nat.
KL = 0.05


@dataclass(frozen=True)
class Objective:
    """scale * grad(reward * E[R] - kl * KL(pi || prior) + entropy * H(pi)): what an estimator estimates."""

    scale: float = 1.0
    reward: float = 1.0
    kl: float = KL
    entropy: float = 0.0


class Language:
    """Every sequence of a few tokens of C, N, O and =, a policy that writes them, and their QED.

    The policy's log-probabilities are a table over beginnings and actions; a batch takes its rows from
    there, so that a gradient in the table, times the table's Jacobian, is one in the weights.

    Attributes:
        tokens: (L, T). rewards: (L,) QED, 0 for what is no molecule.
        table: (M, V) nats, of M beginnings; differentiable. prior, earlier: of the prior, and of a
            policy that the agent was before; no gradient.
        jacobian: (M * V, P) of the table in the weights.

    Args:
        length: tokens of a sequence at most.
    """

    def __init__(self, seed: int = 0, *, length: int = LENGTH) -> None:
        tokenizer = Tokenizer([*SPECIALS, *LETTERS])
        shape = Architecture(layers=1, hidden_size=8, embedding_size=4)
        self.agent = _shaped(Policy.fresh(shape, tokenizer, seed=seed))
        self.prior_policy = _shaped(Policy.fresh(shape, tokenizer, seed=seed + 1))
        self.tokens = enumerate_sequences(self.agent, length).tokens
        self.tree = PrefixTree.of(self.tokens)
        self.valid = self.tokens != PAD_INDEX
        texts = [
            tokenizer.decode([token for token in row if token != PAD_INDEX]) for row in self.tokens.tolist()
        ]
        mols = [parse(text) if text else None for text in texts]
        self.rewards = torch.tensor([0.0 if mol is None else qed.qed(mol) for mol in mols])
        first = _first_places(self.tree.nodes, self.valid)
        parameters = list(self.agent.network.parameters())

        def tabled(policy: Policy) -> Tensor:
            distribution = policy.read(self.tokens, distribution=True).distribution
            assert distribution is not None
            return distribution.flatten(0, 1)[first]

        rows = tabled(self.agent)
        self.jacobian = torch.stack(
            [
                torch.cat([g.flatten() for g in torch.autograd.grad(entry, parameters, retain_graph=True)])
                for entry in rows.flatten()
            ]
        )
        self.table = rows.detach().clone().requires_grad_(True)
        with torch.no_grad():
            self.prior = tabled(self.prior_policy)
            states = self.agent.read(self.tokens, states=True).states
            assert states is not None
            self.states = states.flatten(0, 1)[first]
            # On the way from the agent to the prior.
            self.earlier = torch.log_softmax(0.7 * self.table + 0.3 * self.prior, -1)

    def log_probs(self, table: Tensor, rows: Tensor) -> Tensor:
        """(B, T) nats of the actions of some sequences (B,) by a table; zero after the end."""
        found = table[self.tree.nodes[rows], self.tokens[rows]]
        return found.masked_fill(~self.valid[rows], 0.0)

    def exact(self, objective: Objective) -> Tensor:
        """(P,) the gradient, summed over all sequences."""
        everything = torch.arange(len(self.tokens))
        sequence = self.log_probs(self.table, everything).sum(1)
        prior = self.log_probs(self.prior, everything).sum(1)
        pi = sequence.exp()
        value = (
            objective.reward * (pi * self.rewards).sum()
            - objective.kl * (pi * (sequence - prior)).sum()
            - objective.entropy * (pi * sequence).sum()
        )
        (gradient,) = torch.autograd.grad(objective.scale * value, self.table)
        return gradient.flatten() @ self.jacobian

    def draw(self, n: int, generator: torch.Generator, *, table: Tensor | None = None) -> Tensor:
        """(n,) sequences of the agent, or of another table, independent of each other."""
        pi = self.log_probs(self.table if table is None else table, torch.arange(len(self.tokens)))
        return torch.multinomial(pi.detach().sum(1).exp(), n, replacement=True, generator=generator)

    def draw_different(self, n: int, generator: torch.Generator) -> Tensor:
        """(n,) different sequences, as if drawn one after the other from what is left."""
        sequence = self.log_probs(self.table, torch.arange(len(self.tokens))).detach().sum(1).double()
        uniform = torch.rand(len(sequence), generator=generator, dtype=torch.float64)
        return (sequence - torch.log(-torch.log(uniform))).topk(n).indices

    def rollout(self, rows: Tensor, *, stored: Tensor | None = None) -> Rollout:
        """The rollout of drawn sequences and, behind them, of stored ones that the earlier policy wrote."""
        drawn = len(rows)
        rows = rows if stored is None else torch.cat([rows, stored])
        log_probs = self.log_probs(self.table, rows)
        drawing = log_probs.detach().clone()
        if stored is not None:
            drawing[drawn:] = self.log_probs(self.earlier, stored)
        greedy = self.rewards[self._likeliest()]
        return Rollout(
            tokens=self.tokens[rows],
            log_probs=log_probs,
            prior_log_probs=self.log_probs(self.prior, rows),
            drawing_log_probs=drawing,
            rewards=self.rewards[rows],
            advantages=torch.zeros((len(rows), 1)),
            drawn=drawn,
            distribution=self.table[self.tree.nodes[rows]],
            prior_distribution=self.prior[self.tree.nodes[rows]],
            states=self.states[self.tree.nodes[rows]],
            probe=float(greedy),
        )

    def _likeliest(self) -> int:
        """The sequence whose every action is the likeliest."""
        best = self.table.detach().argmax(1)
        matches = (best[self.tree.nodes] == self.tokens) | ~self.valid
        return int(matches.all(1).nonzero()[0, 0])


def _shaped(policy: Policy) -> Policy:
    """The policy in full precision, so that no two sequences are alike; like a prior it knows what is valid.

    What makes sequences of these letters invalid is the bond alone: with it as rare as in a corpus, most are.
    """
    with torch.no_grad():
        for parameter in policy.network.parameters():
            parameter.mul_(1.5)
        policy.network.head.bias[len(SPECIALS) + LETTERS.index("=")] -= _RARE
        policy.network.head.bias[END_INDEX] -= _LONGER
    return Policy(policy.network, policy.tokenizer, half_precision=False)


def _first_places(nodes: Tensor, valid: Tensor) -> Tensor:
    """(M,) of each node a place in the flattened (L, T) at which it stands."""
    places = valid.flatten().nonzero()[:, 0]
    count = int(nodes.max()) + 1
    out = torch.zeros(count, dtype=torch.int64)
    out[nodes.flatten()[places].flip(0)] = places.flip(0)
    return out


@dataclass(frozen=True)
class Case:
    """An estimator under some settings, and what it is to estimate.

    Attributes:
        unbiased: whether theory says that its mean is the exact gradient.
        drawn: "different" without replacement, "every" for the whole language.
        stored: share of the batch that an earlier policy wrote.
    """

    name: str
    settings: Mapping[str, Any]
    objective: Objective = Objective()
    unbiased: bool = True
    drawn: str = "independent"
    stored: float = 0.0


def _score_function(name: str, **settings: Any) -> Case:
    return Case(name, {"estimator": "reinforce", "kl_coefficient": KL, **settings})


def _case(name: str, estimator: str, *, unbiased: bool = True, **settings: Any) -> Case:
    return Case(name, {"estimator": estimator, "kl_coefficient": KL, **settings}, unbiased=unbiased)


_SIGMA = 1 / KL

#: What is measured; the first is what variances are relative to.
CASES: tuple[Case, ...] = (
    _score_function("reinforce, no baseline", baseline="none"),
    _score_function("reinforce, moving average", baseline="moving-average"),
    Case(
        "reinforce, batch mean",
        {"estimator": "reinforce", "kl_coefficient": KL, "baseline": "batch-mean"},
        unbiased=False,
    ),
    _score_function("reinforce, leave-one-out", baseline="leave-one-out"),
    _score_function("reinforce, least variance", baseline="least-variance"),
    _score_function("reinforce, greedy", baseline="greedy"),
    _score_function("reinforce, value", baseline="value"),
    _score_function("reinforce, leave-one-out, to go", baseline="leave-one-out", reward_to_go=True),
    _score_function("reinforce, value, to go", baseline="value", reward_to_go=True),
    _case("a2c, lambda 1", "a2c", gae_lambda=1.0),
    _case("a2c, lambda 0.95", "a2c", unbiased=False),
    _case("ppo, first epoch", "ppo", unbiased=False),
    _case("trpo, surrogate", "trpo", unbiased=False),
    _case("group", "group", unbiased=False, normalise=False),
    _case("group, divided", "group", unbiased=False),
    Case("dap", {"estimator": "dap", "sigma": _SIGMA}, Objective(scale=2 * _SIGMA)),
    Case(
        "tb",
        {"estimator": "tb", "sigma": _SIGMA},
        Objective(scale=2 * _SIGMA, kl=0.0, entropy=1 / _SIGMA),
    ),
    Case("ahc", {"estimator": "ahc", "sigma": _SIGMA}, Objective(scale=2 * _SIGMA), unbiased=False),
    Case("hill-climb", {"estimator": "hill-climb"}, Objective(kl=0.0), unbiased=False),
    Case(
        "off-policy, unbounded weights",
        {"estimator": "off-policy", "kl_coefficient": KL, "importance_cap": 1e9},
        stored=0.5,
    ),
    Case(
        "off-policy, truncated at 2",
        {"estimator": "off-policy", "kl_coefficient": KL},
        unbiased=False,
        stored=0.5,
    ),
    Case(
        "off-policy, self-normalised",
        {
            "estimator": "off-policy",
            "kl_coefficient": KL,
            "importance": "self-normalised",
            "importance_cap": 1e9,
        },
        unbiased=False,
        stored=0.5,
    ),
    Case(
        "off-policy, per decision",
        {
            "estimator": "off-policy",
            "kl_coefficient": KL,
            "importance": "per-decision",
            "importance_cap": 1e9,
        },
        stored=0.5,
    ),
    Case(
        "off-policy, V-trace",
        {"estimator": "off-policy", "kl_coefficient": KL, "importance": "v-trace"},
        unbiased=False,
        stored=0.5,
    ),
    Case(
        "without-replacement",
        {"estimator": "without-replacement", "kl_coefficient": KL},
        drawn="different",
    ),
    _case("rao-blackwell", "rao-blackwell"),
    Case("exact", {"estimator": "exact", "kl_coefficient": KL}, drawn="every"),
)


@dataclass(frozen=True)
class Measured:
    """What many estimates of one case say.

    Attributes:
        z: the largest |mean - exact| over the weights, in standard errors of the mean.
        bias: norm of mean - exact over that of exact; bias_error: what chance alone makes of it.
        scale: norm of the mean over that of exact; cosine: between the two.
        variance: sum over the weights of the variance of an estimate, over the squared norm of the mean:
            a learning rate takes the scale out.
        seconds: an estimate.
    """

    case: Case
    z: float
    bias: float
    bias_error: float
    scale: float
    cosine: float
    variance: float
    seconds: float = field(compare=False)


def measure(
    case: Case,
    language: Language,
    *,
    estimates: int,
    batch: int,
    seed: int = 0,
    change: Callable[[Method], None] = lambda _: None,
) -> Measured:
    """Many estimates of one case, each of an own batch, against the exact gradient.

    A critic and a moving average learn as they go on, from a few batches before the first that counts.

    Args:
        change: done to the method before the first batch: how a test breaks it.
    """
    settings = OptimizeSettings.of(**case.settings, batch_size=batch, seed=seed)
    method = Method(settings, language.agent.clone(), language.prior_policy)
    change(method)
    generator = torch.Generator().manual_seed(seed)
    if case.drawn == "every":
        estimates = 1
    warm_up = 0 if method.critic is None and settings.baseline != "moving-average" else estimates // 10
    found = []
    started = time.perf_counter()
    for i in range(-warm_up, estimates):
        if i == 0:
            started = time.perf_counter()
        rollout = language.rollout(**_rows(case, language, batch, generator))
        if method.recipe.weigh is not None:
            rollout = method.recipe.weigh(method, rollout)
        method.steps += 1
        loss = method.recipe.loss(method, rollout)
        (gradient,) = torch.autograd.grad(loss, language.table)
        if i >= 0:
            found.append(gradient.flatten())
    seconds = (time.perf_counter() - started) / estimates
    # Descent on the loss is ascent on the objective.
    all_found = -(torch.stack(found) @ language.jacobian).double()
    return _compared(case, all_found, language.exact(case.objective).double(), seconds)


def _rows(case: Case, language: Language, batch: int, generator: torch.Generator) -> dict[str, Tensor]:
    if case.drawn == "every":
        return {"rows": torch.arange(len(language.tokens))}
    if case.drawn == "different":
        return {"rows": language.draw_different(batch, generator)}
    stored = int(case.stored * batch)
    rows = {"rows": language.draw(batch - stored, generator)}
    if stored:
        rows["stored"] = language.draw(stored, generator, table=language.earlier)
    return rows


def _compared(case: Case, found: Tensor, exact: Tensor, seconds: float) -> Measured:
    mean, n = found.mean(0), len(found)
    variance = found.var(0) if n > 1 else torch.zeros_like(mean)
    error = (variance / n).sqrt()
    moving = error > 1e-9 * exact.norm()
    gap = mean - exact
    size = float(exact.norm())
    return Measured(
        case=case,
        z=float((gap[moving] / error[moving]).abs().max()) if bool(moving.any()) else 0.0,
        bias=float(gap.norm()) / size,
        bias_error=math.sqrt(float(variance.sum()) / n) / size,
        scale=float(mean.norm()) / size,
        cosine=float(torch.nn.functional.cosine_similarity(mean, exact, dim=0)),
        variance=float(variance.sum() / mean.norm() ** 2),
        seconds=seconds,
    )


def relative_to(measured: Measured, plain: Measured) -> float:
    """Variance of an estimate, over that of plain REINFORCE, both relative to their means."""
    return measured.variance / plain.variance if plain.variance else np.nan
