from __future__ import annotations

import numpy as np
import pytest
import torch

from moldesign.assets import corpus_path
from moldesign.chem import fingerprints
from moldesign.chem.fingerprints import Kind
from moldesign.chem.molecules import read
from moldesign.chem.profile import PROPERTIES
from moldesign.language import corpus
from moldesign.search.kernels import features, kernels, likeness, tanimoto

KINDS: list[Kind] = ["ecfp6", "fcfp4", "atom_pair", "topological_torsion"]


@pytest.mark.parametrize("kind", KINDS)
def test_similarities_are_those_of_rdkit_of_counts(kind: Kind) -> None:
    mols = [read(smiles) for smiles in corpus.load(corpus_path("zinc250k"))[:60]]
    found = kernels(features(mols[:40], kind), features(mols[40:], kind), [0.0])[0].numpy()
    vectors = [fingerprints.fingerprint(mol, kind, counts=True) for mol in mols]
    wanted = np.stack([fingerprints.tanimoto(one, vectors[40:]) for one in vectors[:40]])
    # Features that share a column make a little of difference.
    assert np.abs(found - wanted).max() < 0.08
    assert np.abs(found - wanted).mean() < 0.04
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.97


def test_a_feature_that_is_there_often_counts_often() -> None:
    # Hexane and decane have the same atom pairs up to five bonds apart, in other numbers.
    seen = features([read("CCCCCC"), read("CCCCCCCCCC"), read("CCCCCC")], "ecfp4")
    between = tanimoto(seen, seen)
    assert between[0, 2] == 1.0
    assert 0.5 < between[0, 1] < 0.8


def test_no_features_are_like_nothing() -> None:
    nothing = features([read("C")], "topological_torsion")
    assert nothing.sizes.tolist() == [nothing.bits.sum()] == [0]
    assert torch.equal(tanimoto(nothing, nothing), torch.zeros(1, 1))


def test_molecules_of_like_properties_are_alike_and_the_kernel_is_a_mean() -> None:
    mols = [read(smiles) for smiles in ("CCOC(=O)c1ccccc1", "COC(=O)Cc1ccccc1", "OCC(O)C(O)C(O)CO")]
    seen = features(mols, "ecfp4")
    alike = likeness(seen.properties, seen.properties)
    wanted = np.exp(-((seen.properties[0] - seen.properties[2]).numpy() ** 2).sum() / (2 * PROPERTIES))
    assert float(alike[0, 2]) == pytest.approx(wanted, abs=1e-5)
    # Isomers differ in what they are made of, and hardly in their properties.
    assert float(alike[0, 1]) > 0.98 > 0.6 > float(tanimoto(seen, seen)[0, 1])
    plain, mixed = kernels(seen, seen, [0.0, 0.75])
    assert torch.equal(plain, tanimoto(seen, seen))
    assert torch.allclose(mixed, 0.25 * tanimoto(seen, seen) + 0.75 * alike, atol=1e-6)
    assert torch.allclose(mixed.diagonal(), torch.ones(3), atol=1e-5)
    assert torch.equal(kernels(seen, seen, [1.0])[0], alike)
