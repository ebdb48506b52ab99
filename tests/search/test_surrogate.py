from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from moldesign.assets import corpus_path
from moldesign.chem.fingerprints import Kind, fingerprint
from moldesign.chem.fingerprints import tanimoto as similarities
from moldesign.chem.molecules import Mol, read, reread
from moldesign.language import corpus
from moldesign.search.choices import Targets
from moldesign.search.kernels import Features, features, kernels, tanimoto
from moldesign.search.surrogate import NOISE, Posterior, Processes, Surrogate, normal_scores


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
    properties: Sequence[float] = (0.0,),
    targets: Targets = "scores",
) -> Surrogate:
    surrogate = Surrogate(kinds, most=most, properties=properties, targets=targets)
    generator = np.random.default_rng(0)
    for first in range(0, len(molecules), block):
        part = molecules[first : first + block]
        surrogate.add(part, mols_of(part), scores[first : first + block], generator)
    return surrogate


def expected_of(surrogate: Surrogate, smiles: list[str]) -> Posterior:
    return surrogate.expect(surrogate.features(mols_of(smiles)))


@pytest.mark.parametrize("share", [0.0, 0.75])
def test_a_process_expects_what_the_equations_say(molecules: list[str], share: float) -> None:
    rows = features(mols_of(molecules[:80]), "ecfp6")
    known, others = rows.rows(torch.arange(60)), rows.rows(torch.arange(60, 80))
    # Beside another one, whose likenesses are reckoned with its own.
    processes = Processes("ecfp6", (0.5, share))
    for first in range(0, 60, 20):
        processes.add(rows.rows(torch.arange(first, first + 20)))
    targets = torch.from_numpy(np.random.default_rng(0).standard_normal(60)).float()
    other, found = processes.expect(others, targets, covariance=1)
    assert other.covariance is None
    assert not torch.allclose(other.mean, found.mean, atol=1e-2)

    def similar(first: Features, second: Features) -> Tensor:
        return kernels(first, second, [share])[0].double()

    # Rasmussen & Williams 2006, eq. 2.25 and 2.26, by inverting the matrix.
    inverse = torch.linalg.inv(similar(known, known) + NOISE * torch.eye(60))
    across = similar(known, others)
    mean = across.T @ inverse @ targets.double()
    covariance = similar(others, others) - across.T @ inverse @ across
    assert torch.allclose(found.mean.double(), mean, atol=1e-4)
    assert found.covariance is not None
    assert torch.allclose(found.covariance.double(), covariance, atol=1e-4)
    assert torch.allclose(found.sd.double() ** 2, covariance.diagonal(), atol=1e-4)


def test_what_it_was_told_it_knows_and_of_strangers_it_is_unsure(molecules: list[str]) -> None:
    scores = likeness(molecules[:200], molecules[300])
    surrogate = filled(molecules[:200], scores)
    known = expected_of(surrogate, molecules[:200])
    assert float((known.mean - surrogate.targets()).abs().max()) < 0.1
    stranger = expected_of(surrogate, ["[O-][Cl+3]([O-])([O-])[O-]"])
    assert float(known.sd.max()) < 0.3 * float(stranger.sd)
    # Where nothing is alike it expects the mean of the scores, give or take their deviation.
    assert float(stranger.mean) == pytest.approx(0.0, abs=0.1)
    assert float(stranger.sd) == pytest.approx(1.0, rel=0.05)


def test_it_foretells_scores_of_others(molecules: list[str]) -> None:
    scores = likeness(molecules, molecules[300])
    surrogate = filled(molecules[:250], scores[:250])
    expected = expected_of(surrogate, molecules[250:])
    assert np.corrcoef(expected.mean.numpy(), scores[250:])[0, 1] > 0.5


def test_scores_all_alike_are_expected_again(molecules: list[str]) -> None:
    surrogate = filled(molecules[:50], [0.0] * 50)
    expected = expected_of(surrogate, molecules[50:60])
    assert torch.allclose(expected.mean, torch.zeros(10), atol=1e-6)
    assert bool((expected.sd > 0).all())


def sample(rows: Features) -> list[float]:
    """Scores of molecules that are a sample of the process over their features."""
    factor = torch.linalg.cholesky(tanimoto(rows, rows).double() + 1e-6 * torch.eye(len(rows)))
    drawn = factor @ torch.from_numpy(np.random.default_rng(5).standard_normal(len(rows)))
    return [*map(float, drawn)]


def test_trust_goes_to_features_that_foretell(molecules: list[str]) -> None:
    scores = sample(features(mols_of(molecules), "topological_torsion"))
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
    expected = expected_of(surrogate, surrogate.smiles)
    assert torch.allclose(expected.mean, surrogate.targets(), atol=0.15)


@pytest.mark.parametrize("most", [4000, 120])
def test_a_state_is_gone_back_to_to_the_bit(molecules: list[str], most: int) -> None:
    scores = likeness(molecules, molecules[300])
    whole = filled(molecules[:250], scores[:250], most=most, kinds=KINDS, properties=(0.0, 0.5))
    state: dict[str, Any] = whole.state()
    other = Surrogate(KINDS, most=most, properties=(0.0, 0.5))
    other.restore(state, reread)
    for surrogate in (whole, other):
        surrogate.add(
            molecules[250:280], mols_of(molecules[250:280]), scores[250:280], np.random.default_rng(1)
        )
    first, second = (expected_of(one, molecules[300:]) for one in (whole, other))
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
    rows = surrogate.processes[0].rows
    assert float(rows.sizes.max()) > 300
    similar = tanimoto(rows, rows)
    assert torch.equal(similar.diagonal(), torch.ones(64))
    assert float(torch.linalg.eigvalsh(similar.double()).min()) > -1e-4


def test_one_surprise_does_not_decide_whom_to_trust(molecules: list[str]) -> None:
    surrogate = filled(molecules[:100], [0.0] * 100, kinds=KINDS)
    part = molecules[100:110]
    surrogate.add(part, mols_of(part), [0.0] * 9 + [0.9], np.random.default_rng(0))
    assert float(surrogate.trust.min()) > 0.01


def test_what_depends_on_properties_is_foretold_by_properties(molecules: list[str]) -> None:
    scores = [abs(mol.GetRingInfo().NumRings() - 2.0) for mol in mols_of(molecules)]
    errors = {}
    for share in (0.0, 0.75):
        surrogate = filled(molecules[:250], scores[:250], properties=(share,))
        errors[share] = -np.corrcoef(expected_of(surrogate, molecules[250:]).mean.numpy(), scores[250:])[0, 1]
    assert errors[0.75] < errors[0.0] - 0.1


def test_trust_goes_to_the_kernel_that_foretells(molecules: list[str]) -> None:
    of_properties = [abs(mol.GetRingInfo().NumRings() - 2.0) for mol in mols_of(molecules)]
    of_features = sample(features(mols_of(molecules), "ecfp4"))
    for scores, trusted in ((of_properties, 1), (of_features, 0)):
        surrogate = filled(molecules, scores, properties=(0.0, 0.75))
        assert int(surrogate.trust.argmax()) == trusted


def test_ranks_are_targets_as_normal_quantiles(molecules: list[str]) -> None:
    # Three of four are 0, and one is far out.
    scores = [0.0] * 30 + [0.1 + i / 1000 for i in range(9)] + [100.0]
    ranks = filled(molecules[:40], scores, targets="ranks", block=10).targets()
    assert ranks.tolist() == normal_scores(torch.tensor(scores), torch.tensor(scores)).tolist()
    # The zeros share the middle of ranks 1 to 30 of 40; the best is the 40th.
    assert float(ranks[0]) == pytest.approx(NormalDist().inv_cdf(15.5 / 41), abs=1e-5)
    assert float(ranks[-1]) == pytest.approx(NormalDist().inv_cdf(40 / 41), abs=1e-5)
    standard = filled(molecules[:40], scores, block=10).targets()
    both = filled(molecules[:40], scores, targets="both", block=10).targets()
    assert float(standard[-1]) == pytest.approx((100 - np.mean(scores)) / np.std(scores), rel=1e-4)
    assert torch.allclose(both, (standard + ranks) / 2)
    # What is better than all that is known is so by half a rank.
    beyond = normal_scores(torch.tensor([200.0]), torch.tensor(scores))
    assert float(beyond) == pytest.approx(NormalDist().inv_cdf(40.5 / 41), abs=1e-4)
