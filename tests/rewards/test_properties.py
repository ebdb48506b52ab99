import numpy as np
import pytest
from pydantic import ValidationError
from rdkit.Chem import Descriptors, rdMolDescriptors

from moldesign.chem.molecules import read
from moldesign.rewards.entry import NoParameters
from moldesign.rewards.properties import ENTRIES, DescriptorParameters, descriptor

MOLS = [read(smiles) for smiles in ("CC(=O)Oc1ccccc1C(=O)O", "C[C@H](N)C1CC12CC2", "N#CCC.[Na+].[Cl-]")]

#: The property by its own name, and the same from RDKit's table.
SAME = {
    "qed": "qed",
    "logp": "MolLogP",
    "tpsa": "TPSA",
    "mw": "MolWt",
    "exact_mass": "ExactMolWt",
    "molar_refractivity": "MolMR",
    "hbd": "NumHDonors",
    "hba": "NumHAcceptors",
    "rotatable_bonds": "NumRotatableBonds",
    "rings": "RingCount",
    "aromatic_rings": "NumAromaticRings",
    "aliphatic_rings": "NumAliphaticRings",
    "spiro_atoms": "NumSpiroAtoms",
    "bridgehead_atoms": "NumBridgeheadAtoms",
    "fraction_sp3": "FractionCSP3",
    "heavy_atoms": "HeavyAtomCount",
    "hetero_atoms": "NumHeteroatoms",
    "stereocentres": "NumAtomStereoCenters",
    "bertz": "BertzCT",
}


@pytest.mark.parametrize("name", SAME)
def test_a_property_is_the_descriptor_of_rdkit(name: str) -> None:
    ours = ENTRIES[name].build(NoParameters())(MOLS)
    theirs = [getattr(Descriptors, SAME[name])(mol) for mol in MOLS]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    by_name = descriptor(DescriptorParameters(name=SAME[name]))(MOLS)
    np.testing.assert_allclose(by_name, theirs, rtol=1e-12)


def test_every_property_has_one_value_a_molecule() -> None:
    for name, entry in ENTRIES.items():
        values = entry.build(entry.parameters.model_validate(entry.example))(MOLS)
        assert values.shape == (3,), name
        assert np.isfinite(values).all(), name
        if entry.unit_interval:
            assert ((values >= 0) & (values <= 1)).all(), name


def test_a_descriptor_that_a_molecule_does_not_have_is_nan() -> None:
    values = descriptor(DescriptorParameters(name="MaxPartialCharge"))([read("CCO"), read("*CC")])
    assert np.isfinite(values).tolist() == [True, False]


def test_a_wrong_name_gets_the_nearest() -> None:
    with pytest.raises(ValidationError, match="no descriptor 'BalabanI'; did you mean 'BalabanJ'"):
        DescriptorParameters(name="BalabanI")


def test_directions() -> None:
    directions = {name: entry.direction for name, entry in ENTRIES.items() if entry.direction != "between"}
    assert directions == {"qed": "larger", "sa": "smaller", "penalised_logp": "larger"}
    assert rdMolDescriptors.CalcNumRings(MOLS[1]) == ENTRIES["rings"].build(NoParameters())(MOLS)[1] == 2
