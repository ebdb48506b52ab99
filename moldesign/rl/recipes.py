"""How each estimator is put together: how it draws, how it weighs, its loss, and the steps that it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from moldesign.policy.beam import check_enumerable, draw_without_replacement, enumerate_sequences
from moldesign.policy.policy import Policy
from moldesign.policy.trajectories import Sequences
from moldesign.rl import advantages, estimators, importance, without_replacement
from moldesign.rl.baselines import no_baseline
from moldesign.rl.critic import explained_variance
from moldesign.rl.memory import Remembered
from moldesign.rl.rollout import Rollout, remembered_tokens
from moldesign.rl.settings import OptimizeSettings
from moldesign.rl.trust_region import natural_step
from moldesign.rl.updates import Learned, epochs, once

if TYPE_CHECKING:
    from moldesign.rl.methods import Method

#: What a critic values.
Valued = Literal["states", "actions"] | None


@dataclass(frozen=True)
class Recipe:
    """How an estimator is put together.

    Attributes:
        loss: of a rollout that is weighed.
        weigh: gives a rollout its advantages, and teaches the critic; None where the loss needs none.
        critic: what it is to value under these settings.
        distribution: whether the loss needs that of every action.
        prior: whether it needs what the prior thinks of the actions.
        draw: the batch whose first row has this number; None for independent samples.
        step: how the agent moves; None for one step of the optimizer.
        check: raises UsageError for a prior that it cannot work with; None if it works with any.
        shares: (drawn,) of drawn rows what each counts for in a mean over the policy; None for all alike.
    """

    loss: Callable[[Method, Rollout], Tensor]
    weigh: Callable[[Method, Rollout], Rollout] | None = None
    critic: Callable[[OptimizeSettings], Valued] = lambda _: None
    distribution: bool = False
    prior: bool = True
    draw: Callable[[Method, int, Sequence[Remembered]], Sequences] | None = None
    step: Callable[[Method, Rollout], Learned] | None = None
    check: Callable[[OptimizeSettings, Policy], None] | None = None
    shares: Callable[[Rollout], Tensor] | None = None


def check_prior(settings: OptimizeSettings, prior: Policy) -> None:
    """Nothing, if the estimator can work with this prior.

    Raises:
        UsageError: it cannot, and why.
    """
    check = RECIPES[settings.estimator].check
    if check is not None:
        check(settings, prior)


# -- how a batch is drawn ------------------------------------------------------------------------------


def independent(method: Method, first_index: int, again: Sequence[Remembered]) -> Sequences:
    """Samples of the agent, what is remembered read along."""
    settings = method.settings
    return method.agent.draw(
        settings.batch_size,
        seed=settings.seed,
        first_index=first_index,
        temperature=settings.temperature,
        max_length=settings.max_length,
        along=remembered_tokens(again, method.agent.device),
    )


def _different(method: Method, first_index: int, _: Sequence[Remembered]) -> Sequences:
    settings = method.settings
    return draw_without_replacement(
        method.agent,
        settings.batch_size,
        seed=settings.seed,
        first_index=first_index,
        max_length=settings.max_length,
    )


def _every(method: Method, *_: object) -> Sequences:
    return enumerate_sequences(method.agent, method.settings.max_length)


# -- how a rollout is weighed --------------------------------------------------------------------------


def _penalised(method: Method, rollout: Rollout) -> Tensor:
    """(B, T) rewards of each action, less what its distance to the prior costs."""
    return advantages.step_rewards(rollout, method.settings.kl_coefficient)


def _by_return(method: Method, rollout: Rollout) -> Rollout:
    rewards = _penalised(method, rollout)
    out = advantages.weighed(rollout, rewards, method.baseline, reward_to_go=method.settings.reward_to_go)
    if method.critic is not None:
        _teach(method, rollout, advantages.to_go(rewards))
    return out


def _by_return_alone(method: Method, rollout: Rollout) -> Rollout:
    """The penalised reward of each row, and no baseline: every row is there, with its probability."""
    rewards = _penalised(method, rollout)
    return advantages.weighed(rollout, rewards, no_baseline)


def _by_action_values(method: Method, rollout: Rollout) -> Rollout:
    """Returns less the baseline, and the critic's action values, which then learn what came of each."""
    rewards = _penalised(method, rollout)
    out = advantages.weighed(rollout, rewards, method.baseline)
    out = replace(out, action_values=method.values(rollout))
    _teach(method, rollout, rewards.sum(1, keepdim=True).expand(rewards.shape))
    return out


def _by_critic(method: Method, rollout: Rollout) -> Rollout:
    """Generalised advantages of the drawn rows, the critic then learning their TD(lambda) returns."""
    settings, valid = method.settings, rollout.valid_steps
    rewards = _penalised(method, rollout)
    values = method.values(rollout)[..., 0]
    found = advantages.generalised(rewards, values, valid, gamma=settings.gae_gamma, lam=settings.gae_lambda)
    _teach(method, rollout, found + values)
    if settings.normalise:
        found = advantages.normalised(found, valid)
    return replace(rollout, advantages=found)


def _by_group(method: Method, rollout: Rollout) -> Rollout:
    returns = _penalised(method, rollout).sum(1)
    return replace(
        rollout,
        advantages=advantages.relative(returns, divide=method.settings.normalise) * rollout.valid_steps,
    )


def _with_log_z(method: Method, rollout: Rollout) -> Rollout:
    """The rollout as it is; before the first step log Z is put where it begins.

    By default that is where the loss of its rows is least: their mean of sigma * S - log pi (Zhang et al.
    2023, Robust scheduling with GFlowNets, eq. 5). From zero it would take hundreds of steps to get there,
    each of which raises the likelihood of all that it learns from.
    """
    if method.steps == 0:
        start = method.settings.log_z_start
        with torch.no_grad():
            if start is None:
                start = float((method.settings.sigma * rollout.rewards - rollout.log_probs.sum(1)).mean())
            method.log_z.fill_(start)
    return rollout


def _by_importance(method: Method, rollout: Rollout) -> Rollout:
    settings = method.settings
    rewards = _penalised(method, rollout)
    if settings.importance == "v-trace":
        found, targets = importance.v_trace(
            rollout, rewards, method.values(rollout)[..., 0], cap=settings.importance_cap
        )
        _teach(method, rollout, targets)
        return replace(rollout, advantages=found)
    # All rows alike: the baseline of each does not see the row itself.
    alike = replace(rollout, drawn=len(rollout))
    baseline = method.baseline(alike, rewards.sum(1))
    if method.critic is not None:
        _teach(method, rollout, advantages.to_go(rewards))
    return importance.weighed(
        rollout, rewards, baseline, kind=settings.importance, cap=settings.importance_cap
    )


def _teach(method: Method, rollout: Rollout, targets: Tensor) -> None:
    """Let the critic learn the targets (B, T), after its values were used: it must not know them before."""
    assert method.critic is not None
    assert rollout.states is not None
    by_action = method.recipe.critic(method.settings) == "actions"
    if not by_action:
        values = method.values(rollout)[..., 0]
        method.explained = explained_variance(values, targets, rollout.valid_steps)
    method.critic.fit(
        rollout.states,
        targets,
        rollout.valid_steps,
        actions=rollout.tokens if by_action else None,
        clip=method.settings.value_clip,
    )


# -- the losses ----------------------------------------------------------------------------------------


def _unordered(method: Method, rollout: Rollout) -> Tensor:
    drawn = rollout.on_policy
    rewards = _penalised(method, drawn).sum(1)
    return without_replacement.unordered(drawn, rewards)


# -- what a row counts for --------------------------------------------------------------------------------


def _by_probability(rollout: Rollout) -> Tensor:
    """Every sequence being there: its probability, among those that have a reward."""
    return rollout.log_probs.detach().sum(1).softmax(0)


def _by_inclusion(rollout: Rollout) -> Tensor:
    """The weights of the unbiased estimator of a mean, normalised (Kool et al. 2020, eq. 10 and 11)."""
    log_probs = rollout.log_probs.detach().sum(1)
    weights = without_replacement.leave_out_ratios(log_probs.double())[0]
    return (weights / weights.sum()).to(log_probs.dtype)


# -- how the agent moves -------------------------------------------------------------------------------


def one_step(method: Method, rollout: Rollout) -> Learned:
    """A step of the optimizer."""
    return once(method.update, method.loss, rollout)


def _epochs(method: Method, rollout: Rollout) -> Learned:
    settings = method.settings
    return epochs(
        method.update,
        method.loss,
        rollout,
        method.reread,
        n=settings.epochs,
        clip_ratio=settings.clip_ratio,
        target_kl=settings.target_kl,
    )


def _naturally(method: Method, rollout: Rollout) -> Learned:
    settings = method.settings
    return natural_step(
        method.agent,
        method.loss,
        rollout,
        method.reread,
        radius=method.trust_region,
        iterations=settings.cg_iterations,
        damping=settings.cg_damping,
        rows=settings.cg_rows,
        finite=method.update.finite,
    )


def _if_baseline(settings: OptimizeSettings) -> Valued:
    return "states" if settings.baseline == "value" else None


def _if_v_trace(settings: OptimizeSettings) -> Valued:
    return "states" if settings.importance == "v-trace" else _if_baseline(settings)


RECIPES: dict[str, Recipe] = {
    "dap": Recipe(lambda method, rollout: estimators.dap(rollout, sigma=method.settings.sigma)),
    "reinforce": Recipe(lambda _, rollout: estimators.reinforce(rollout), _by_return, _if_baseline),
    "a2c": Recipe(lambda _, rollout: estimators.reinforce(rollout), _by_critic, lambda _: "states"),
    "ppo": Recipe(
        lambda method, rollout: estimators.clipped_surrogate(rollout, clip_ratio=method.settings.clip_ratio),
        _by_critic,
        lambda _: "states",
        step=_epochs,
    ),
    "trpo": Recipe(
        lambda _, rollout: estimators.surrogate(rollout),
        _by_critic,
        lambda _: "states",
        distribution=True,
        step=_naturally,
    ),
    "ahc": Recipe(
        lambda method, rollout: estimators.augmented_hill_climb(
            rollout, sigma=method.settings.sigma, top_share=method.settings.top_share
        )
    ),
    "hill-climb": Recipe(
        lambda method, rollout: estimators.hill_climb(rollout, top_share=method.settings.top_share),
        prior=False,
    ),
    "augmented-memory": Recipe(lambda method, rollout: estimators.dap(rollout, sigma=method.settings.sigma)),
    "tb": Recipe(
        lambda method, rollout: estimators.trajectory_balance(
            rollout, method.log_z, sigma=method.settings.sigma
        ),
        _with_log_z,
        prior=False,
    ),
    "group": Recipe(lambda _, rollout: estimators.reinforce(rollout), _by_group),
    "off-policy": Recipe(lambda _, rollout: estimators.together(rollout), _by_importance, _if_v_trace),
    "without-replacement": Recipe(_unordered, draw=_different, shares=_by_inclusion),
    "rao-blackwell": Recipe(
        lambda _, rollout: estimators.all_actions(rollout.on_policy),
        _by_action_values,
        lambda _: "actions",
        distribution=True,
    ),
    "exact": Recipe(
        lambda _, rollout: estimators.enumerated(rollout.on_policy),
        _by_return_alone,
        draw=_every,
        check=lambda settings, prior: check_enumerable(prior, settings.max_length),
        shares=_by_probability,
    ),
}
