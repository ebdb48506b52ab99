"""Log-probabilities and rewards to a scalar loss whose gradient estimates that of the objective.

Every estimator is a pure function of tensors; `methods` says which belongs to which name.
"""

from __future__ import annotations

import torch
from torch import Tensor

from moldesign.rl.rollout import Rollout


def reinforce(rollout: Rollout) -> Tensor:
    """-mean_i sum_t A_it log pi(a_t | s_t): the log-derivative trick (Williams 1992, eq. 11).

    The gradient of the first rows is unbiased where the baseline does not see its own row;
    replayed rows add self-imitation, each group averaged over itself.
    """
    weighted = (rollout.advantages.detach() * rollout.log_probs).sum(1)
    groups = weighted[: rollout.drawn], weighted[rollout.drawn :]
    return -torch.stack([group.mean() for group in groups if len(group)]).sum()


def together(rollout: Rollout) -> Tensor:
    """-mean_i sum_t A_it log pi(a_t | s_t) over all rows alike: where advantages hold the row's weight."""
    return -(rollout.advantages.detach() * rollout.log_probs).sum(1).mean()


def clipped_surrogate(rollout: Rollout, *, clip_ratio: float) -> Tensor:
    """-mean_i sum_t min(rho_t A_t, clip(rho_t, 1 - c, 1 + c) A_t), rho_t = pi / pi_drawing.

    Schulman et al. 2017, Proximal policy optimization algorithms, eq. 7. Where nothing has moved yet its
    gradient is that of `reinforce`.
    """
    advantages = rollout.advantages.detach()
    ratio = (rollout.log_probs - rollout.drawing_log_probs).exp()
    bounded = ratio.clamp(1.0 - clip_ratio, 1.0 + clip_ratio)
    smaller = torch.minimum(ratio * advantages, bounded * advantages)
    return -(smaller * rollout.valid_steps).sum(1).mean()


def surrogate(rollout: Rollout) -> Tensor:
    """-mean_i sum_t rho_t A_t (Schulman et al. 2015, Trust region policy optimization, eq. 14)."""
    ratio = (rollout.log_probs - rollout.drawing_log_probs).exp()
    return -(ratio * rollout.advantages.detach() * rollout.valid_steps).sum(1).mean()


def dap(rollout: Rollout, *, sigma: float) -> Tensor:
    """mean_i (log prior(x_i) + sigma * S_i - log pi(x_i))^2: difference between augmented and posterior.

    Olivecrona et al. 2017, Molecular de-novo design through deep reinforcement learning, eq. 6;
    the loss of REINVENT. Any sequence may be in it, so replayed rows count like drawn ones.
    """
    augmented = rollout.prior_log_probs.sum(1) + sigma * rollout.rewards
    return ((augmented - rollout.log_probs.sum(1)) ** 2).mean()


def best(rollout: Rollout, share: float) -> Rollout:
    """The best share of the drawn rows by reward, at least one, and every replayed one."""
    drawn = rollout.rewards[: rollout.drawn]
    kept = drawn.argsort(descending=True, stable=True)[: max(1, int(share * len(drawn)))]
    return rollout.rows([*sorted(kept.tolist()), *range(rollout.drawn, len(rollout))])


def augmented_hill_climb(rollout: Rollout, *, sigma: float, top_share: float) -> Tensor:
    """`dap` of the best share of the batch.

    Thomas et al. 2022, Augmented Hill-Climb increases reinforcement learning efficiency for
    language-based de novo molecule generation, section 2.2.
    """
    return dap(best(rollout, top_share), sigma=sigma)


def hill_climb(rollout: Rollout, *, top_share: float) -> Tensor:
    """-mean_i log pi(x_i) of the best share of the batch: the cross-entropy method.

    Neil et al. 2018, Exploring deep recurrent models with reinforcement learning for molecule design;
    Brown et al. 2019, GuacaMol, section 4.
    """
    return -best(rollout, top_share).log_probs.sum(1).mean()


def trajectory_balance(rollout: Rollout, log_z: Tensor, *, sigma: float) -> Tensor:
    """mean_i (log Z + log pi(x_i) - sigma * S_i)^2: a flow of exp(sigma * S), one way to each string.

    Malkin et al. 2022, Trajectory balance, eq. 14, whose backward policy is certain here. At its minimum
    pi is proportional to exp(sigma * S). Any sequence may be in it.
    """
    return ((log_z + rollout.log_probs.sum(1) - sigma * rollout.rewards) ** 2).mean()


def all_actions(rollout: Rollout) -> Tensor:
    """-mean_i sum_t [(A_t - D_t(a_t)) log pi(a_t | s_t) + sum_a pi(a | s_t) D_t(a)], D = Q - sum_a pi Q.

    What the values know of the next action is summed over exactly, and what they do not is sampled:
    whatever the values, the gradient keeps its mean, since E_a[D(a) grad log pi(a)] = sum_a D(a) grad pi(a)
    (Gu et al. 2017, Q-Prop, eq. 8; Ciosek & Whiteson 2018, Expected policy gradients, eq. 10). The action
    values Q must not have learned from these rows.
    """
    values = rollout.action_values
    assert rollout.distribution is not None
    assert values is not None
    pi = rollout.distribution.exp()
    centred = values - (pi.detach() * values).sum(2, keepdim=True)
    of_action = centred.gather(2, rollout.tokens[:, :, None])[..., 0]
    sampled = (rollout.advantages.detach() - of_action) * rollout.log_probs
    summed = (pi * centred).sum(2)
    return -((sampled + summed) * rollout.valid_steps).sum(1).mean()


def enumerated(rollout: Rollout) -> Tensor:
    """-sum_x pi(x) A(x) log pi(x), the rows being every sequence x there is: the gradient itself."""
    sequence = rollout.log_probs.sum(1)
    weights = sequence.detach().exp()
    return -(weights * (rollout.advantages.detach() * rollout.log_probs).sum(1)).sum()
