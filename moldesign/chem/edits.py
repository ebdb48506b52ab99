"""Molecules made of molecules: parts of several joined, and small changes of one.

A part is a SMILES with open ring closures where bonds were cut. Parts side by side are a molecule already:
`CC%90` and `O%90` are ethanol when `CC%90.O%90` is read. So a child costs one reading, which is several times
quicker than cutting and joining graphs for each. Stereo is dropped: what joins has none of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
from rdkit import Chem

from moldesign.chem.molecules import Mol, quiet_rdkit
from moldesign.chem.rings import ring_atoms, with_bound
from moldesign.chem.spans import Spans

#: No child has a larger ring.
LARGEST_RING = 8
#: No child has more heavy atoms, as no molecule of the corpora has.
MOST_ATOMS = 60
#: Arcs of a ring that are looked at for one that fits.
_TRIES = 6

T = TypeVar("T")

# Of the two bonds that are cut; ring closures of a molecule are numbered from 1 on.
_LABELS = (90, 91)
_FIRST = re.compile(r"\[9([01])\*\]([=#]?)(\[[^\]]+\]|Br|Cl|[BCNOPSFIbcnops])")
_IN_BRANCH = re.compile(r"\(([=#]?)\[9([01])\*\]\)")
_BEHIND = re.compile(r"([=#]?)\[9([01])\*\]")


@dataclass(frozen=True)
class Part:
    """A part of a molecule.

    Attributes:
        text: SMILES with an open ring closure, %90 and %91, for each bond that was cut.
        orders: of these bonds, 1 to 3, in this order.
    """

    text: str
    orders: tuple[int, ...]

    def turned(self) -> Part:
        """The same part, its two ends exchanged."""
        text = self.text.replace("%90", "%9x").replace("%91", "%90").replace("%9x", "%91")
        return Part(text, self.orders[::-1])


class Cuts:
    """What a molecule can be cut into, each cut made when it is first asked for.

    - ends: two for each single bond outside rings, parts with one cut;
    - links: what lies between two such bonds, parts with two cuts;
    - arcs: two for each pair of bonds of a ring, parts with two cuts.
    """

    def __init__(self, mol: Mol) -> None:
        self._flat = Chem.Mol(mol)
        Chem.RemoveStereochemistry(self._flat)
        self._kekulised: Mol | None = None
        self._draft: Chem.RWMol | None = None
        self._spans: Spans | None = None
        self.single = _single(self._flat)
        self._rings = self._flat.GetRingInfo().BondRings()
        self._arcs: dict[tuple[int, int], tuple[Part, ...]] = {}

    def end(self, generator: np.random.Generator) -> Part | None:
        """One of the ends; None where there is none."""
        return _one(self.cut([_one(self.single, generator)]), generator) if self.single else None

    def link(self, generator: np.random.Generator) -> Part | None:
        """One of the links; None where there is none."""
        if len(self.single) < 2:
            return None
        pair = generator.choice(self.single, 2, replace=False).tolist()
        # Three fragments: the one in the middle has both cuts.
        return next((part for part in self.cut(sorted(pair)) if len(part.orders) == 2), None)

    def arc(self, generator: np.random.Generator, orders: tuple[int, ...] | None = None) -> Part | None:
        """An arc of one of the rings; None where there is none, or the bonds drawn leave none.

        Args:
            orders: of the bonds that it has to be cut at; of a few pairs the first that fits is taken.
        """
        if not self._rings:
            return None
        for _ in range(1 if orders is None else _TRIES):
            ring = _one(self._rings, generator)
            pair = sorted(generator.choice(ring, 2, replace=False).tolist())
            # Cutting is what this costs.
            if orders not in (None, of_pair := _orders(self.kekulised, pair), of_pair[::-1]):
                continue
            found = self.arcs(pair)
            if found:
                part = _one(found, generator)
                return part if orders in (None, part.orders) else part.turned()
        return None

    @property
    def draft(self) -> Chem.RWMol:
        """A copy to be edited: without aromatic bonds, with hydrogens as the bonds allow."""
        if self._draft is None:
            self._draft = Chem.RWMol(self.kekulised)
            for atom in self._draft.GetAtoms():
                atom.SetNoImplicit(False)
                atom.SetNumExplicitHs(0)
            self._draft.UpdatePropertyCache(strict=False)
        return Chem.RWMol(self._draft)

    @property
    def kekulised(self) -> Mol:
        """The molecule without aromatic bonds."""
        if self._kekulised is None:
            self._kekulised = Chem.Mol(self._flat)
            Chem.Kekulize(self._kekulised, clearAromaticFlags=True)
        return self._kekulised

    def arcs(self, pair: Sequence[int]) -> tuple[Part, ...]:
        """The two arcs between two bonds of a ring; none where they are side by side or one piece is left."""
        if _joined(self.kekulised, pair):
            return ()
        key = (pair[0], pair[1])
        found = self._arcs.get(key)
        if found is None:
            found = self._arcs[key] = _cut(self.kekulised, pair)
        whole = len(found) == 2 and all(len(part.orders) == 2 for part in found)
        return found if whole else ()

    def cut(self, bonds: Sequence[int]) -> tuple[Part, ...]:
        """The parts that the molecule falls into without one or two of `single`."""
        if self._spans is None:
            self._spans = Spans(self._flat)
        ends = [
            (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in map(self._flat.GetBondWithIdx, bonds)
        ]
        texts = self._spans.pieces(ends, [f"%{label}" for label in _LABELS[: len(ends)]])
        return tuple(Part(text, (1,) * sum(f"%{label}" in text for label in _LABELS)) for text in texts)


def joined(*chosen: Part) -> Mol | None:
    """The molecule of parts side by side; None if that is no plausible one."""
    quiet_rdkit()
    mol = Chem.MolFromSmiles(".".join(part.text for part in chosen))
    return mol if mol is not None and plausible(mol) else None


def crossed(first: Cuts, second: Cuts, generator: np.random.Generator) -> Mol | None:
    """A child of two molecules: an end of each, or an arc of a ring of each; None where nothing fits.

    Jensen, Chem. Sci. 10, 3567 (2019), figure 2.
    """
    if generator.random() < 0.5:
        arc = first.arc(generator)
        other = second.arc(generator, arc.orders) if arc is not None else None
        if arc is not None and other is not None:
            return joined(arc, other)
    ends = first.end(generator), second.end(generator)
    return None if ends[0] is None or ends[1] is None else joined(ends[0], ends[1])


def recombined(chosen: Sequence[Cuts], generator: np.random.Generator) -> Mol | None:
    """A child of the ends of two molecules and a link of a third; None where one has none.

    Args:
        chosen: three.
    """
    first, middle, last = chosen
    head, link, tail = first.end(generator), middle.link(generator), last.end(generator)
    if head is None or link is None or tail is None:
        return None
    return joined(head, link, Part(tail.text.replace("%90", "%91"), (1,)))


def edited(cuts: Cuts, generator: np.random.Generator) -> Mol | None:
    """The molecule with one atom, one bond or one ring changed, or parts moved or exchanged; None if that is
    no plausible one.
    """
    draft = cuts.draft
    edit = _EDITS[int(generator.integers(len(_EDITS)))]
    return _finished(draft) if edit(draft, generator) else None


def reringed(cuts: Cuts, ring: Cuts, generator: np.random.Generator) -> Mol | None:
    """The molecule with another ring system in place of one of its own: what hung on that, bound by single
    bonds, hangs on any of its atoms that have hydrogens.

    None where there is no ring, where the new one has too few places or a multiple bond joined the old one to
    the rest, or if that is no plausible molecule.

    Args:
        ring: the other, alone.
    """
    draft, other = cuts.draft, ring.draft
    old = _ring_system(draft, generator)
    if old is None:
        return None
    held = [
        bond.GetEndAtomIdx() if bond.GetBeginAtomIdx() in old else bond.GetBeginAtomIdx()
        for bond in draft.GetBonds()
        if (bond.GetBeginAtomIdx() in old) != (bond.GetEndAtomIdx() in old)
    ]
    places = [atom.GetIdx() for atom in other.GetAtoms() for _ in range(atom.GetTotalNumHs())]
    if len(held) > len(places):
        return None
    first = draft.GetNumAtoms()
    draft.InsertMol(other)
    for i, place in zip(held, generator.permutation(places).tolist(), strict=False):
        draft.AddBond(i, first + place, _ORDERS[1])
    for i in sorted(old, reverse=True):
        draft.RemoveAtom(i)
    return _finished(draft)


def _finished(draft: Chem.RWMol) -> Mol | None:
    """The molecule that a draft is; None if that is no plausible one."""
    quiet_rdkit()
    if Chem.SanitizeMol(draft, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
        return None
    if any(atom.GetNumRadicalElectrons() for atom in draft.GetAtoms()):
        return None
    return draft if plausible(draft) else None


def plausible(mol: Mol) -> bool:
    """Whether a child is worth looking at: in one piece, of some size, rings and bonds as molecules have."""
    if not 3 <= mol.GetNumAtoms() <= MOST_ATOMS or len(Chem.GetMolFrags(mol)) > 1:
        return False
    if any(len(ring) > LARGEST_RING for ring in mol.GetRingInfo().AtomRings()):
        return False
    return not any(mol.HasSubstructMatch(pattern) for pattern in _strained())


@cache
def _strained() -> tuple[Mol, ...]:
    """What no ring of usual size can hold: a triple bond, two double bonds at a carbon."""
    return tuple(Chem.MolFromSmarts(pattern) for pattern in ("*#@*", "*=[#6;R;X2]=*"))


def _single(mol: Mol) -> list[int]:
    """The single bonds outside rings, but those that hold charges together."""
    return [
        bond.GetIdx()
        for bond in mol.GetBonds()
        if bond.GetBondType() == Chem.BondType.SINGLE and not bond.IsInRing() and not _is_salt(bond)
    ]


def _is_salt(bond: Chem.Bond) -> bool:
    """Whether a bond holds opposite charges together, as in a nitro group."""
    return bond.GetBeginAtom().GetFormalCharge() * bond.GetEndAtom().GetFormalCharge() < 0


def _cut(mol: Mol, bonds: Sequence[int]) -> tuple[Part, ...]:
    """The parts that a molecule falls into without these bonds."""
    labels = [(label, label) for label in _LABELS[: len(bonds)]]
    text = Chem.MolToSmiles(Chem.FragmentOnBonds(mol, list(bonds), dummyLabels=labels))
    orders = _orders(mol, bonds)
    return tuple(_part(fragment, orders) for fragment in text.split("."))


def _orders(mol: Mol, bonds: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(mol.GetBondWithIdx(bond).GetBondTypeAsDouble()) for bond in bonds)


def _part(fragment: str, orders: Sequence[int]) -> Part:
    text = _FIRST.sub(r"\3\2%9\1", fragment) if fragment.startswith("[9") else fragment
    text = _BEHIND.sub(r"\1%9\2", _IN_BRANCH.sub(r"\1%9\2", text))
    return Part(
        text, tuple(order for label, order in zip(_LABELS, orders, strict=False) if f"%{label}" in text)
    )


def _joined(mol: Mol, pair: Sequence[int]) -> bool:
    """Whether two bonds share an atom that has no other in the ring: what is cut off would be that atom."""
    first, second = (mol.GetBondWithIdx(bond) for bond in pair)
    ends = {first.GetBeginAtomIdx(), first.GetEndAtomIdx()}
    return bool(ends & {second.GetBeginAtomIdx(), second.GetEndAtomIdx()})


def _one(chosen: Sequence[T], generator: np.random.Generator) -> T:
    return chosen[int(generator.integers(len(chosen)))]


# -- edits: each changes a draft without aromatic bonds, and says whether it did -----------------------------

#: Atomic number -> how often it is chosen.
_ELEMENTS = {6: 8.0, 7: 4.0, 8: 4.0, 9: 2.0, 16: 1.0, 17: 1.0, 35: 0.5, 15: 0.2}
_NUMBERS = np.array([*_ELEMENTS])
_SHARES = np.array([*_ELEMENTS.values()]) / sum(_ELEMENTS.values())

_ORDERS = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}


def _element(generator: np.random.Generator) -> int:
    return int(generator.choice(_NUMBERS, p=_SHARES))


def _atom(draft: Chem.RWMol, generator: np.random.Generator) -> Chem.Atom:
    return draft.GetAtomWithIdx(int(generator.integers(draft.GetNumAtoms())))


def _bond(draft: Chem.RWMol, generator: np.random.Generator) -> Chem.Bond | None:
    n = draft.GetNumBonds()
    return draft.GetBondWithIdx(int(generator.integers(n))) if n else None


def _change_atom(draft: Chem.RWMol, generator: np.random.Generator) -> bool:
    atom, number = _atom(draft, generator), _element(generator)
    if atom.GetAtomicNum() == number:
        return False
    atom.SetAtomicNum(number)
    atom.SetFormalCharge(0)
    return True


def _append_atom(draft: Chem.RWMol, generator: np.random.Generator) -> bool:
    atom = _atom(draft, generator)
    if not atom.GetTotalNumHs():
        return False
    new = draft.AddAtom(Chem.Atom(_element(generator)))
    order = 2 if generator.random() < 0.2 else 1
    draft.AddBond(atom.GetIdx(), new, _ORDERS[order])
    return True


def _insert_atom(draft: Chem.RWMol, generator: np.random.Generator) -> bool:
    bond = _bond(draft, generator)
    if bond is None or bond.GetBondType() != Chem.BondType.SINGLE:
        return False
    first, second = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
    draft.RemoveBond(first, second)
    new = draft.AddAtom(Chem.Atom(_element(generator)))
    draft.AddBond(first, new, _ORDERS[1])
    draft.AddBond(new, second, _ORDERS[1])
    return True


def _delete_atom(draft: Chem.RWMol, generator: np.random.Generator) -> bool:
    atom = _atom(draft, generator)
    beside = [other.GetIdx() for other in atom.GetNeighbors()]
    if len(beside) > 2:
        return False
    if len(beside) == 2:
        if draft.GetBondBetweenAtoms(*beside) is not None:
            return False
        draft.AddBond(beside[0], beside[1], _ORDERS[1])
    draft.RemoveAtom(atom.GetIdx())
    return True


def _change_bond(draft: Chem.RWMol, generator: np.random.Generator) -> bool:
    bond = _bond(draft, generator)
    order = int(generator.integers(1, 4))
    if bond is None or bond.GetBondType() == _ORDERS[order] or (order == 3 and bond.IsInRing()):
        return False
    bond.SetBondType(_ORDERS[order])
    return True


def _close_ring(draft: Chem.RWMol, generator: np.random.Generator) -> bool:
    """A bond between two atoms two to five bonds apart, which makes a ring of three to six, or of seven."""
    atom = _atom(draft, generator)
    if not atom.GetTotalNumHs():
        return False
    apart = Chem.GetDistanceMatrix(draft)[atom.GetIdx()]
    weights = np.select([(apart == 4) | (apart == 5), (apart == 2) | (apart == 3) | (apart == 6)], [4.0, 1.0])
    for other in draft.GetAtoms():
        weights[other.GetIdx()] *= bool(other.GetTotalNumHs())
    if not weights.any():
        return False
    end = int(generator.choice(len(weights), p=weights / weights.sum()))
    draft.AddBond(atom.GetIdx(), end, _ORDERS[1])
    return True


def _open_ring(draft: Chem.RWMol, generator: np.random.Generator) -> bool:
    bond = _bond(draft, generator)
    if bond is None or not bond.IsInRing() or bond.GetBondType() != Chem.BondType.SINGLE:
        return False
    draft.RemoveBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
    return True


def _swap_atoms(draft: Chem.RWMol, generator: np.random.Generator) -> bool:
    """Two atoms of different elements exchanged, which keeps the formula but for hydrogens."""
    first, second = _atom(draft, generator), _atom(draft, generator)
    numbers = first.GetAtomicNum(), second.GetAtomicNum()
    if numbers[0] == numbers[1]:
        return False
    for atom, number in ((first, numbers[1]), (second, numbers[0])):
        atom.SetAtomicNum(number)
        atom.SetFormalCharge(0)
    return True


def _move_branch(draft: Chem.RWMol, generator: np.random.Generator) -> bool:
    """A branch at another atom, the nearer the likelier, which keeps the formula."""
    bond = _bond(draft, generator)
    if bond is None or bond.IsInRing() or bond.GetBondType() != Chem.BondType.SINGLE:
        return False
    ends = [bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()]
    if generator.random() < 0.5:
        ends.reverse()
    stem, branch = ends
    apart = Chem.GetDistanceMatrix(draft)[stem]
    draft.RemoveBond(stem, branch)
    rest = next(atoms for atoms in Chem.GetMolFrags(draft) if stem in atoms)
    free = [i for i in rest if i != stem and draft.GetAtomWithIdx(i).GetTotalNumHs()]
    if not free:
        return False
    weights = 1.0 / apart[free]
    draft.AddBond(int(generator.choice(free, p=weights / weights.sum())), branch, _ORDERS[1])
    return True


def _taken_apart(
    draft: Chem.RWMol, n: int, generator: np.random.Generator
) -> tuple[set[int], list[list[int]]] | None:
    """Take n single bonds outside rings away; the atoms of a piece that two of them held, and the bonds, the
    atom in the piece first where one is. None where there is no such piece.
    """
    single = _single(draft)
    if len(single) < n:
        return None
    bonds = [draft.GetBondWithIdx(int(i)) for i in generator.choice(single, n, replace=False)]
    ends = [[bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()] for bond in bonds]
    for pair in ends:
        draft.RemoveBond(*pair)
    pieces = map(set, Chem.GetMolFrags(draft))
    piece = next((atoms for atoms in pieces if sum(len(atoms & {*pair}) for pair in ends) == 2), None)
    if piece is None:
        return None
    return piece, [sorted(pair, key=lambda i: i not in piece) for pair in ends]


def _ring_system(draft: Chem.RWMol, generator: np.random.Generator) -> set[int] | None:
    """Atoms of one of the ring systems, and those that hang on it by a double bond or a charge; None where
    there is no ring, or more than an atom hangs on it so.
    """
    rings = draft.GetRingInfo().AtomRings()
    if not rings:
        return None
    place = _one(rings, generator)[0]
    inside = next(atoms for atoms in ring_atoms(draft) if place in atoms)
    system = with_bound(draft, inside)
    return None if any(draft.GetAtomWithIdx(i).GetDegree() > 1 for i in system - inside) else system


def _exchange_branches(draft: Chem.RWMol, generator: np.random.Generator) -> bool:
    """Two branches, each where the other was, or what is between them turned: the same formula."""
    found = _taken_apart(draft, 2, generator)
    if found is None:
        return False
    _, ((stem, branch), (other_stem, other_branch)) = found
    draft.AddBond(stem, other_branch, _ORDERS[1])
    draft.AddBond(other_stem, branch, _ORDERS[1])
    return True


def _move_link(draft: Chem.RWMol, generator: np.random.Generator) -> bool:
    """What is between two bonds taken out, and put between the atoms of a third: the same formula."""
    found = _taken_apart(draft, 3, generator)
    if found is None:
        return False
    link, bonds = found
    here = [pair for pair in bonds if pair[0] in link]
    (there,) = (pair for pair in bonds if pair[0] not in link)
    # In the order in which they were drawn, so that the link is turned as often as not.
    (inner, outer), (other_inner, other_outer) = here
    draft.AddBond(outer, other_outer, _ORDERS[1])
    draft.AddBond(inner, there[0], _ORDERS[1])
    draft.AddBond(other_inner, there[1], _ORDERS[1])
    return True


_EDITS: tuple[Callable[[Chem.RWMol, np.random.Generator], bool], ...] = (
    _change_atom,
    _change_atom,
    _append_atom,
    _append_atom,
    _insert_atom,
    _delete_atom,
    _change_bond,
    _close_ring,
    _open_ring,
    _swap_atoms,
    _move_branch,
    _move_branch,
    _exchange_branches,
    _exchange_branches,
    _move_link,
    _move_link,
)
