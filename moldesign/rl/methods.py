"""The estimators at work: an estimator with what it keeps from step to step."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from moldesign.chem.molecules import parse, randomised
from moldesign.language.tokenizer import PAD_INDEX
from moldesign.policy.beam import with_greedy
from moldesign.policy.policy import Policy
from moldesign.policy.trajectories import Sequences
from moldesign.rl import importance
from moldesign.rl.baselines import BASELINES, Baseline, MovingAverage
from moldesign.rl.choices import ESTIMATORS
from moldesign.rl.critic import Critic
from moldesign.rl.memory import Remembered, ReplayMemory
from moldesign.rl.recipes import RECIPES, independent, one_step
from moldesign.rl.regularisers import REGULARISERS, needs_distribution, regularised
from moldesign.rl.rollout import Rollout, read, reread
from moldesign.rl.settings import OptimizeSettings
from moldesign.rl.updates import Learned, Update

# The variance of the gradient and how far a step went cost a pass over the batch each: so often they are
# looked at.
_CLOSELY_EVERY = 10


class Method:
    """An estimator with what it keeps from step to step: optimizer, critic, baseline, log Z.

    Args:
        agent: whose weights it moves. prior: whose it leaves.
    """

    settings: OptimizeSettings
    agent: Policy
    prior: Policy
    critic: Critic | None
    log_z: nn.Parameter
    update: Update

    def __init__(self, settings: OptimizeSettings, agent: Policy, prior: Policy) -> None:
        self.settings, self.agent, self.prior = settings, agent, prior
        self.recipe = RECIPES[settings.estimator]
        own = ESTIMATORS[settings.estimator].settings
        baseline = settings.baseline if "baseline" in own else "leave-one-out"
        self.baseline: Baseline = self._of_critic if baseline == "value" else BASELINES[baseline]()
        self._probes = baseline == "greedy"
        self._weighted = "importance" in own
        self._regularised = any(getattr(settings, name) for name in REGULARISERS)
        self._distribution = (
            self.recipe.distribution or baseline == "least-variance" or needs_distribution(settings)
        )
        #: Of the ways in which remembered molecules are written.
        self.generator = np.random.default_rng([settings.seed, 3])
        valued = self.recipe.critic(settings)
        self.critic = None
        if valued is not None:
            self.critic = Critic(
                agent.network.architecture.hidden_size,
                1 if valued == "states" else len(agent.tokenizer),
                learning_rate=settings.critic_learning_rate,
                seed=settings.seed,
            ).to(agent.device)
        self.log_z = nn.Parameter(
            torch.zeros((), device=agent.device), requires_grad="log_z_learning_rate" in own
        )
        self.update = Update(
            agent.network,
            learning_rate=settings.learning_rate,
            clip_norm=settings.clip_norm,
            others=[(self.log_z, settings.log_z_learning_rate)] if self.log_z.requires_grad else [],
        )
        #: Of the critic, on the last batch and before it learned from it; None without a critic.
        self.explained: float | None = None
        #: KL of a step at most, for those that step by that.
        self.trust_region = settings.trust_region
        #: Taken so far.
        self.steps = 0

    def recall(self, replay: ReplayMemory, generator: np.random.Generator) -> list[Remembered]:
        """The remembered molecules that join the next step."""
        chosen = replay.draw(self.settings.replay_size, generator)
        return self.rewritten(chosen) if self.settings.replay_randomised else chosen

    def draw(self, *, first_index: int, again: Sequence[Remembered]) -> Sequences:
        """The batch whose first row has this number; what is remembered is read along where that pays."""
        drawn = (self.recipe.draw or independent)(self, first_index, again)
        if self.settings.overlap:
            # It is read by an agent that has stepped meanwhile.
            drawn = replace(drawn, reading=None)
        if self._weighted and self.settings.overlap and drawn.reshaped_log_probs is None:
            # It is read a step later, by an agent that is not the one that drew it any more.
            drawn = replace(drawn, reshaped_log_probs=self.agent.score(drawn.tokens))
        return with_greedy(drawn, self.agent, self.settings.max_length) if self._probes else drawn

    def read(self, drawn: Sequences, again: Sequence[Remembered]) -> Rollout:
        """What agent and prior make of both; needs no rewards."""
        return read(
            self.agent,
            self.prior,
            drawn,
            again,
            distribution=self._distribution,
            states=self.critic is not None,
        )

    def learn(self, rollout: Rollout) -> Learned:
        """Move the agent by what the rollout earned."""
        if self.recipe.weigh is not None:
            rollout = self.recipe.weigh(self, rollout)
        facts = self._facts(rollout)
        closely = self.steps % _CLOSELY_EVERY == 0
        self.steps += 1
        if closely and self.recipe.draw is None and len(rollout) > 1:
            facts["gradient_variance"] = self._split_variance(rollout)
        learned = (self.recipe.step or one_step)(self, rollout)
        if closely and "step_kl" not in learned.facts:
            facts["step_kl"] = self._moved(rollout)
        if self.log_z.requires_grad:
            facts["log_z"] = float(self.log_z.detach())
        return replace(learned, facts={**facts, **learned.facts})

    def rehearse(self, batch: Sequence[Remembered], replay: ReplayMemory) -> None:
        """Further steps on the batch and all that is remembered, each molecule written in another way.

        Guo & Schwaller 2024, Augmented Memory: sample-efficient generative molecular design, algorithm 1.
        With replay_batch each step is of so many remembered ones, drawn anew (Kim et al. 2024, Genetic-guided
        GFlowNets for sample efficient molecular optimization, algorithm 1).
        """
        known = {row.smiles for row in replay.rows}
        rows = [*replay.rows, *(row for row in batch if row.smiles not in known)]
        for _ in range(self.settings.replay_rounds if rows else 0):
            if self.settings.replay_batch is not None:
                rows = replay.draw(self.settings.replay_batch, self.generator)
            if not rows:
                return
            again = self.rewritten(rows) if self.settings.replay_randomised else rows
            nothing = Sequences(torch.zeros((0, 1), dtype=torch.int64, device=self.agent.device), None)
            rollout = replace(
                self.read(nothing, again),
                rewards=torch.tensor([row.reward for row in again], device=self.agent.device),
            )
            self.update.step(self.loss(rollout))

    def loss(self, rollout: Rollout) -> Tensor:
        """Of a rollout that is weighed, regularised."""
        loss = self.recipe.loss(self, rollout)
        if not self._regularised:  # shares may be dear
            return loss
        return regularised(loss, rollout, self.settings, self._shares(rollout))

    def rewritten(self, rows: Sequence[Remembered]) -> list[Remembered]:
        """The same molecules in other SMILES; as they were where the vocabulary has no word for that."""
        texts = [self._other(row.smiles) for row in rows]
        fresh = [i for i, text in enumerate(texts) if text is not None]
        if not fresh:
            return [*rows]
        tokens = self.agent.encode([text for text in texts if text is not None])
        # Reading is what this costs: what no loss looks at is NaN.
        unknown = np.full(tokens.shape, np.nan, dtype=np.float32)
        by_prior = self.prior.score(tokens).cpu().numpy() if self.recipe.prior else unknown
        by_agent = self.agent.score(tokens).cpu().numpy() if self._weighted else unknown
        lengths = (tokens != PAD_INDEX).sum(1).tolist()
        out = [*rows]
        for place, i in enumerate(fresh):
            n = lengths[place]
            out[i] = replace(
                rows[i],
                tokens=tokens[place, :n].cpu().numpy().copy(),
                prior_log_probs=by_prior[place, :n].copy(),
                drawing_log_probs=by_agent[place, :n].copy(),
            )
        return out

    def _other(self, smiles: str) -> str | None:
        mol = parse(smiles)
        text = None if mol is None else randomised(mol, int(self.generator.integers(2**31)))
        return text if text is not None and self.agent.tokenizer.knows(text) else None

    def slow_down(self, factor: float) -> str:
        """Multiply how far a step goes by a factor; what it is then, in words."""
        self.trust_region *= factor
        rate = self.update.slow_down(factor)
        if "trust_region" in ESTIMATORS[self.settings.estimator].settings:
            return f"trust region {self.trust_region:.2g}"
        return f"learning rate {rate:.2g}"

    def mean(self, rollout: Rollout, values: Tensor) -> Tensor:
        """The mean over the policy of the sums of values (B, T) of drawn rows; no gradient, NaN of no row."""
        sums = values.detach()[: rollout.drawn].sum(1)
        shares = self._shares(rollout)
        return sums.mean() if shares is None else (shares * sums).sum()

    def _shares(self, rollout: Rollout) -> Tensor | None:
        """(drawn,) what each drawn row counts for in a mean over the policy; None for all alike."""
        if self.recipe.shares is None or not rollout.drawn:
            return None
        return self.recipe.shares(rollout.on_policy)

    def values(self, rollout: Rollout) -> Tensor:
        """(B, T, outputs) of the critic; no gradient."""
        assert self.critic is not None
        assert rollout.states is not None  # as `read` asked for
        return self.critic.values(rollout.states)

    def _of_critic(self, rollout: Rollout, _: Tensor) -> Tensor:
        """A learned value of each state as baseline (Sutton et al. 2000, theorem 1); of a critic of actions
        the mean over them.
        """
        values = self.values(rollout)
        if values.shape[2] == 1:
            return values[..., 0]
        assert rollout.distribution is not None  # as `read` asked for
        return (rollout.distribution.detach().exp() * values).sum(2)

    def _facts(self, rollout: Rollout) -> dict[str, float]:
        """What a weighed rollout says for the record, before the agent moves."""
        actions = self.mean(rollout, rollout.valid_steps.float())
        found = {"entropy": float(-self.mean(rollout, rollout.log_probs) / actions)}
        chosen = rollout.advantages.expand(rollout.tokens.shape)[rollout.valid_steps]
        if bool(chosen.any()):
            found |= {"advantage_mean": float(chosen.mean()), "advantage_std": float(chosen.std())}
        if self.explained is not None:
            found["explained_variance"] = self.explained
        stored = rollout.rows(range(rollout.drawn, len(rollout)))
        if len(stored) and self._weighted:
            weights = importance.ratios(stored).prod(1).clamp(max=self.settings.importance_cap)
            found["effective_sample_size"] = importance.effective_sample_size(weights)
        return found

    def _split_variance(self, rollout: Rollout) -> float:
        """The variance of the gradient, summed over the weights: that of its halves, |g - g'|^2 / 4."""
        parameters = list(self.agent.network.parameters())
        halves = [
            torch.autograd.grad(
                self.loss(rollout.rows(range(first, len(rollout), 2))), parameters, retain_graph=True
            )
            for first in (0, 1)
        ]
        return sum(float(((a - b) ** 2).sum()) for a, b in zip(*halves, strict=True)) / 4

    @torch.no_grad()
    def _moved(self, rollout: Rollout) -> float:
        """KL of the policy before the step to that after it, in nats an action, from the drawn rows.

        The mean of rho - 1 - log rho (Schulman 2020, Approximating KL divergence, k3).
        """
        drawn = rollout.on_policy
        log_ratio = self.agent.log_probs(drawn.tokens) - drawn.log_probs
        k3 = log_ratio.exp() - 1.0 - log_ratio
        return float(self.mean(drawn, k3) / self.mean(drawn, drawn.valid_steps.float()))

    def state(self) -> dict[str, Any]:
        """A copy of all that steps change: the agent's weights, optimizer, critic, log Z, baseline, how many
        steps there were, and what `slow_down` changes.
        """
        return copy.deepcopy(
            {
                "agent": self.agent.network.state_dict(),
                "optimizer": self.update.optimizer.state_dict(),
                "critic": None if self.critic is None else self.critic.state(),
                "log_z": self.log_z.detach(),
                "trust_region": self.trust_region,
                "steps": self.steps,
                "baseline": vars(self.baseline) if isinstance(self.baseline, MovingAverage) else {},
            }
        )

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a state."""
        state = copy.deepcopy(state)
        self.agent.network.load_state_dict(state["agent"])
        self.update.optimizer.load_state_dict(state["optimizer"])
        if self.critic is not None:
            self.critic.restore(state["critic"])
        with torch.no_grad():
            self.log_z.copy_(state["log_z"])
        self.trust_region, self.steps = state["trust_region"], state["steps"]
        if isinstance(self.baseline, MovingAverage):
            value = state["baseline"]["value"]
            self.baseline.value = None if value is None else value.to(self.agent.device)

    def reread(self, rollout: Rollout) -> Rollout:
        """The same rows as the agent sees them now."""
        return reread(self.agent, rollout)
