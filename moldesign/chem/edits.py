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
from itertools import combinations

import numpy as np
from rdkit import Chem

from moldesign.chem.molecules import Mol, quiet_rdkit, to_smiles

#: No child has a larger ring.
LARGEST_RING = 8
#: No child has more heavy atoms, as no molecule of the corpora has.
MOST_ATOMS = 60
#: Pairs of bonds of a molecule that are cut together, at most.
_MOST_PAIRS = 8

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


@dataclass(frozen=True)
class Parts:
    """What a molecule can be cut into.

    Attributes:
        ends: two for each single bond outside rings: parts with one cut.
        links: what lies between two such bonds: parts with two cuts.
        arcs: two for each pair of bonds of a ring: parts with two cuts.
    """

    ends: tuple[Part, ...] = ()
    links: tuple[Part, ...] = ()
    arcs: tuple[Part, ...] = ()


def parts(mol: Mol, generator: np.random.Generator) -> Parts:
    """What a molecule can be cut into: every end, and some of the links and arcs."""
    flat = Chem.Mol(mol)
    Chem.RemoveStereochemistry(flat)
    single = [
        bond.GetIdx()
        for bond in flat.GetBonds()
        if bond.GetBondType() == Chem.BondType.SINGLE and not bond.IsInRing() and not _is_salt(bond)
    ]
    ends = [part for bond in single for part in _cut(flat, [bond])]
    pairs = _some([*combinations(single, 2)], generator)
    # Three fragments: the one in the middle has both cuts.
    links = [part for pair in pairs for part in _cut(flat, pair) if len(part.orders) == 2]
    Chem.Kekulize(flat, clearAromaticFlags=True)
    rings = [
        pair for ring in flat.GetRingInfo().BondRings() for pair in combinations(ring, 2)
        if not _joined(flat, pair)
    ]  # fmt: skip
    arcs = []
    for pair in _some(rings, generator):
        found = _cut(flat, pair)
        # Of a fused ring some cuts leave one piece.
        if len(found) == 2 and all(len(part.orders) == 2 for part in found):
            arcs.extend(found)
    return Parts(tuple(ends), tuple(links), tuple(arcs))


def joined(*chosen: Part) -> str | None:
    """The canonical SMILES of parts side by side; None if that is no plausible molecule."""
    return _written(".".join(part.text for part in chosen))


def crossed(first: Parts, second: Parts, generator: np.random.Generator) -> str | None:
    """A child of two molecules: an end of each, or an arc of a ring of each; None where nothing fits.

    Jensen, Chem. Sci. 10, 3567 (2019), figure 2.
    """
    if first.arcs and second.arcs and generator.random() < 0.5:
        arc = _one(first.arcs, generator)
        other = _fitting(second.arcs, arc.orders, generator)
        return None if other is None else joined(arc, other)
    if not first.ends or not second.ends:
        return None
    return joined(_one(first.ends, generator), _one(second.ends, generator))


def recombined(chosen: Sequence[Parts], generator: np.random.Generator) -> str | None:
    """A child of the ends of two molecules and a link of a third; None where one has none.

    Args:
        chosen: three.
    """
    first, middle, last = chosen
    if not (first.ends and middle.links and last.ends):
        return None
    end = Part(_one(last.ends, generator).text.replace("%90", "%91"), (1,))
    return joined(_one(first.ends, generator), _one(middle.links, generator), end)


def edited(mol: Mol, generator: np.random.Generator) -> str | None:
    """The molecule with one atom, one bond or one ring changed, as canonical SMILES; None if that is none."""
    draft = Chem.RWMol(mol)
    Chem.RemoveStereochemistry(draft)
    Chem.Kekulize(draft, clearAromaticFlags=True)
    edit = _EDITS[int(generator.integers(len(_EDITS)))]
    if not edit(draft, generator):
        return None
    for atom in draft.GetAtoms():  # with hydrogens as the new bonds allow
        atom.SetNoImplicit(False)
        atom.SetNumExplicitHs(0)
    quiet_rdkit()
    if Chem.SanitizeMol(draft, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
        return None
    if any(atom.GetNumRadicalElectrons() for atom in draft.GetAtoms()):
        return None
    return to_smiles(draft) if plausible(draft) else None


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


def _written(text: str) -> str | None:
    quiet_rdkit()
    mol = Chem.MolFromSmiles(text)
    return to_smiles(mol) if mol is not None and plausible(mol) else None


def _is_salt(bond: Chem.Bond) -> bool:
    """Whether a bond holds opposite charges together, as in a nitro group."""
    return bond.GetBeginAtom().GetFormalCharge() * bond.GetEndAtom().GetFormalCharge() < 0


def _cut(mol: Mol, bonds: Sequence[int]) -> list[Part]:
    """The parts that a molecule falls into without these bonds."""
    labels = [(label, label) for label in _LABELS[: len(bonds)]]
    text = Chem.MolToSmiles(Chem.FragmentOnBonds(mol, list(bonds), dummyLabels=labels))
    orders = [int(mol.GetBondWithIdx(bond).GetBondTypeAsDouble()) for bond in bonds]
    return [_part(fragment, orders) for fragment in text.split(".")]


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


def _some(pairs: list[tuple[int, int]], generator: np.random.Generator) -> list[tuple[int, int]]:
    if len(pairs) <= _MOST_PAIRS:
        return pairs
    return [pairs[i] for i in generator.choice(len(pairs), _MOST_PAIRS, replace=False)]


def _one(chosen: Sequence[Part], generator: np.random.Generator) -> Part:
    return chosen[int(generator.integers(len(chosen)))]


def _fitting(chosen: Sequence[Part], orders: tuple[int, ...], generator: np.random.Generator) -> Part | None:
    """One of the parts whose cut bonds have these orders, either way round; None if none has."""
    fitting = [part for part in chosen if part.orders == orders]
    fitting += [part.turned() for part in chosen if part.orders[::-1] == orders]
    return _one(fitting, generator) if fitting else None


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
)
