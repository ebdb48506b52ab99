"""smiles-rnn beside this package: the same weights, the same tokens; run where the extra `peers` is there."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from moldesign.benchmarks import peers, work
from moldesign.language.tokenizer import SPECIALS, Tokenizer
from moldesign.policy.checkpoint import load_policy
from moldesign.policy.policy import MAX_LENGTH, Policy
from moldesign.policy.settings import Architecture

pytest.importorskip("smilesrnn", reason="the extra `peers` is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor")  # by the peer, which says none of it

SMILES = ["CCO", "c1ccccc1C(=O)N", "[nH]1cccc1Br", "C"]


@pytest.fixture(params=["gru", "lstm"])
def policy(request: pytest.FixtureRequest) -> Policy:
    """In full precision, as the peer is, and far from uniform."""
    shape = Architecture(cell=request.param, layers=2, hidden_size=8, embedding_size=4)
    made = Policy.fresh(shape, Tokenizer([*SPECIALS, *"CNO()=c1n", "Br", "[nH]"]), seed=3)
    made.half_precision = False
    with torch.no_grad():
        for parameter in made.network.parameters():
            parameter.mul_(4)
    return made


def test_both_sides_find_molecules_as_likely(policy: Policy) -> None:
    # Of several lengths: the peer pads with its end token, which must cost nothing.
    theirs = peers.peer_of(policy).likelihood_smiles(SMILES).detach().numpy()
    np.testing.assert_allclose(theirs, policy.nll(SMILES), rtol=1e-5)


def test_gradients_pass_through_what_the_peer_never_draws(policy: Policy) -> None:
    model = peers.peer_of(policy)
    model.likelihood_smiles(SMILES).sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.network.parameters())


def test_both_sides_draw_alike(small_prior: Path) -> None:
    policy = load_policy(small_prior)[0]
    torch.manual_seed(0)
    drawings = [work.drawing(policy, 300, seed=0), peers.drawing(policy, 300)]
    for drawing in drawings:
        drawing.written += drawing.draw()
    ours, theirs = (drawing.facts() for drawing in drawings)
    # Four standard deviations of the difference of two means: of shares, and of lengths near 11 tokens.
    assert abs(ours["valid"] - theirs["valid"]) < 4 * (2 * 0.25 / 300) ** 0.5
    assert abs(ours["mean_tokens"] - theirs["mean_tokens"]) < 4 * 11 * (2 / 300) ** 0.5
    assert all(len(text) <= MAX_LENGTH for text in drawings[1].written)
    assert not any("^" in text or "<" in text for text in drawings[1].written)


def test_the_peer_counts_the_tokens_that_we_count(small_prior: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count()
    monkeypatch.setattr(peers, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))
    policy = load_policy(small_prior)[0]
    training = peers.Training(policy, ["C", "CCCCCCC"] * 20, 4, steps=5)
    tokens = training.rate()
    # Twenty molecules of one or seven atoms, and an end token each.
    assert 20 * 2 <= tokens <= 20 * 8
    assert tokens % 6 == 40 % 6


def test_the_peer_optimises(small_prior: Path, tmp_path: Path) -> None:
    policy = load_policy(small_prior)[0]
    torch.manual_seed(0)
    assert peers.reinforce(policy, 4, steps=1, folder=tmp_path) > 0
    assert list(peers._scores(["CCO", "C("], 0)) == [pytest.approx(0.4068, abs=1e-4), 0.0]
