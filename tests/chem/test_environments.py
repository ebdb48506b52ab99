from pathlib import Path

import pytest
from rdkit.Chem import rdFingerprintGenerator

from moldesign.chem.environments import Environments, NotAMolecule, environments
from moldesign.chem.molecules import read


def test_environments_of_a_small_corpus_by_hand() -> None:
    # Ethanol, radius 0 and 1: CH3, CH2, OH; each with its neighbours. At radius 2 all is the whole molecule,
    # of which an environment that holds the same bonds counts once: CH3's and OH's of radius 1 see one bond,
    # CH2's sees both.
    known = Environments(["CCO"])
    ethanol = read("CCO")
    assert len(environments(ethanol, "ecfp4")) == len(known) == 6
    assert known.unknown_share(ethanol) == 0
    # Propanol has CH3, CH2 and OH alone in common with it, and OH beside CH2.
    propanol = environments(read("CCCO"), "ecfp4")
    assert len(propanol & environments(ethanol, "ecfp4")) >= 4
    assert known.unknown_share(read("CCCO")) == len(propanol - environments(ethanol, "ecfp4")) / len(propanol)
    assert known.unknown_share(read("FS")) == 1


def test_identifiers_are_those_of_rdkit_unfolded() -> None:
    caffeine = read("Cn1cnc2c1c(=O)n(C)c(=O)n2C")
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2)
    # Its bits are signed, its counts are not.
    theirs = {bit % 2**32 for bit in generator.GetSparseFingerprint(caffeine).GetOnBits()}
    assert environments(caffeine, "ecfp4") == theirs


@pytest.mark.parametrize("kind", ["ecfp4", "fcfp4"])
def test_a_canonical_corpus_is_read_to_the_same(kind: str) -> None:
    corpus = ["Cc1ccccc1", "O=[N+]([O-])c1ccc2[nH]ccc2c1", "CC(=O)[O-].[Na+]", "C[NH2+]Cc1ccsc1", "CC(=O)O"]
    fast = Environments(corpus, kind=kind)  # type: ignore[arg-type]
    full = Environments(corpus, kind=kind, canonical=False)  # type: ignore[arg-type]
    assert [fast.unknown_share(read(smiles)) for smiles in corpus] == [0] * 5
    assert fast._known == full._known


def test_a_proton_makes_nothing_unusual() -> None:
    known = Environments(["CCN", "CC(=O)O"])
    assert known.unknown_share(read("CC[NH3+]")) == 0
    assert known.unknown_share(read("CC(=O)[O-].[Na+]")) > 0  # the sodium
    assert Environments(["CC[NH3+]"]).unknown_share(read("CCN")) == 0


def test_a_corpus_is_kept_and_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    expected = Environments(["CCO"], cache=tmp_path).unknown_share(read("CCCO"))
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for content in (whole, whole[:50], b""):
        file.write_bytes(content)
        assert Environments(["CCO"], cache=tmp_path).unknown_share(read("CCCO")) == expected
    assert file.read_bytes() == whole
    Environments(["CCO"], kind="ecfp6", cache=tmp_path)
    Environments(["CCN"], cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_line_that_is_no_molecule_is_told_and_nothing_is_kept(tmp_path: Path) -> None:
    with pytest.raises(NotAMolecule) as caught:
        Environments(["CCO", "C1CC", "CC("], cache=tmp_path)
    assert caught.value.index == 1
    assert list(tmp_path.iterdir()) == []
