"""What a loss can have added to it: each a function of the drawn rows, zero at a coefficient of zero."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from moldesign.rl.rollout import Rollout
from moldesign.rl.settings import OptimizeSettings


def negative_entropy(rollout: Rollout, shares: Tensor) -> Tensor:
    """-mean_i sum_t H(pi(. | s_t)), in nats (Williams & Peng 1991; Mnih et al. 2016, section 4)."""
    pi = _drawn(rollout, rollout.distribution)
    return _over_steps(rollout, shares, (pi.exp() * pi).sum(2))


def reverse_kl(rollout: Rollout, shares: Tensor) -> Tensor:
    """mean_i sum_t KL(pi(. | s_t) || prior(. | s_t)), summed over actions: it seeks the prior's modes."""
    pi, prior = _drawn(rollout, rollout.distribution), _drawn(rollout, rollout.prior_distribution)
    return _over_steps(rollout, shares, (pi.exp() * (pi - prior)).sum(2))


def forward_kl(rollout: Rollout, shares: Tensor) -> Tensor:
    """mean_i sum_t KL(prior(. | s_t) || pi(. | s_t)), summed over actions: it covers the prior."""
    pi, prior = _drawn(rollout, rollout.distribution), _drawn(rollout, rollout.prior_distribution)
    return _over_steps(rollout, shares, (prior.exp() * (prior - pi)).sum(2))


def likelihood(rollout: Rollout, shares: Tensor) -> Tensor:
    """mean_i -1 / log pi(x_i): large where the agent has become sure of a molecule.

    The exploration term of Bou et al. 2024 (ACEGEN), section 2.3.
    """
    sequence = rollout.log_probs[: rollout.drawn].sum(1)
    return (shares * (-1.0 / sequence.clamp(max=-1e-3))).sum()


#: Coefficient in OptimizeSettings -> the term, of a rollout and of the share (drawn,) that each drawn row
#: has in a mean over the policy.
REGULARISERS: dict[str, Callable[[Rollout, Tensor], Tensor]] = {
    "entropy_coefficient": negative_entropy,
    "reverse_kl_coefficient": reverse_kl,
    "forward_kl_coefficient": forward_kl,
    "likelihood_coefficient": likelihood,
}
#: Those of them that sum over actions.
_OF_DISTRIBUTIONS = ("entropy_coefficient", "reverse_kl_coefficient", "forward_kl_coefficient")


def needs_distribution(settings: OptimizeSettings) -> bool:
    """Whether a coefficient is given whose term sums over actions."""
    return any(getattr(settings, name) for name in _OF_DISTRIBUTIONS)


def regularised(
    loss: Tensor, rollout: Rollout, settings: OptimizeSettings, shares: Tensor | None = None
) -> Tensor:
    """The loss and each term times its coefficient.

    A term is of the states that were drawn: how a policy comes to be in others is no part of its gradient.

    Args:
        shares: (drawn,) of each drawn row in a mean over the policy; None for all alike.
    """
    if not rollout.drawn:
        return loss
    if shares is None:
        shares = torch.full((rollout.drawn,), 1.0 / rollout.drawn, device=loss.device)
    for name, term in REGULARISERS.items():
        coefficient = getattr(settings, name)
        if coefficient:
            loss = loss + coefficient * term(rollout, shares)
    return loss


def _drawn(rollout: Rollout, distribution: Tensor | None) -> Tensor:
    assert distribution is not None  # as `needs_distribution` says
    return distribution[: rollout.drawn]


def _over_steps(rollout: Rollout, shares: Tensor, terms: Tensor) -> Tensor:
    """The mean over the policy of the sum of terms (drawn, T) over the steps of a row."""
    return (shares * (terms * rollout.valid_steps[: rollout.drawn]).sum(1)).sum()
