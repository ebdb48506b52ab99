import pytest

from moldesign.chem.molecules import read
from moldesign.chem.zwitterions import is_zwitterion, would_be_zwitterion


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        ("[NH3+]CC(=O)[O-]", True),
        ("C[N+](C)(C)CC(=O)[O-]", True),
        ("C[n+]1ccccc1CCS(=O)(=O)[O-]", True),
        ("[O-][N+](=O)c1ccc(C[NH2+]CC(=O)[O-])cc1", True),
        # A sydnone cannot be written without charges.
        ("[O-]c1on[n+](C)c1", True),
        ("NCC(=O)O", False),
        # Charges of neighbours cancel: nitro, N-oxide, azide, isocyanide, ylide.
        ("O=[N+]([O-])c1ccccc1", False),
        ("[O-][n+]1ccccc1", False),
        ("CN=[N+]=[N-]", False),
        ("C[N+]#[C-]", False),
        ("C[P+](C)(C)[CH-]C", False),
        # One sign alone, or the other sign in the counter-ion.
        ("[O-][N+](=O)c1ccc(C[NH3+])cc1", False),
        ("[O-][N+](=O)c1ccc(C(=O)[O-])cc1", False),
        ("C[N+](C)(C)C.[Cl-]", False),
        ("[NH3+]CC(=O)[O-].[Na+].[Cl-]", True),
    ],
)
def test_charges_as_they_are_written(smiles: str, expected: bool) -> None:
    assert is_zwitterion(read(smiles)) is expected


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        ("NCC(=O)O", True),
        ("[NH3+]CC(=O)[O-]", True),
        ("OC(=O)C1CCCN1", True),
        ("NCCS(=O)(=O)O", True),
        ("NCCP(=O)(O)O", True),
        ("NCCc1nn[nH]n1", True),
        ("NC(=N)NCCCC(=O)O", True),
        ("OC(=O)CCC(=[NH2+])N", True),
        ("C[N+](C)(C)CC(=O)O", True),
        ("NCCC(=O)O", True),
        ("C[N+](C)(C)CC(=O)[O-]", True),
        # A base that fluorine weakens, and one of pKa 7.3.
        ("O=C(O)CCNCC(F)(F)F", False),
        ("O=C(O)CCNCC(F)F", False),
        # An acid that is none of a carbon.
        ("CC(=O)NS(=O)(=O)c1ccc(CN)cc1", True),
        ("C[N+](C)(C)CCO.CC(=O)[O-]", False),
        # Bases too weak: aniline, amide, sulfonamide, pyridine, cyanoguanidine.
        ("Nc1ccccc1C(=O)O", False),
        ("CC(=O)NCC(=O)O", False),
        ("CS(=O)(=O)NCC(=O)O", False),
        ("O=C(O)c1cccnc1", False),
        ("OC(=O)CN=C(NC#N)N", False),
        # Acids too weak or none: phenol, ester.
        ("NCc1ccc(O)cc1", False),
        ("NCC(=O)OC", False),
        ("CCN.CC(=O)O", False),
    ],
)
def test_acids_and_bases(smiles: str, expected: bool) -> None:
    assert would_be_zwitterion(read(smiles)) is expected
