from __future__ import annotations

import numpy as np
import pytest
import torch

from moldesign.assets import corpus_path
from moldesign.chem import fingerprints
from moldesign.chem.fingerprints import Kind
from moldesign.chem.molecules import read
from moldesign.language import corpus
from moldesign.search.kernels import features, tanimoto

KINDS: list[Kind] = ["ecfp6", "fcfp4", "atom_pair", "topological_torsion"]


@pytest.mark.parametrize("kind", KINDS)
def test_similarities_are_those_of_rdkit_of_counts(kind: Kind) -> None:
    mols = [read(smiles) for smiles in corpus.load(corpus_path("zinc250k"))[:60]]
    found = tanimoto(features(mols[:40], kind), features(mols[40:], kind)).numpy()
    vectors = [fingerprints.fingerprint(mol, kind, counts=True) for mol in mols]
    wanted = np.stack([fingerprints.tanimoto(one, vectors[40:]) for one in vectors[:40]])
    # Features that share a column make a little of difference.
    assert np.abs(found - wanted).max() < 0.08
    assert np.abs(found - wanted).mean() < 0.04
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.97


def test_a_feature_that_is_there_often_counts_often() -> None:
    # Hexane and decane have the same atom pairs up to five bonds apart, in other numbers.
    bits = features([read("CCCCCC"), read("CCCCCCCCCC"), read("CCCCCC")], "ecfp4")
    between = tanimoto(bits, bits)
    assert between[0, 2] == 1.0
    assert 0.5 < between[0, 1] < 0.8


def test_no_features_are_like_nothing() -> None:
    nothing = features([read("C")], "topological_torsion")
    assert nothing.sum() == 0
    assert torch.equal(tanimoto(nothing, nothing), torch.zeros(1, 1))
