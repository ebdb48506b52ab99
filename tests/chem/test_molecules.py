"""What is read as a molecule, what is refused, and what the standard form is."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from moldesign.chem.molecules import (
    MAX_ATOMS,
    MAX_CHARACTERS,
    MAX_CHARGE,
    MAX_SMALLEST_RINGS,
    InvalidMolecule,
    Standard,
    canonical,
    element_symbols,
    parse,
    randomised,
    read,
    standardise,
    to_smiles,
)
from moldesign.errors import UsageError


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty SMILES"),
        ("\u0421CO", "character"),  # a Cyrillic capital that looks like C
        ("CCO\u0441", "character"),
        ("CCO\U0001f600", "character"),
        ("CCO\nCCN", "character"),
        ("CCO ethanol", "character"),
        ("C\0", "character"),
        ("C\udcff\udcfe", "character"),  # bytes that were not UTF-8
        ("CCO |(0,nan,0)|", "character"),
        ("CC>>CO", "character"),
        ("[C+256]", "atom charge beyond 8"),
        ("[C-200]", "atom charge beyond 8"),
        ("[Fe+9]", "atom charge beyond 8"),
        ("[65536C]", "unknown isotope"),
        ("[99C]", "unknown isotope"),
        ("[Xx]", "not a"),
        ("[#6]", "not an atom"),
        ("[CH3:9999999]", "atom map"),
        ("C" * 1001, "longer than 1000 characters"),
        ("C" * 251, "more than 250 atoms"),
        ("c1ccccc1" * 5000, "longer than"),
        ("C1CC", "not a SMILES"),
        ("C(C)(C)(C)(C)C", "impossible valence"),
        ("c1cccc1", "without a Kekule form"),
        ("[Na+].[Na+].[Na+].[Na+].[Na+].[Na+].[Na+].[Na+].[Na+]", "net charge beyond 8"),
        ("C12CC(C1)" + "C1CC(C1)" * 18 + "C1CC2C1", "rings that close in more than 150 ways"),
        ("c12ccc(cc1)" + "-c1ccc(cc1)" * 39 + "-c1ccc2cc1", "more than 32 rings"),
        ("c1ccc(cc1)-" * 33 + "C", "more than 32 rings"),
        ("nan", "not a SMILES"),
        ("None", "not a SMILES"),
    ],
)
def test_what_is_no_molecule_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidMolecule, match=reason):
        read(text)
    assert parse(text) is None
    assert canonical(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("OCC", "CCO"),
        ("C(C)O", "CCO"),
        ("[13CH4]", "[13CH4]"),
        ("[2H]O[2H]", "[2H]O[2H]"),
        ("C%10CCCCC%10", "C1CCCCC1"),
        ("[nH]1cccc1", "c1cc[nH]c1"),
        ("F/C=C/F", "F/C=C/F"),
        ("N[C@@H](C)C(=O)O", "C[C@H](N)C(=O)O"),
        ("[Fe+2]", "[Fe+2]"),
        ("C[N+](C)(C)C", "C[N+](C)(C)C"),
    ],
)
def test_canonical_smiles(text: str, expected: str) -> None:
    assert canonical(text) == expected


@pytest.mark.parametrize(
    ("text", "atoms", "rings"),
    [
        ("C" * 250, 250, 0),
        ("C1CC1" * 32, 96, 32),
        # Buckminsterfullerene, and the smallest cycloparaphenylenes.
        (
            "c12c3c4c5c1c1c6c7c2c2c8c3c3c9c4c4c%10c5c5c1c1c6c6c%11c7c2c2c7c8c3c3c8c9c4c4c9c%10c5c5c1c1c6c6c%11"
            "c2c2c7c3c3c8c4c4c9c5c1c1c6c2c3c41",
            60,
            32,
        ),
        ("c12ccc(cc1)" + "-c1ccc(cc1)" * 5 + "-c1ccc2cc1", 42, 135),
    ],
)
def test_what_is_just_within_the_limits_is_read(text: str, atoms: int, rings: int) -> None:
    mol = read(text)
    assert (mol.GetNumAtoms(), mol.GetRingInfo().NumRings()) == (atoms, rings)


#: Pieces that RDKit may trip over, put together by chance.
PIECES = st.one_of(
    st.sampled_from(
        "C N O c n o [nH] ( ) = # . / \\ [C@H] [C@@] Cl 1 2 3 %12 %(100) [13C] [U] * $ :".split()
    ),
    st.sampled_from(["c1ccccc1", "C1CC1", "C(F)(F)F", "/C=C/", "[N+](=O)[O-]", "[C-9]", "[999C]", "[Fe+3]"]),
    st.sampled_from(
        ["[", "]", "@", "%", "%1", "[]", "[C", "\x00", "\x1b[31m", "\u0421", "\udcff", " x", "\n"]
    ),
)


@given(st.one_of(st.lists(PIECES, max_size=40).map("".join), st.text(max_size=20)), st.integers(1, 60))
@example("C", MAX_ATOMS)
@example("C", MAX_ATOMS + 1)
@example("C", MAX_CHARACTERS + 1)
@example("[Na+].", MAX_CHARGE + 1)
@example("C1CC1", 33)
def test_any_text_is_a_molecule_within_the_limits_or_refused_in_one_line(text: str, times: int) -> None:
    text *= times
    mol, reason = None, ""
    try:
        mol = read(text)
    except InvalidMolecule as error:
        reason = str(error)
    if mol is None:
        assert reason
        assert reason.isascii()
        assert reason.isprintable(), "no line break, no control character"
        assert len(reason) <= MAX_CHARACTERS + 100
        assert parse(text) is None
        assert canonical(text) is None
        return
    assert text.isascii()
    assert len(text) <= MAX_CHARACTERS
    assert 1 <= mol.GetNumAtoms() <= MAX_ATOMS
    assert abs(sum(atom.GetFormalCharge() for atom in mol.GetAtoms())) <= MAX_CHARGE
    assert mol.GetRingInfo().NumRings() <= MAX_SMALLEST_RINGS
    assert canonical(text) == to_smiles(mol)


def test_reasons_hold_one_kind_before_the_colon() -> None:
    kinds = set()
    for text in ("[C+256]", "[C-200]", "[N+99]"):
        with pytest.raises(InvalidMolecule) as caught:
            read(text)
        kinds.add(str(caught.value).split(": ")[0])
    assert len(kinds) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CC(=O)[O-].[Na+]", "CC(=O)O"),  # salt and charge
        ("C[NH3+].CCC(=O)[O-]", "CCC(=O)O"),  # the largest fragment
        ("CCC[N+](C)(C)C", "CCC[N+](C)(C)C"),  # no proton to take away
        ("C[N+](=O)[O-]", "C[N+](=O)[O-]"),  # nitro stays as it is written
        ("c1cc[n+]([O-])cc1", "[O-][n+]1ccccc1"),  # and so does an N-oxide
        ("[NH3+][C@@H](C)C(=O)[O-]", "C[C@H](N)C(=O)O"),  # zwitterion
        ("[13CH3][12CH2]O", "CCO"),
        ("[CH3:1][CH2:2][OH:3]", "CCO"),
        ("[2H]C([2H])([2H])CO", "CCO"),
    ],
)
def test_standard_form(text: str, expected: str) -> None:
    assert standardise(read(text)) == expected


def test_stereo_and_charges_are_kept_or_dropped_as_asked() -> None:
    mol = read("C/C=C/[C@H](C)[NH3+]")
    assert standardise(mol, Standard(neutralise=False)) == to_smiles(mol)
    assert standardise(mol, Standard(stereo=False)) == "CC=CC(C)N"
    assert to_smiles(mol) == to_smiles(read("C/C=C/[C@H](C)[NH3+]")), "the molecule given stays as it was"


def test_a_centre_that_only_an_isotope_makes_is_no_centre() -> None:
    assert standardise(read("C[C@H]([2H])O")) == "CCO"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("CC[Hg]C", "element outside the set: Hg"),
        ("CC*", "element outside the set"),
        ("CC", "fewer than 3 heavy atoms"),
        ("C" * 61, "more than 60 heavy atoms"),
        ("Cc1~ccc(OCC)cc1C.CC", "a fragment is no molecule: Explicit valence"),
        ("CC[CH2]", "radical"),
        ("C[N+](C)(C)CC[N+](C)(C)CC[N+](C)(C)C", "net charge beyond 2"),
    ],
)
def test_what_the_standard_does_not_allow(text: str, reason: str) -> None:
    with pytest.raises(InvalidMolecule, match=reason):
        standardise(read(text))


def test_fragments_of_one_size_give_one_answer_in_any_order() -> None:
    assert standardise(read("CCCO.CCCN")) == standardise(read("CCCN.CCCO"))


def test_a_standard_form_is_its_own_standard_form() -> None:
    for text in (
        "C[C@@H]1CC(Nc2cncc(-c3nncn3C)c2)C[C@@H](C)C1",
        "N#CC1=C(SCC(=O)Nc2cccc(Cl)c2)N=C([O-])[C@H](C#N)C12CCCCC2",
        "O=S(=O)(CCO)c1no[n+]([O-])c1-c1ccccc1",
        "CC1(C)[C@@H]2CC[C@@]1(C)C(=O)C2.Cl",
    ):
        for standard in (Standard(), Standard(stereo=False), Standard(neutralise=False)):
            once = standardise(read(text), standard)
            assert standardise(read(once), standard) == once


def test_randomised_smiles_is_the_same_molecule_and_fixed_by_the_seed() -> None:
    mol = read("C[C@H](N)C(=O)Oc1ccc(/C=C/F)cc1")
    written = [randomised(mol, seed) for seed in range(20)]
    assert written == [randomised(mol, seed) for seed in range(20)]
    assert len(set(written)) > 10
    assert {canonical(text) for text in written} == {to_smiles(mol)}


def test_element_symbols() -> None:
    assert element_symbols("C, N,Cl") == {"C", "N", "Cl", "H"}
    with pytest.raises(UsageError, match="'cl' is no element; did you mean 'Cl'"):
        element_symbols("C,cl")
