import pytest
from rdkit import Chem

from moldesign.chem.molecules import read
from moldesign.chem.scaffolds import core_query, generic, murcko


@pytest.mark.parametrize(
    ("smiles", "scaffold", "graph"),
    [
        ("CC(=O)Oc1ccccc1C(=O)O", "c1ccccc1", "C1CCCCC1"),
        ("CCO", "", ""),
        ("OCc1ccc(CCc2ccncc2)cc1", "c1cc(CCc2ccncc2)ccc1", "C1CCC(CCC2CCCCC2)CC1"),
        # What is doubly bound stays in the scaffold and leaves the graph.
        ("CN1C(=O)CCC1=O", "O=C1CCC(=O)N1", "C1CCCC1"),
        # A hexavalent sulfur is no carbon that valence rules know.
        ("FS1(F)(C2CC2)(C2CC2)CCCC1", "C1CCS(C2CC2)(C2CC2)C1", "C1CCC(C2CC2)(C2CC2)C1"),
        # Stereo does not make another scaffold.
        ("C[C@H]1CC[C@H](c2ccccc2)C1", "c1ccc(C2CCCC2)cc1", "C1CCC(C2CCCC2)CC1"),
    ],
)
def test_scaffold_and_graph(smiles: str, scaffold: str, graph: str) -> None:
    assert murcko(read(smiles)) == Chem.CanonSmiles(scaffold)
    assert generic(read(smiles)) == Chem.CanonSmiles(graph)


def test_a_long_chain_returns_at_once_and_a_large_ring_system_is_refused() -> None:
    assert murcko(Chem.MolFromSmiles("C" * 2000)) == ""
    large = Chem.MolFromSmiles("C1CCCCC1" + "C" * 300)
    with pytest.raises(ValueError, match="250 atoms"):
        murcko(large)


def test_a_core_is_held_whatever_it_carries() -> None:
    core = core_query(read("c1ccc2[nH]ccc2c1"))
    assert read("Cc1c[nH]c2ccc(F)cc12").HasSubstructMatch(core)
    assert read("Cn1ccc2ccccc21").HasSubstructMatch(core)
    assert not read("c1ccc2occc2c1").HasSubstructMatch(core)


def test_a_dummy_atom_is_any_atom_but_hydrogen() -> None:
    core = core_query(read("*c1ccccc1"))
    assert read("Cc1ccccc1").HasSubstructMatch(core)
    assert read("Fc1ccccc1").HasSubstructMatch(core)
    assert not read("c1ccccc1").HasSubstructMatch(core)
