"""Features are those that RDKit computes, column by column: a model is trained on them elsewhere."""

import math

import numpy as np
import pytest
from rdkit.Chem import rdFingerprintGenerator, rdMolDescriptors

from moldesign.chem.features import Features
from moldesign.chem.fingerprints import Kind
from moldesign.chem.molecules import read

MOLS = [read(s) for s in ["CC(=O)Oc1ccccc1C(=O)O", "CCCCCCCCCCCC", "O=C(CCCN1CCC(O)(CC1)c1ccc(Cl)cc1)C", "C"]]


@pytest.mark.parametrize("bits", [512, 1000, 2048, 4096])
@pytest.mark.parametrize(("kind", "radius"), [("ecfp2", 1), ("ecfp4", 2), ("fcfp6", 3)])
def test_a_circular_fingerprint_of_any_width_is_rdkits(kind: Kind, radius: int, bits: int) -> None:
    if kind.startswith("fcfp"):
        atoms = rdFingerprintGenerator.GetMorganFeatureAtomInvGen()
        generator = rdFingerprintGenerator.GetMorganGenerator(
            radius=radius, fpSize=bits, atomInvariantsGenerator=atoms
        )
    else:
        generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=bits)
    counts, ones = Features(kind, counts=True, bits=bits), Features(kind, bits=bits)
    assert counts.width == ones.width == bits
    np.testing.assert_array_equal(counts(MOLS), [generator.GetCountFingerprintAsNumPy(mol) for mol in MOLS])
    np.testing.assert_array_equal(ones(MOLS), [generator.GetFingerprintAsNumPy(mol) for mol in MOLS])
    assert counts(MOLS).max() > 1


def test_other_fingerprints_have_the_width_of_rdkits_bits() -> None:
    maccs = Features("maccs")
    assert maccs.width == 167
    np.testing.assert_array_equal(
        maccs(MOLS), [list(rdMolDescriptors.GetMACCSKeysFingerprint(mol)) for mol in MOLS]
    )
    torsions = rdFingerprintGenerator.GetTopologicalTorsionGenerator(fpSize=2048)
    np.testing.assert_array_equal(
        Features("topological_torsion")(MOLS), [torsions.GetFingerprintAsNumPy(mol) for mol in MOLS]
    )


def test_descriptors_follow_the_fingerprint_in_their_order() -> None:
    features = Features("ecfp4", bits=16, descriptors=["TPSA", "MolLogP"])
    rows = features(MOLS)
    assert rows.shape == (4, features.width) == (4, 18)
    np.testing.assert_array_equal(
        rows[:, 16:],
        [[rdMolDescriptors.CalcTPSA(mol), rdMolDescriptors.CalcCrippenDescriptors(mol)[0]] for mol in MOLS],
    )
    np.testing.assert_array_equal(rows[:, :16], Features("ecfp4", bits=16)(MOLS))


def test_a_descriptor_without_a_value_is_not_a_number() -> None:
    # Gasteiger has no parameters for selenium.
    (row,) = Features(None, descriptors=["MaxPartialCharge", "MolWt"])([read("CC[Se]C")])
    assert math.isnan(row[0])
    assert row[1] > 100


def test_no_molecules() -> None:
    assert Features("ecfp4")([]).shape == (0, 2048)


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="no descriptor 'MolLogp'; did you mean 'MolLogP'?"):
        Features(None, descriptors=["MolLogp"])
    with pytest.raises(ValueError, match="'maccs' has bits of its own"):
        Features("maccs", counts=True)
    with pytest.raises(ValueError, match="'avalon' has bits of its own"):
        Features("avalon", bits=512)
