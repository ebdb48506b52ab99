import lzma
from collections.abc import Iterator
from itertools import islice

import pytest
from rdkit import Chem
from rdkit.Chem import QED, rdMolDescriptors

from moldesign.assets import corpora
from moldesign.chem import qed as module
from moldesign.chem.molecules import quiet_rdkit
from moldesign.chem.qed import qed

ODD = (
    """
C O N [He] [Na] [Fe] [H][H] [H] [2H]C([2H])O [H]O[H] * *CC* [13CH4] C[15NH2] CC[18OH] C[34S]C [14C] [CH3]
[O][O] [Na+].[Cl-] CC(=O)[O-].[Na+] C[NH+](C)C.[Cl-] O=[N+]([O-])c1ccccc1 C[N+](C)(C)CC(=O)[O-] C=[N+]=[N-]
[C-]#[O+] CN=[N+]=[N-] C[S+](C)[O-] CC#N c1cc[n+]([O-])cc1 c1ccc[o+]c1 [B-](F)(F)(F)F CCCCCCCCCCCC C=C=C
C#CC(=O)C N#N FC(F)(F)C(F)(F)F CC(C)(C)CC(C)(C)C ClC(Cl)(Cl)CBr CC(C)(C)OC(=O)NCC(=O)OC
CS(=O)(=O)OS(=O)(=O)C CC(=S)NC CSC(=O)NCC C12C3C4C1C5C2C3C45 C1C2CC3CC1CC(C2)C3 C12C3C1C1C2C31 C1CC11CC1
C1CCC2(CC1)CCC1(CC2)CCCCC1 C1CC2CCC1C2 C1CCC2C3CC4CCC3C(C1)C24 C1=CC2=CC=CC3=C2C1=CC=C3
c1cc2ccc3cccc4ccc(c1)c2c34 c1cc2ccc3ccc4ccc5ccc6ccc1c1c2c3c4c5c61 C1=Cc2cccc3cccc1c23
O=C1c2ccccc2C(=O)c2ccccc12 N1c2ccccc2Sc2ccccc21 CC(C)c1ccc2c(C)ccc-2cc1 c1ccc2c(c1)[nH]c1ccccc12
C1=CC=CC=CC=C1 C1=CC=CC=CC1 O=C1C=CC(=O)C=C1 c1ccccc1-c1ccccc1 C1CCCCCCCCCCCCC1 C1COCCOCCOCCOCCOCCO1
O=C1CCCCCCCCCCCCCCO1 c1cc2cc3ccc(cc4ccc(cc5ccc(cc1n2)[nH]5)n4)[nH]3
CC1OC(=O)C(C)C(O)C(C)C(O)C(C)(O)CC(C)C(=O)C(C)C(O)C1C N1C(=O)C(C)NC(=O)C(CO)NC(=O)C(CS)NC(=O)C1 CSSC C1SSC1
OO COOC [NH3]->[Cu](Cl)(Cl)<-[NH3] Cl[Pt](Cl)(N)N C[Hg]C CCO[Ti](OCC)(OCC)OCC [Mo]$[Mo]
[Zn+2].CC(=O)[O-].CC(=O)[O-] C[Si](C)(C)C C[Se]C c1cc[se]c1 OB(O)c1ccccc1 CP(=O)(O)O
O=P(Oc1ccccc1)(Oc1ccccc1)Oc1ccccc1 I[I-]I FS(F)(F)(F)(F)F F.F.F.F O=C1CCN1 C1CO1 C1CN1 O=C1NC(=O)NC(=O)C1
S=C1SC=CS1 CC=NO C=NOC(=O)C CN=C=O C=C=O ON1C=CC=C1 OC(=O)C#N N#CCO NCC#N [O-][n+]1ccccc1 [CH2-]C [CH2+]C
[nH]1nnnc1 c1nnn[nH]1 Oc1ccc(O)cc1 Nc1ccccc1O CC(=O)OC.CC(=O)OC.CC(=O)OC
""".split()
    + ["C" * 251, "C" * 250, "c1ccccc1" * 20, ".".join(["[NH4+]"] * 60), "C1" + "(CC)" + "C" * 30 + "1"]
)


@pytest.fixture(autouse=True)
def _versions_read_anew() -> Iterator[None]:
    quiet_rdkit()
    yield
    module._is_known.cache_clear()


def molecules(corpus: str, n: int, every: int) -> list[Chem.Mol]:
    with lzma.open(corpora()[corpus], "rt", encoding="ascii") as handle:
        smiles = [line.split()[0] for line in islice(handle, 0, n * every, every)]
    mols = [mol for mol in map(Chem.MolFromSmiles, smiles) if mol is not None]
    assert len(mols) == n
    return mols


@pytest.mark.parametrize("corpus", ["zinc250k", "chembl_sample"])
def test_drug_like_molecules_have_the_values_of_rdkit(corpus: str) -> None:
    for mol in molecules(corpus, 550, 7):
        expected = QED.properties(Chem.Mol(mol))
        assert module._properties(mol) == expected, Chem.MolToSmiles(mol)
        assert qed(mol) == QED.qed(mol, qedProperties=expected)


def test_odd_molecules_have_the_value_of_rdkit() -> None:
    for smiles in ODD:
        mol = Chem.MolFromSmiles(smiles)
        assert mol is not None, smiles
        assert qed(mol) == QED.qed(mol), smiles


def test_molecules_in_an_odd_state_have_the_value_of_rdkit() -> None:
    for mol in molecules("chembl_sample", 60, 200):
        smiles = Chem.MolToSmiles(mol)
        kekulised, half_kekulised = Chem.Mol(mol), Chem.Mol(mol)
        Chem.Kekulize(kekulised, clearAromaticFlags=True)
        Chem.Kekulize(half_kekulised)
        unsanitised = Chem.MolFromSmiles(smiles, sanitize=False)
        for other in (kekulised, half_kekulised, unsanitised, Chem.AddHs(mol)):
            assert qed(other) == QED.qed(other) == qed(mol), smiles


def test_molecules_of_the_paper() -> None:
    # Values of RDKit's documentation, from the authors' own program.
    for smiles, value in (
        ("N=C(CCSCc1csc(N=C(N)N)n1)NS(N)(=O)=O", 0.253),
        ("CNC(=NCCSCc1nc[nH]c1C)NC#N", 0.234),
    ):
        assert qed(Chem.MolFromSmiles(smiles)) == pytest.approx(value, abs=1e-3)


def test_it_raises_what_rdkit_raises() -> None:
    with pytest.raises(ValueError, match="mol argument"):
        qed(None)  # type: ignore[arg-type]
    with pytest.raises(Chem.AtomValenceException):
        qed(Chem.MolFromSmiles("C(C)(C)(C)(C)C", sanitize=False))
    assert qed(Chem.Mol()) == QED.qed(Chem.Mol())


def test_an_alert_could_be_anywhere_that_it_is() -> None:
    # Each pattern read as a molecule holds it, wherever RDKit can make it one.
    found = 0
    for smarts, alert in zip(QED.StructuralAlertSmarts, QED.StructuralAlerts, strict=True):
        mol = Chem.MolFromSmiles(Chem.MolToSmiles(alert))
        if mol is not None:
            found += mol.HasSubstructMatch(alert)
            assert qed(mol) == QED.qed(mol), smarts
    assert found >= 50


def test_what_was_learnt_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_NEIGHBOURHOODS", 100)
    module._learnt.cache_clear()
    for mol in molecules("zinc250k", 60, 50):
        assert qed(mol) == QED.qed(mol)
        assert len(module._learnt().logp) < 100 + 2 * mol.GetNumAtoms()


def test_this_rdkit_is_one_that_was_compared_and_another_is_asked_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert module._is_known(), "compare moldesign.chem.qed with the new RDKit, then add its versions"
    mol = Chem.MolFromSmiles("CC(=O)Oc1ccccc1C(=O)O")
    before = qed(mol)
    monkeypatch.setattr(rdMolDescriptors, "_CalcCrippenDescriptors_version", "9")
    monkeypatch.setattr(module, "_properties", None)
    module._is_known.cache_clear()
    assert qed(mol) == before
    monkeypatch.delattr(QED, "StructuralAlerts")
    module._is_known.cache_clear()
    assert not module._is_known()
