from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from rdkit.Chem import rdMolDescriptors

from moldesign.chem import edits
from moldesign.chem.edits import (
    LARGEST_RING,
    Cuts,
    Part,
    crossed,
    edited,
    joined,
    plausible,
    recombined,
    reringed,
)
from moldesign.chem.molecules import Mol, canonical, parse, read, to_smiles
from moldesign.chem.scaffolds import murcko

MOLECULES = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "CN1C(=O)CN=C(c2ccccc2)c2cc(Cl)ccc12",
    "COc1ccc2cc(ccc2c1)C(C)C(=O)O",
    "O=C(NCC1CCNCC1)c1cnc2[nH]ccc2c1",
    "C[C@@H](N)C(=O)N1CCC[C@H]1C(=O)O",
    "C[N+](C)(C)CC(=O)NS(=O)(=O)c1ccc(F)cc1",
    "CC#CCOc1ccc(/C=C/C(=O)N2CCOCC2)s1",
]


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def _one(cuts: list[Cuts], generator: np.random.Generator) -> Cuts:
    return cuts[generator.integers(len(cuts))]


def named(mol: Mol | None) -> str | None:
    return None if mol is None else to_smiles(mol)


def ends(cuts: Cuts) -> list[Part]:
    return [part for bond in cuts.single for part in cuts.cut([bond])]


def heavy(smiles: str | None) -> int:
    assert smiles is not None
    return int(read(smiles).GetNumAtoms())


def flat(smiles: str) -> str | None:
    return canonical(smiles.replace("@", "").replace("/", "").replace("[CH]", "C"))


def test_the_parts_of_a_small_molecule(generator: np.random.Generator) -> None:
    found = Cuts(read("CCO"))
    drawn = [found.end(generator) for _ in range(100)]
    assert {(part.text, part.orders) for part in drawn if part} == {
        ("C%90", (1,)), ("CC%90", (1,)), ("C%90O", (1,)), ("O%90", (1,)),
    }  # fmt: skip
    link = found.link(generator)
    assert link is not None
    assert (link.text, link.orders) == ("C%90%91", (1, 1))
    assert found.arc(generator) is None


def test_parts_side_by_side_are_a_molecule() -> None:
    def name(*texts: str) -> str | None:
        return named(joined(*(Part(text, (1,) * text.count("%")) for text in texts)))

    assert name("CC%90", "O%90") == "CCO"
    assert name("C%90", "C%90%91", "N%91") == "CCN"
    assert name("C%90CC%91", "C%90=CC=C%91") == "C1=CCCCC=C1"
    assert name("C%90=C", "C%90(C)(C)(C)C") is None  # five bonds at a carbon


@pytest.mark.parametrize("smiles", MOLECULES)
def test_what_was_cut_can_be_joined_again(smiles: str) -> None:
    found = Cuts(read(smiles))
    assert found.single
    for bond in found.single:
        assert named(joined(*found.cut([bond]))) == flat(smiles)
    for pair in combinations(found.single, 2):
        parts = found.cut(pair)
        assert sorted(len(part.orders) for part in parts) == [1, 1, 2]
        assert named(joined(*parts)) == flat(smiles)
    mol = read(smiles)
    arcs = [found.arcs(pair) for ring in mol.GetRingInfo().BondRings() for pair in combinations(ring, 2)]
    assert any(arcs)
    for pair_of_arcs in arcs:
        assert len(pair_of_arcs) in (0, 2)
        assert not pair_of_arcs or named(joined(*pair_of_arcs)) == flat(smiles)


def test_a_child_of_two_ends_has_the_atoms_of_both(generator: np.random.Generator) -> None:
    first, second = (Cuts(read(smiles)) for smiles in ("CC(=O)OCC(C)C(=O)O", "C[N+](C)(C)CC(=O)NS(=O)(=O)CF"))
    sizes, others = ({heavy(part.text.replace("%90", "")) for part in ends(cuts)} for cuts in (first, second))
    children = {named(crossed(first, second, generator)) for _ in range(200)} - {None}
    assert len(children) > 20
    assert {heavy(child) for child in children} <= {a + b for a in sizes for b in others}


def test_rings_are_made_of_the_halves_of_two(generator: np.random.Generator) -> None:
    first, second = (Cuts(read(smiles)) for smiles in ("C1CCNCC1", "c1ccoc1"))
    children = {named(crossed(first, second, generator)) for _ in range(200)} - {None}
    # Piperidine and furan: neither has an end, and a child has a ring with atoms of both.
    assert {"C1=COCCC1", "C1=CNCCC1"} & children
    assert all(murcko(read(str(child))) for child in children)


def test_an_arc_is_cut_at_bonds_of_the_orders_asked_for(generator: np.random.Generator) -> None:
    cyclohexene = Cuts(read("C1=CCCCC1"))
    for orders in ((1, 1), (1, 2), (2, 1)):
        arcs = [arc for _ in range(60) if (arc := cyclohexene.arc(generator, orders)) is not None]
        assert arcs
        assert {arc.orders for arc in arcs} == {orders}
    assert all(cyclohexene.arc(generator, (3, 1)) is None for _ in range(20))


def test_a_link_of_a_third_joins_two(generator: np.random.Generator) -> None:
    first, middle, last = (Cuts(read(smiles)) for smiles in ("FC", "ClCOCCl", "BrC"))
    children = {named(recombined([first, middle, last], generator)) for _ in range(100)} - {None}
    assert "FCOCBr" in children
    assert "COC" in children
    assert recombined([first, Cuts(read("CC")), last], generator) is None


def test_where_nothing_can_be_cut_nothing_comes(generator: np.random.Generator) -> None:
    benzene, ethane = Cuts(read("c1ccccc1")), Cuts(read("CC"))
    assert [crossed(benzene, ethane, generator) for _ in range(20)] == [None] * 20
    assert recombined([ethane, benzene, ethane], generator) is None


@pytest.mark.parametrize("make", ["cross", "recombine", "edit", "rering"])
def test_every_child_is_a_molecule_as_it_is_written(make: str, generator: np.random.Generator) -> None:
    cuts = [Cuts(read(smiles)) for smiles in MOLECULES]
    rings = [Cuts(read(smiles)) for smiles in ("c1ccc2sccc2c1", "O=C1CCCN1", "C1CC2(CCN1)CC2", "c1nnn[nH]1")]
    ways: dict[str, Callable[[], Mol | None]] = {
        "cross": lambda: crossed(_one(cuts, generator), _one(cuts, generator), generator),
        "recombine": lambda: recombined([_one(cuts, generator) for _ in range(3)], generator),
        "edit": lambda: edited(_one(cuts, generator), generator),
        "rering": lambda: reringed(_one(cuts, generator), _one(rings, generator), generator),
    }
    children = [to_smiles(child) for child in (ways[make]() for _ in range(400)) if child is not None]
    assert len(children) > 100
    assert len(set(children)) > 50
    for child in children:
        mol = parse(child)
        assert mol is not None
        assert canonical(child) == child
        assert "." not in child
        assert not set(child) & set("@/\\%*")
        assert max(map(len, mol.GetRingInfo().AtomRings()), default=0) <= LARGEST_RING


def test_edits_change_one_thing(generator: np.random.Generator) -> None:
    mol = read("NCc1ccccc1O")
    cuts = Cuts(mol)
    found = {to_smiles(child) for _ in range(4000) if (child := edited(cuts, generator)) is not None}
    assert {heavy(child) - mol.GetNumAtoms() for child in found} == {-1, 0, 1}
    wanted = {
        "an atom changed": "NCc1ccccc1F",
        "appended": "NCc1cc(F)ccc1O",
        "put in between": "NCCc1ccccc1O",
        "taken away": "NCc1ccccc1",
        "a bond changed": "N=Cc1ccccc1O",
        "a ring closed": "Oc1cccc2c1CN2",
        "two atoms exchanged": "Nc1ccccc1CO",
        "a branch moved": "NCc1cccc(O)c1",
    }
    assert {*wanted.values()} <= found
    # And the ring opened.
    assert any(not murcko(read(child)) for child in found)


@pytest.mark.parametrize(
    ("edit", "smiles", "wanted"),
    [
        ("_exchange_branches", "FC(F)(F)c1ccc(OC(C)C)nc1", "CC(C)c1ccc(OC(F)(F)F)nc1"),
        # What is between them turned.
        ("_exchange_branches", "CCC(=O)NCc1ccccc1", "CCNC(=O)Cc1ccccc1"),
        # A link put in elsewhere, one way round and the other.
        ("_move_link", "CCCc1ccc(C(=O)NC2CC2)cc1", "CCCC(=O)Nc1ccc(C2CC2)cc1"),
        ("_move_link", "CCCc1ccc(C(=O)NC2CC2)cc1", "CCCNC(=O)c1ccc(C2CC2)cc1"),
    ],
)
def test_parts_change_places(
    edit: str, smiles: str, wanted: str, generator: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one edit, which keeps the formula; each is two moves of a branch away."""
    monkeypatch.setattr(edits, "_EDITS", (getattr(edits, edit),))
    cuts = Cuts(read(smiles))
    found = [child for _ in range(1000) if (child := edited(cuts, generator)) is not None]
    assert canonical(wanted) in [*map(to_smiles, found)]
    assert {rdMolDescriptors.CalcMolFormula(child) for child in found} == {
        rdMolDescriptors.CalcMolFormula(read(smiles))
    }


@pytest.mark.parametrize(
    ("smiles", "ring", "wanted"),
    [
        ("Cc1ccccc1", "c1ccncc1", {"Cc1ccccn1", "Cc1cccnc1", "Cc1ccncc1"}),
        # Two at one atom, where it has two hydrogens.
        ("Cc1ccccc1F", "C1CC1", {"CC1CC1F", "CC1(F)CC1"}),
        # At a nitrogen; without stereo.
        ("C[C@H](O)c1ccccc1", "c1c[nH]cn1", {
            "CC(O)n1ccnc1", "CC(O)c1c[nH]cn1", "CC(O)c1cnc[nH]1", "CC(O)c1ncc[nH]1"
        }),
        # A whole system, with what hangs on it by a double bond or a charge.
        ("CC1CCc2ccccc2C1=O", "C1CC1", {"CC1CC1"}),
        ("Cc1cccc[n+]1[O-]", "C1CC1", {"CC1CC1"}),
        ("CC1CCC2(CC1)CC2", "C1CC1", {"CC1CC1"}),
        # Either of two.
        ("C1CC1Oc1ccccc1", "c1ccsc1", {
            "c1csc(OC2CC2)c1", "c1cc(OC2CC2)cs1", "c1ccc(Oc2cccs2)cc1", "c1ccc(Oc2ccsc2)cc1"
        }),
        # No ring; more than an atom at a double bond; three to hang on two places.
        ("CCO", "C1CC1", set()),
        ("CC=C1CCCC1", "C1CC1", set()),
        ("Cc1cc(F)cc(Cl)c1", "c1ncon1", set()),
    ],
)  # fmt: skip
def test_another_ring_system_takes_the_place_of_one(
    smiles: str, ring: str, wanted: set[str], generator: np.random.Generator
) -> None:
    cuts, other = Cuts(read(smiles)), Cuts(read(ring))
    found = {named(reringed(cuts, other, generator)) for _ in range(200)} - {None}
    assert found == {canonical(one) for one in wanted}


def test_edits_are_those_of_the_generator() -> None:
    cuts = Cuts(read(MOLECULES[3]))
    first, second = (
        [named(edited(cuts, generator)) for _ in range(30)]
        for generator in map(np.random.default_rng, (1, 1))
    )
    assert first == second


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        ("CC(=O)Nc1ccc(O)cc1", True),
        ("C=C=C", True),
        ("CC=C=CC", True),
        ("C1CC=C=CCC1", False),
        ("C1CCC#CCC1", False),
        ("C1CCCCCCC1", True),
        ("C1CCCCCCCC1", False),
        ("CO", False),
        ("CCO.CCO", False),
        ("C" * 61, False),
    ],
)
def test_what_is_plausible(smiles: str, expected: bool) -> None:
    mol: Mol = read(smiles)
    assert plausible(mol) is expected


def test_no_child_is_a_radical_and_charges_stay_together(generator: np.random.Generator) -> None:
    charged, nitro = Cuts(read("C[NH+](C)Cc1ccccc1F")), Cuts(read("O=[N+]([O-])c1ccc(CCN)cc1"))
    children = [child for _ in range(600) for cuts in (charged, nitro) if (child := edited(cuts, generator))]
    assert all(not atom.GetNumRadicalElectrons() for child in children for atom in child.GetAtoms())
    # An amine that is protonated takes another atom in the place of a hydrogen.
    amine = Cuts(read("CC[NH+](C)C"))
    assert "CCC[NH+](C)C" in {named(edited(amine, generator)) for _ in range(600)}
    assert {part.text.count("+") - part.text.count("-") for part in ends(nitro)} == {0}
