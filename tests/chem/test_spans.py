from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pytest
from rdkit import Chem

from moldesign.chem.edits import Cuts
from moldesign.chem.molecules import Mol, read, to_smiles
from moldesign.chem.spans import Spans
from moldesign.language.corpus import load


def capped(pieces: Sequence[str]) -> list[str]:
    """Canonical SMILES of the pieces, a dummy atom where each was cut."""
    return sorted(
        Chem.CanonSmiles(
            piece + "".join(f".[{label}*]%{label}" for label in (90, 91) if f"%{label}" in piece)
        )
        for piece in pieces
    )


def theirs(mol: Mol, bonds: Sequence[int]) -> list[str]:
    labels = [(label, label) for label in (90, 91)[: len(bonds)]]
    return sorted(Chem.MolToSmiles(Chem.FragmentOnBonds(mol, bonds, dummyLabels=labels)).split("."))


def pieces(mol: Mol, bonds: Sequence[int]) -> list[str]:
    ends = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in map(mol.GetBondWithIdx, bonds)]
    return Spans(mol).pieces(ends, ["%90", "%91"][: len(ends)])


def test_the_pieces_are_those_of_the_graph() -> None:
    for smiles in [*load("zinc250k")[::5000], *load("chembl_sample")[::7000]]:
        mol = read(smiles)
        Chem.RemoveStereochemistry(mol)
        single = Cuts(mol).single
        for bonds in [*combinations(single, 1), *combinations(single, 2)]:
            assert capped(pieces(mol, bonds)) == theirs(mol, bonds), (to_smiles(mol), bonds)


@pytest.mark.parametrize(
    ("smiles", "atoms", "expected"),
    [
        ("CCO", [(0, 1)], ["C%90", "C%90O"]),
        ("CCO", [(0, 1), (1, 2)], ["C%90", "C%90%91", "O%91"]),
        ("CC(N)(O)F", [(1, 2), (1, 3)], ["CC%90%91F", "N%90", "O%91"]),
        # A bond that is written, a ring closure behind the mark, two letters, a bracket.
        ("c1ccccc1-c1cc[nH]c1", [(5, 6)], ["c1ccc%90cc1", "c%902cc[nH]c2"]),
        ("O=C(Cl)[SiH2]Br", [(3, 4)], ["O=C(Cl)[SiH2]%90", "Br%90"]),
    ],
)
def test_pieces_by_hand(smiles: str, atoms: list[tuple[int, int]], expected: list[str]) -> None:
    mol = read(smiles)
    assert Spans(mol).pieces(atoms, ["%90", "%91"][: len(atoms)]) == expected
