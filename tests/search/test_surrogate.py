from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from moldesign.assets import corpus_path
from moldesign.chem.fingerprints import Kind, fingerprint
from moldesign.chem.fingerprints import tanimoto as similarities
from moldesign.chem.molecules import Mol, read, reread
from moldesign.language import corpus
from moldesign.search.kernels import features, tanimoto
from moldesign.search.surrogate import NOISE, Process, Surrogate


@pytest.fixture(scope="module")
def molecules() -> list[str]:
    return corpus.load(corpus_path("zinc250k"))[:400]


def mols_of(smiles: list[str]) -> list[Mol]:
    return [read(text) for text in smiles]


def likeness(smiles: list[str], to: str) -> list[float]:
    target = fingerprint(read(to), "ecfp4")
    return [*map(float, similarities(target, [fingerprint(mol, "ecfp4") for mol in mols_of(smiles)]))]


KINDS: list[Kind] = ["ecfp4", "topological_torsion"]


def filled(
    molecules: list[str],
    scores: list[float],
    *,
    most: int = 4000,
    block: int = 50,
    kinds: Sequence[Kind] = ("ecfp4",),
) -> Surrogate:
    surrogate = Surrogate(kinds, most=most)
    generator = np.random.default_rng(0)
    for first in range(0, len(molecules), block):
        part = molecules[first : first + block]
        surrogate.add(part, mols_of(part), scores[first : first + block], generator)
    return surrogate


def test_a_process_expects_what_the_equations_say(molecules: list[str]) -> None:
    rows = features(mols_of(molecules[:80]), "ecfp6")
    known, others = rows[:60], rows[60:]
    process = Process("ecfp6")
    for first in range(0, 60, 20):
        process.add(known[first : first + 20])
    targets = torch.from_numpy(np.random.default_rng(0).standard_normal(60)).float()
    found = process.expect(others, targets, covariance=True)

    # Rasmussen & Williams 2006, eq. 2.25 and 2.26, by inverting the matrix.
    inverse = torch.linalg.inv(tanimoto(known, known).double() + NOISE * torch.eye(60))
    across = tanimoto(known, others).double()
    mean = across.T @ inverse @ targets.double()
    covariance = tanimoto(others, others).double() - across.T @ inverse @ across
    assert torch.allclose(found.mean.double(), mean, atol=1e-4)
    assert found.covariance is not None
    assert torch.allclose(found.covariance.double(), covariance, atol=1e-4)
    assert torch.allclose(found.sd.double() ** 2, covariance.diagonal(), atol=1e-4)


def test_what_it_was_told_it_knows_and_of_strangers_it_is_unsure(molecules: list[str]) -> None:
    scores = likeness(molecules[:200], molecules[300])
    surrogate = filled(molecules[:200], scores)
    known = surrogate.expect(mols_of(molecules[:200]))
    assert float((known.mean - torch.tensor(scores)).abs().max()) < 0.02
    stranger = surrogate.expect([read("[O-][Cl+3]([O-])([O-])[O-]")])
    assert float(known.sd.max()) < 0.3 * float(stranger.sd)
    # Where nothing is alike it expects the mean of the scores, give or take their deviation.
    assert float(stranger.mean) == pytest.approx(np.mean(scores), abs=0.01)
    assert float(stranger.sd) == pytest.approx(np.std(scores), rel=0.05)


def test_it_foretells_scores_of_others(molecules: list[str]) -> None:
    scores = likeness(molecules, molecules[300])
    surrogate = filled(molecules[:250], scores[:250])
    expected = surrogate.expect(mols_of(molecules[250:]))
    assert np.corrcoef(expected.mean.numpy(), scores[250:])[0, 1] > 0.5


def test_scores_all_alike_are_expected_again(molecules: list[str]) -> None:
    surrogate = filled(molecules[:50], [0.0] * 50)
    expected = surrogate.expect(mols_of(molecules[50:60]))
    assert torch.allclose(expected.mean, torch.zeros(10), atol=1e-6)
    assert bool((expected.sd > 0).all())


def test_trust_goes_to_features_that_foretell(molecules: list[str]) -> None:
    # Scores that are a sample of the process over torsions.
    rows = features(mols_of(molecules), "topological_torsion")
    factor = torch.linalg.cholesky(tanimoto(rows, rows).double() + 1e-6 * torch.eye(len(rows)))
    scores = (factor @ torch.from_numpy(np.random.default_rng(5).standard_normal(len(rows)))).tolist()
    surrogate = Surrogate(["atom_pair", "topological_torsion"], most=4000)
    for first in range(0, 400, 50):
        part = molecules[first : first + 50]
        surrogate.add(part, mols_of(part), scores[first : first + 50], np.random.default_rng(0))
    assert float(surrogate.trust.sum()) == pytest.approx(1.0)
    assert surrogate.trust[1] > 0.6


def test_of_many_points_the_best_stay(molecules: list[str]) -> None:
    scores = likeness(molecules, molecules[300])
    surrogate = filled(molecules, scores, most=100)
    assert 50 <= len(surrogate) <= 100
    best = [molecules[i] for i in np.argsort(scores)[::-1][:25]]
    assert {*best} <= {*surrogate.smiles}
    expected = surrogate.expect(mols_of(surrogate.smiles))
    assert torch.allclose(expected.mean, torch.tensor(surrogate.scores), atol=0.03)


@pytest.mark.parametrize("most", [4000, 120])
def test_a_state_is_gone_back_to_to_the_bit(molecules: list[str], most: int) -> None:
    scores = likeness(molecules, molecules[300])
    whole = filled(molecules[:250], scores[:250], most=most, kinds=KINDS)
    state: dict[str, Any] = whole.state()
    other = Surrogate(KINDS, most=most)
    other.restore(state, reread)
    for surrogate in (whole, other):
        surrogate.add(
            molecules[250:280], mols_of(molecules[250:280]), scores[250:280], np.random.default_rng(1)
        )
    first, second = (one.expect(mols_of(molecules[300:])) for one in (whole, other))
    assert torch.equal(first.mean, second.mean)
    assert torch.equal(first.sd, second.sd)
    assert torch.equal(whole.trust, other.trust)


def test_large_molecules_and_their_relatives_are_taken_in() -> None:
    # Hundreds of atom pairs each, in common all but a few: what is rounded there is no covariance any more.
    core = "O=C(Nc1ccc(Oc2ccc(C(F)(F)F)cc2)cc1)c1ccc(N2CCN(C(=O)Cc3ccccc3)CC2)nc1"
    family = [
        core.replace("c1ccc(O", f"c1ccc({'C' * i}O", 1).replace("Cc3", f"{'C' * j}c3")
        for i in range(8)
        for j in range(1, 9)
    ]
    surrogate = Surrogate(["atom_pair"], most=4000)
    for first in range(0, 64, 16):
        part = family[first : first + 16]
        surrogate.add(part, mols_of(part), [len(text) / 100 for text in part], np.random.default_rng(0))
    process = surrogate.processes[0]
    ones = process.rows.float().sum(1)
    assert float(ones.max()) > 300
    similar = tanimoto(process.rows, process.rows)
    assert torch.equal(similar.diagonal(), torch.ones(64))
    assert float(torch.linalg.eigvalsh(similar.double()).min()) > -1e-4


def test_one_surprise_does_not_decide_whom_to_trust(molecules: list[str]) -> None:
    surrogate = filled(molecules[:100], [0.0] * 100, kinds=KINDS)
    part = molecules[100:110]
    surrogate.add(part, mols_of(part), [0.0] * 9 + [0.9], np.random.default_rng(0))
    assert float(surrogate.trust.min()) > 0.01
