"""What agent and prior make of a batch, and of what is remembered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from moldesign.language.tokenizer import PAD_INDEX, SPECIALS, Tokenizer
from moldesign.policy.beam import with_greedy
from moldesign.policy.policy import Policy
from moldesign.policy.settings import Architecture
from moldesign.policy.trajectories import Sequences
from moldesign.rl.memory import Remembered
from moldesign.rl.rollout import as_remembered, read, reread, rewarded


def tiny_policy(seed: int) -> Policy:
    """Two letters, weights large enough that no two sequences are alike."""
    shape = Architecture(layers=1, hidden_size=4, embedding_size=3)
    policy = Policy.fresh(shape, Tokenizer([*SPECIALS, "C", "N"]), seed=seed)
    with torch.no_grad():
        for parameter in policy.network.parameters():
            parameter.mul_(3.0)
    return Policy(policy.network, policy.tokenizer, half_precision=False)


def remembered(
    agent: Policy, prior: Policy, *written: str
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each text, drawn in one batch with the others, what is remembered."""
    rollout = read(agent, prior, Sequences(agent.encode(written), None), [])
    return as_remembered(rollout, len(written))


@pytest.mark.parametrize("distribution", [False, True])
def test_remembered_molecules_stand_behind_the_drawn_ones(distribution: bool) -> None:
    agent, prior = tiny_policy(1), tiny_policy(2)
    # Remembered as it was written, which is not its canonical form; longer than what is drawn now.
    (as_it_was,) = remembered(agent, prior, "NCCC")
    again = [Remembered("CCCN", 0.9, *as_it_was)]
    drawn = Sequences(agent.encode(["CC", "CCC", "N"]), None)
    whole = read(agent, prior, drawn, again, distribution=distribution, states=True)
    assert bool(whole.rewards.isnan().all())
    # The row in the middle has no reward, and no part.
    out = rewarded(whole, [0, 2], np.array([0.1, 0.2]), again)
    together = agent.encode(["CC", "N", "NCCC"])
    assert out.log_probs.requires_grad
    assert not out.prior_log_probs.requires_grad
    torch.testing.assert_close(out.log_probs, agent.log_probs(together))
    torch.testing.assert_close(out.prior_log_probs, prior.score(together))
    torch.testing.assert_close(out.drawing_log_probs, agent.score(together))
    torch.testing.assert_close(out.rewards, torch.tensor([0.1, 0.2, 0.9]))
    assert out.drawn == 2
    assert len(out.on_policy) == 2
    assert out.states is not None
    assert out.states.shape == (3, 5, 4)
    if distribution:
        assert out.distribution is not None
        assert out.prior_distribution is not None
        sums = out.distribution.exp().sum(2)[out.valid_steps]
        torch.testing.assert_close(sums, torch.ones_like(sums))
        of_actions = out.prior_distribution.gather(2, together[:, :, None])[..., 0] * out.valid_steps
        torch.testing.assert_close(of_actions, out.prior_log_probs)


def test_what_wrote_a_molecule_is_remembered_with_it() -> None:
    agent, prior = tiny_policy(1), tiny_policy(2)
    (kept,) = remembered(agent, prior, "NC")
    with torch.no_grad():  # the agent has moved since
        for parameter in agent.network.parameters():
            parameter.add_(0.1)
    again = [Remembered("CN", 0.5, *kept)]
    out = read(agent, prior, Sequences(agent.encode(["C"]), None), again)
    torch.testing.assert_close(out.drawing_log_probs[1, :3], torch.from_numpy(kept[2]))
    assert not torch.allclose(out.log_probs[1], out.drawing_log_probs[1], atol=1e-3)
    torch.testing.assert_close(out.log_probs[0].detach(), out.drawing_log_probs[0])


def test_a_probe_is_scored_and_is_no_sample() -> None:
    agent, prior = tiny_policy(1), tiny_policy(2)
    drawn = with_greedy(Sequences(agent.encode(["CC", "N"]), None), agent, 6)
    whole = read(agent, prior, drawn, [])
    assert (len(whole), whole.drawn) == (3, 2)
    out = rewarded(whole, [0, 1, 2], np.array([0.1, 0.2, 0.7]), [])
    assert (len(out), out.drawn) == (2, 2)
    assert out.probe == pytest.approx(0.7)
    assert rewarded(whole, [1], np.array([0.2]), []).probe == 0.0, "the probe failed"
    assert rewarded(read(agent, prior, drawn, []), [0, 2], np.array([0.1, 0.7]), []).rewards.tolist() == [
        pytest.approx(0.1)
    ]


def test_reread_sees_the_agent_as_it_is_now() -> None:
    agent, prior = tiny_policy(1), tiny_policy(2)
    before = read(agent, prior, Sequences(agent.encode(["CC", "N"]), None), [], states=True)
    with torch.no_grad():
        for parameter in agent.network.parameters():
            parameter.add_(0.1)
    now = reread(agent, before)
    torch.testing.assert_close(now.log_probs, agent.log_probs(before.tokens))
    assert now.log_probs.requires_grad
    torch.testing.assert_close(now.drawing_log_probs, before.drawing_log_probs)
    assert now.states is not None
    assert now.distribution is None


class Read:
    """A policy that counts how often it reads by the method of that name, and how many rows."""

    def __init__(self, policy: Policy, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[int] = []
        method = getattr(policy, name)

        def counted(tokens: Tensor, *reading: Any, **wanted: Any) -> Any:
            self.rows.append(len(tokens))
            return method(tokens, *reading, **wanted)

        monkeypatch.setattr(policy, name, counted)


def test_the_prior_reads_a_molecule_once_and_what_it_said_is_as_good_as_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent, prior = tiny_policy(1), tiny_policy(2)
    texts = ["CCNCNNC", "C", "NCC", "NNNN"]
    kept = remembered(agent, prior, *texts)
    for text, (tokens, known, _) in zip(texts, kept, strict=True):
        # Read anew, alone and so without any padding.
        alone = agent.encode([text])
        assert tokens.tolist() == alone[0].tolist()
        torch.testing.assert_close(torch.from_numpy(known), prior.score(alone)[0], rtol=1e-6, atol=1e-6)
        # Copies: a memory that held views would hold whole batches.
        assert tokens.base is None
        assert known.base is None

    again = [Remembered(text, 0.5, *row) for text, row in zip(texts, kept, strict=True)]
    with torch.no_grad():  # the agent has moved since
        for parameter in agent.network.parameters():
            parameter.add_(0.1)
    fresh = agent.encode(["CN", "NCN"])
    by_agent, by_prior = Read(agent, "read", monkeypatch), Read(prior, "score", monkeypatch)
    out = read(agent, prior, Sequences(fresh, None), again)
    assert by_agent.rows == [6]
    assert by_prior.rows == [2]
    together = agent.encode(["CN", "NCN", *texts])
    torch.testing.assert_close(out.log_probs, agent.log_probs(together))
    torch.testing.assert_close(out.prior_log_probs, prior.score(together), rtol=1e-6, atol=1e-6)
    assert (out.tokens != PAD_INDEX).sum() == (together != PAD_INDEX).sum()
