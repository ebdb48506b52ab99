import math

import pytest
from rdkit import Chem
from rdkit.Contrib.NP_Score import npscorer

from moldesign.chem import descriptors
from moldesign.chem.molecules import read

ASPIRIN = read("CC(=O)Oc1ccccc1C(=O)O")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mw", 180.159),  # 9 x 12.011 + 8 x 1.008 + 4 x 15.999
        ("tpsa", 63.60),  # published for aspirin
        ("hbd", 1),
        ("hba", 3),
        ("rotatable_bonds", 2),
        ("rings", 1),
        ("aromatic_rings", 1),
        ("largest_ring", 6),
        ("fraction_sp3", 1 / 9),
        ("heavy_atoms", 13),
        ("formal_charge", 0),
        ("stereocentres", 0),
        ("logp", 1.3101),
        ("qed", 0.550),
        ("sa_score", 1.580),
        ("exact_mass", 180.0423),  # 9 x 12 + 8 x 1.007825 + 4 x 15.994915
        ("molar_refractivity", 44.7103),
        ("aliphatic_rings", 0),
        ("macrocycles", 0),
        ("spiro_atoms", 0),
        ("bridgehead_atoms", 0),
        ("sp_atoms", 0),
        ("sp2_atoms", 12),  # all but the methyl: RDKit counts the conjugated ester and hydroxyl oxygens too
        ("sp3_atoms", 1),
        ("hetero_atoms", 4),
        ("graph_length", 6),  # from the methyl to an oxygen of the acid
    ],
)
def test_aspirin(name: str, value: float) -> None:
    number = getattr(descriptors, name)(ASPIRIN)
    assert type(number) is float
    assert number == pytest.approx(value, abs=1e-3)


def test_penalised_logp_is_what_the_papers_compute() -> None:
    # log P 1.3101, SA 1.580, no ring above six.
    assert descriptors.penalised_logp(ASPIRIN) == pytest.approx(1.3101 - 1.580, abs=1e-3)
    ring = read("C1CCCCCCCCC1")  # ten atoms: four too many
    by_hand = descriptors.logp(ring) - descriptors.sa_score(ring) - 4
    assert descriptors.penalised_logp(ring) == pytest.approx(by_hand)
    small = read("C1CC1")
    by_hand = descriptors.logp(small) - descriptors.sa_score(small)
    assert descriptors.penalised_logp(small) == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("smiles", "bonds"),
    [
        ("C", 0),
        ("CCC", 0),
        ("CCCC", 1),
        ("CCCCCCCC", 5),
        ("c1ccccc1CCCc1ccccc1", 4),
        # A ring and an amide end a chain: 2 and 3 bonds; 3 and 1.
        ("CCCc1ccc(CCCC)cc1", 3),
        ("CCCCC(=O)NCCC", 3),
        # Of three arms of 2 bonds from one carbon, two make the longest path.
        ("CCCC(CCC)CCC", 4),
        ("CCCCO.CCCCCCO", 4),
        ("CC#CCCC#CC", 1),
    ],
)
def test_the_longest_chain_of_rotatable_bonds(smiles: str, bonds: int) -> None:
    assert descriptors.max_consecutive_rotatable_bonds(read(smiles)) == bonds


def test_the_bonds_that_rotate_are_those_that_rdkit_counts() -> None:
    for smiles in ("CC(=O)Nc1ccc(OCC)cc1", "CC(C)(C)CCNC(=O)OC", "CCOC(=O)C#CCC(F)(F)F", "CC(N)=[NH+]CCOC=O",
                   "CN(C)CCCN1c2ccccc2CCc2ccccc21", "CCCCN1C(=O)C(c2ccccc2)N=C1N(C)C"):  # fmt: skip
        mol = read(smiles)
        bonds = mol.GetSubstructMatches(descriptors._rotatable())
        assert len(bonds) == descriptors.rotatable_bonds(mol), smiles


def test_names_of_aspirin() -> None:
    assert descriptors.formula(ASPIRIN) == "C9H8O4"
    assert descriptors.inchikey(ASPIRIN) == "BSYNRYMUTXBXSQ-UHFFFAOYSA-N"


def test_a_dummy_atom_has_no_inchikey() -> None:
    assert descriptors.inchikey(read("*CC")) == ""


def test_counts_that_aspirin_does_not_show() -> None:
    assert descriptors.stereocentres(read("C[C@H](N)C(O)C")) == 2  # one specified, one not
    assert descriptors.formal_charge(read("C[N+](C)(C)CC(=O)[O-]")) == 0
    assert descriptors.formal_charge(read("C[N+](C)(C)C")) == 1
    assert descriptors.largest_ring(read("CCO")) == 0
    assert descriptors.fraction_sp3(read("O")) == 0


@pytest.mark.parametrize(
    ("name", "smiles", "value"),
    [
        ("aliphatic_rings", "C1CCC2=C(C1)C=CC=C2", 1),  # tetralin
        ("macrocycles", "C1CCCCCCCCCC1", 0),  # 11 atoms
        ("macrocycles", "C1CCCCCCCCCCC1", 1),  # 12 atoms
        ("spiro_atoms", "C1CCC2(C1)CCCC2", 1),
        ("bridgehead_atoms", "C1CC2CCC1C2", 2),  # norbornane
        ("sp_atoms", "CC#N", 2),
        ("sp2_atoms", "CC#N", 0),
        ("sp3_atoms", "CCO", 3),
        ("hetero_atoms", "[2H]OC(F)Cl", 3),
        ("graph_length", "C", 0),
        ("graph_length", "C1CCCCC1", 3),
        ("graph_length", "CCCCC.CCCCCCC", 6),  # of the larger fragment, not between the two
        ("molar_refractivity", "c1ccccc1", 26.442),  # 6 x 3.350 + 6 x 1.057: aromatic CH and its hydrogen
        ("exact_mass", "[13CH4]", 17.03466),  # 13.003355 + 4 x 1.007825
    ],
)
def test_of_small_molecules(name: str, smiles: str, value: float) -> None:
    assert getattr(descriptors, name)(read(smiles)) == pytest.approx(value, abs=1e-4)


def test_the_bertz_index_of_propane_by_hand() -> None:
    # Bonds that meet: one pair, 2 x 1 log2 1 = 0. Atoms: 3 of one element, 3 log2 3 - 3 log2 3 = 0.
    assert descriptors.bertz(read("CCC")) == pytest.approx(0)
    # Another element: 3 log2 3 - 2 log2 2 - 1 log2 1.
    assert descriptors.bertz(read("CCO")) == pytest.approx(3 * math.log2(3) - 2)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_np_likeness_is_that_of_rdkit(capfd: pytest.CaptureFixture[str]) -> None:
    natural = read("C[C@H](CCCC(C)C)[C@H]1CC[C@H]2[C@@H]3CC=C4C[C@@H](O)CC[C@]4(C)[C@H]3CC[C@]12C")
    made = read("CCCc1nn(C)c2c1nc([nH]c2=O)-c1cc(ccc1OCC)S(=O)(=O)N1CCN(C)CC1")
    descriptors._np_model.cache_clear()
    values = [descriptors.np_likeness(mol) for mol in (natural, made)]
    assert capfd.readouterr().err == ""
    model = npscorer.readNPModel()
    assert values == [npscorer.scoreMol(mol, model) for mol in (natural, made)]
    assert values[0] > 2
    assert values[1] < -1


def test_a_descriptor_by_its_name_in_rdkit() -> None:
    assert len(descriptors.RDKIT_DESCRIPTORS) > 200
    assert descriptors.rdkit_descriptor("NumValenceElectrons")(read("CCO")) == 20
    assert descriptors.rdkit_descriptor("fr_ester")(ASPIRIN) == 1
    assert math.isnan(descriptors.rdkit_descriptor("MaxPartialCharge")(read("*CC")))


@pytest.mark.parametrize(
    ("name", "hint"), [("MolWeight", "did you mean 'MolWt'"), ("qwxz", "as MolWt and TPSA")]
)
def test_a_descriptor_that_rdkit_does_not_have(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=f"no descriptor '{name}'.*{hint}"):
        descriptors.rdkit_descriptor(name)


def test_descriptors_leave_the_molecule_as_it_is() -> None:
    mol = read("CC(=O)Oc1ccccc1C(=O)O")
    before = Chem.MolToCXSmiles(mol)
    for name in ("qed", "np_likeness", "graph_length", "bertz", "sp2_atoms"):
        getattr(descriptors, name)(mol)
    assert Chem.MolToCXSmiles(mol) == before
