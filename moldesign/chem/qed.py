"""Quantitative estimate of drug-likeness: RDKit's very values at a fraction of its time.

RDKit sanitises the molecule again, searches it for 116 structural alerts one after the other, types its
atoms by 110 patterns for log P and edits a copy of it to count rings. Here an atom is looked up by its
neighbourhood: what RDKit says of a neighbourhood is asked once, when the first of its kind is met, and only
an alert whose every atom could find its place is searched for. The patterns and the last formula are
RDKit's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import Any, NamedTuple

from rdkit import Chem
from rdkit.Chem import QED, rdMolDescriptors

from moldesign.chem.molecules import Mol

#: What a query may ask of an atom for the answer to lie in the _AtomKey, as RDKit's descriptions name it.
_ATOM_QUESTIONS = frozenset(
    "AtomAnd AtomOr AtomNull AtomType AtomAtomicNum AtomIsAromatic AtomIsAliphatic AtomFormalCharge "
    "AtomHCount AtomTotalValence AtomIsotope AtomExplicitDegree AtomTotalDegree AtomInRing "
    "AtomInNRings".split()
)
#: And of a bond, for the answer to lie in its order and whether it is in a ring.
_BOND_QUESTIONS = frozenset("BondAnd BondOr BondNull BondOrder SingleOrAromaticBond BondInRing".split())

#: The bond orders of an adjacency matrix, as codes. A molecule with any other bond is left to RDKit.
_SINGLE, _AROMATIC, _DOUBLE, _TRIPLE = range(4)
_ORDERS = {1.0: _SINGLE, 1.5: _AROMATIC, 2.0: _DOUBLE, 3.0: _TRIPLE}

#: RDKit's searches end after 1,000 matches, which a larger molecule could have.
_MAX_ATOMS = 250

#: Neighbourhoods kept, each about a kilobyte; 45,000 drug-like molecules have some 15,000.
_MAX_NEIGHBOURHOODS = 50_000

#: The fields of an _AtomKey: to make one for every atom of a molecule would take a tenth of the whole time.
_AtomFields = tuple[int, bool, int, int, int, int, int, int]

#: The kind of an atom, and of its bonds in order the kind of the neighbour, the order and whether in a ring.
_Place = tuple[int, tuple[int, ...]]

#: log P of an atom, and of each of its hydrogens.
_LogP = tuple[float, float]


class _AtomKey(NamedTuple):
    """Everything about an atom alone that a pattern of QED or of log P asks for."""

    number: int
    aromatic: bool
    charge: int
    hydrogens: int
    valence: int
    isotope: int
    neighbours: int
    rings: int


class _Neighbourhood(NamedTuple):
    """What an atom with its bonds and neighbours is."""

    number: int
    #: The query atoms of alerts whose place it could take, as bits.
    places: int
    #: Whether a bond to it may rotate, amides aside.
    end: bool
    #: Whether it is a carbon of three neighbours, one of them N, O or S by a double bond.
    acyl: bool
    #: Whether its log P depends on its neighbours' neighbours, as that of oxygen alone does.
    far_sighted: bool


def qed(mol: Mol) -> float:
    """Quantitative estimate of drug-likeness, 0 to 1 (Bickerton et al., Nature Chemistry 4, 90, 2012).

    The very value of `rdkit.Chem.QED.qed`, errors included. A molecule whose atoms or bonds were set by hand
    has to be sanitised first.
    """
    properties = _properties(mol) if _is_known() else None
    return float(QED.qed(mol) if properties is None else QED.qed(mol, qedProperties=properties))


@cache
def _is_known() -> bool:
    """Whether RDKit's definitions are those that this module was compared with."""
    versions = (
        getattr(QED.qed, "version", None),
        getattr(rdMolDescriptors, "_CalcCrippenDescriptors_version", None),
        getattr(rdMolDescriptors, "_CalcNumRotatableBonds_version", None),
    )
    names = ("QEDproperties", "Acceptors", "AliphaticRings", "StructuralAlerts")
    return versions == ("1.1.0", "1.2.0", "3.2.0") and all(hasattr(QED, name) for name in names)


def _properties(mol: Mol) -> Any:
    """The eight properties of QED, or None where only RDKit itself is sure to give them."""
    if not isinstance(mol, Mol) or not 0 < mol.GetNumAtoms() <= _MAX_ATOMS:
        return None
    if (
        mol.GetNumHeavyAtoms() != mol.GetNumAtoms()
        or mol.NeedsUpdatePropertyCache()
        or not mol.HasProp("numArom")  # which the perception of aromaticity leaves
    ):
        mol = Chem.RemoveHs(mol)
    graph = _graph(mol)
    if graph is None:
        return None
    return QED.QEDproperties(
        MW=rdMolDescriptors._CalcMolWt(mol),
        ALOGP=_logp(graph),
        HBA=_acceptors(graph),
        HBD=rdMolDescriptors.CalcNumHBD(mol),
        PSA=rdMolDescriptors.CalcTPSA(mol, force=True),
        ROTB=_rotatable_bonds(graph),
        AROM=_aromatic_rings(graph),
        ALERTS=_alerts(graph),
    )


class _Patterns:
    """The query atoms and query bonds of RDKit's structural alerts, numbered through."""

    def __init__(self) -> None:
        #: (query atom or None where it asks for more than an _AtomKey, its (bond, other atom) pairs).
        self.atoms: list[tuple[Any, list[tuple[int, int]]]] = []
        #: Query bond, or None where it asks for more than order and ring.
        self.bonds: list[Any] = []
        #: Each alert with the bits of the query atoms that have to find a place, and its number of rings.
        self.alerts: list[tuple[int, int, Mol]] = []
        for alert in QED.StructuralAlerts:
            first = len(self.atoms)
            self.atoms += [
                (atom if _questions(atom) <= _ATOM_QUESTIONS else None, []) for atom in alert.GetAtoms()
            ]
            for bond in alert.GetBonds():
                begin, end = first + bond.GetBeginAtomIdx(), first + bond.GetEndAtomIdx()
                self.atoms[begin][1].append((len(self.bonds), end))
                self.atoms[end][1].append((len(self.bonds), begin))
                self.bonds.append(bond if _questions(bond) <= _BOND_QUESTIONS else None)
            needs = sum(1 << i for i in range(first, len(self.atoms)) if self.atoms[i][0] is not None)
            self.alerts.append((needs, _cycles(alert), alert))
        self.not_asked = sum(1 << i for i, (query, _) in enumerate(self.atoms) if query is None)
        self.acceptors = [query for query in QED.Acceptors if _is_one_plain_atom(query)]
        self.other_acceptors = [query for query in QED.Acceptors if not _is_one_plain_atom(query)]


def _cycles(mol: Mol) -> int:
    """The number of independent cycles: no part of a molecule has more than the whole."""
    return mol.GetNumBonds() - mol.GetNumAtoms() + len(Chem.GetMolFrags(mol))


def _questions(query: Any) -> set[str]:
    return {line.split()[0] for line in query.DescribeQuery().splitlines()}


def _is_one_plain_atom(query: Mol) -> bool:
    return query.GetNumAtoms() == 1 and _questions(query.GetAtomWithIdx(0)) <= _ATOM_QUESTIONS


@cache
def _patterns() -> _Patterns:
    return _Patterns()


class _Learnt:
    """What RDKit said of the atoms, bonds and neighbourhoods met so far."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.kinds: dict[_AtomFields, int] = {}
        self.keys: list[_AtomKey] = []
        #: For each kind of atom, the query atoms of alerts that it matches, as bits; those not asked are set.
        self.matches: list[int] = []
        #: For each kind of atom, those of them that were asked: each with its neighbours, as bits, and its
        #: (bond, other atom) pairs.
        self.candidates: list[list[tuple[int, int, list[tuple[int, int]]]]] = []
        #: For each kind of atom, the number of acceptors that it is.
        self.acceptors: list[int] = []
        #: For each code of a bond, the query bonds of alerts that it matches, as bits.
        self.bonds: dict[int, int] = {}
        self.neighbourhoods: dict[_Place, _Neighbourhood] = {}
        #: By neighbourhood, and for oxygen by those of its neighbours as well.
        self.logp: dict[int | tuple[int, ...], _LogP] = {}

    def kind(self, key: _AtomFields, atom: Chem.Atom) -> int:
        """The number of the kind of atom."""
        patterns = _patterns()
        with self.lock:
            if key not in self.kinds:
                self.candidates.append(
                    [
                        (i, sum(1 << other for _, other in links), links)
                        for i, (query, links) in enumerate(patterns.atoms)
                        if query is not None and query.Match(atom)
                    ]
                )
                self.matches.append(patterns.not_asked | sum(1 << i for i, *_ in self.candidates[-1]))
                self.acceptors.append(
                    sum(query.GetAtomWithIdx(0).Match(atom) for query in patterns.acceptors)
                )
                self.keys.append(_AtomKey(*key))
                self.kinds[key] = len(self.keys) - 1
            return self.kinds[key]

    def neighbourhood(self, place: _Place, atom: Chem.Atom) -> _Neighbourhood:
        """What an atom in such a place is."""
        kind, links = place
        with self.lock:
            for bond in atom.GetBonds():
                code = _ORDERS[bond.GetBondTypeAsDouble()] << 1 | bond.IsInRing()
                if code not in self.bonds:
                    self.bonds[code] = sum(
                        1 << i
                        for i, query in enumerate(_patterns().bonds)
                        if query is None or query.Match(bond)
                    )
            if place not in self.neighbourhoods:
                number = len(self.neighbourhoods)
                around = [(self.keys[link >> 3], link >> 1 & 3) for link in links]
                self.neighbourhoods[place] = _Neighbourhood(
                    number,
                    self._places(kind, links),
                    _is_end(self.keys[kind], around),
                    _is_acyl(self.keys[kind], around),
                    self.keys[kind].number == 8,
                )
            return self.neighbourhoods[place]

    def _places(self, kind: int, links: Sequence[int]) -> int:
        """The query atoms that an atom matches, and whose every bond one of its own could be, as bits."""
        around = [(self.bonds[link & 7], self.matches[link >> 3]) for link in links]
        near = 0
        for _, atoms in around:
            near |= atoms
        places = 0
        for i, others, query_links in self.candidates[kind]:
            # Most lack a neighbour: seen before any order of the bonds is tried.
            if others & near == others and _fit(query_links, around):
                places |= 1 << i
        return places


def _fit(query_links: Sequence[tuple[int, int]], around: Sequence[tuple[int, int]]) -> bool:
    """Whether each (query bond, query atom) finds a (matched query bonds, matched query atoms) of its own."""
    if not query_links:
        return True
    (bond, atom), *others = query_links
    for i, (bonds, atoms) in enumerate(around):
        if (
            bonds >> bond & 1
            and atoms >> atom & 1
            and (not others or _fit(others, [*around[:i], *around[i + 1 :]]))
        ):
            return True
    return False


@cache
def _learnt() -> _Learnt:
    return _Learnt()


def _is_end(atom: _AtomKey, around: list[tuple[_AtomKey, int]]) -> bool:
    """Whether a bond to the atom may rotate: not that to a chain's end, a triple bond, CX3 or tert-butyl."""
    if atom.neighbours == 1 or any(order == _TRIPLE for _, order in around):
        return False
    if atom.number != 6 or atom.aromatic:
        return True
    caps = [other for other, order in around if order in (_SINGLE, _AROMATIC) and not other.aromatic]
    return all(sum(cap.number == halogen for cap in caps) < 3 for halogen in (9, 17, 35)) and (
        sum(cap.number == 6 and cap.hydrogens == 3 for cap in caps) < 3
    )


def _is_acyl(atom: _AtomKey, around: list[tuple[_AtomKey, int]]) -> bool:
    return (
        atom.number == 6
        and not atom.aromatic
        and atom.neighbours == 3
        and any(
            order == _DOUBLE and other.number in (7, 8, 16) and not other.aromatic for other, order in around
        )
    )


def _joins_acyl(atom: _AtomKey) -> bool:
    """Whether the bond of the atom to an acyl carbon is that of an amide, an ester or the like."""
    return atom.number == 7 or (
        not atom.aromatic and (atom.number == 8 or (atom.number == 16 and atom.neighbours > 1))
    )


class _Graph(NamedTuple):
    """A sanitised molecule without hydrogen atoms, by its atoms."""

    mol: Mol
    learnt: _Learnt
    #: The kind of each atom, its neighbours, and what it is among them.
    kinds: list[int]
    near: list[list[int]]
    hoods: list[_Neighbourhood]
    #: Each bond once, and those that are single and in no ring.
    bonds: list[tuple[int, int]]
    chain_bonds: list[tuple[int, int]]
    rings: tuple[tuple[int, ...], ...]


def _graph(mol: Mol) -> _Graph | None:
    """The molecule by its atoms; None where it has hydrogen atoms or bonds that are not plain ones."""
    learnt = _learnt()
    if len(learnt.logp) > _MAX_NEIGHBOURHOODS:
        _learnt.cache_clear()
    n = mol.GetNumAtoms()
    matrix = Chem.GetAdjacencyMatrix(mol, True, 0, True, "qed")
    rows, columns = matrix.nonzero()
    orders = matrix[rows, columns].tolist()
    # A dative bond is in the matrix from one side only. Aromatic bonds may have been made single and double.
    distinct = set(orders)
    if (
        len(orders) != 2 * mol.GetNumBonds()
        or not distinct <= _ORDERS.keys()
        or (1.5 in distinct) != (mol.GetIntProp("numArom") > 0)
    ):
        return None

    rings = mol.GetRingInfo().AtomRings()
    memberships = [0] * n
    ring_bonds = set()
    for ring in rings:
        before = ring[-1]
        for atom in ring:
            memberships[atom] += 1
            ring_bonds.add(before * n + atom)
            ring_bonds.add(atom * n + before)
            before = atom

    known = learnt.kinds
    kinds = []
    for atom, ring_count in zip(mol.GetAtoms(), memberships, strict=True):
        key = (
            atom.GetAtomicNum(),
            atom.GetIsAromatic(),
            atom.GetFormalCharge(),
            atom.GetTotalNumHs(),
            atom.GetTotalValence(),
            atom.GetIsotope(),
            atom.GetDegree(),
            ring_count,
        )
        kind = known.get(key)
        if kind is None:
            if key[0] == 1:
                return None
            kind = learnt.kind(key, atom)
        kinds.append(kind)

    near: list[list[int]] = [[] for _ in kinds]
    links: list[list[int]] = [[] for _ in kinds]
    bonds = []
    chain_bonds = []
    for i, j, order in zip(rows.tolist(), columns.tolist(), orders, strict=True):
        code = _ORDERS[order] << 1 | (i * n + j in ring_bonds)
        near[i].append(j)
        links[i].append(kinds[j] << 3 | code)
        if i < j:
            bonds.append((i, j))
            if not code:
                chain_bonds.append((i, j))

    hoods = []
    for i, kind in enumerate(kinds):
        links[i].sort()
        place = (kind, tuple(links[i]))
        hood = learnt.neighbourhoods.get(place)
        hoods.append(hood or learnt.neighbourhood(place, mol.GetAtomWithIdx(i)))
    return _Graph(mol, learnt, kinds, near, hoods, bonds, chain_bonds, rings)


def _logp(graph: _Graph) -> float:
    """Crippen's log P, summed in RDKit's order: the atoms, then their hydrogens."""
    keys = [
        (hood.number, *sorted([graph.hoods[j].number for j in near])) if hood.far_sighted else hood.number
        for hood, near in zip(graph.hoods, graph.near, strict=True)
    ]
    known = graph.learnt.logp
    try:
        parts = [known[key] for key in keys]
    except KeyError:
        known.update(zip(keys, _logp_parts(graph.mol), strict=True))
        parts = [known[key] for key in keys]
    total = 0.0
    for atom, _ in parts:
        total += atom
    for kind, (_, hydrogen) in zip(graph.kinds, parts, strict=True):
        for _ in range(graph.learnt.keys[kind].hydrogens):
            total += hydrogen
    return total


def _logp_parts(mol: Mol) -> list[_LogP]:
    """The contribution of each atom to log P, and that of each of its hydrogens, by RDKit."""
    whole = Chem.AddHs(mol)
    contributions = [logp for logp, _ in rdMolDescriptors._CalcCrippenContribs(whole)]
    hydrogens = [0.0] * mol.GetNumAtoms()
    for i in range(mol.GetNumAtoms(), whole.GetNumAtoms()):
        hydrogens[whole.GetAtomWithIdx(i).GetNeighbors()[0].GetIdx()] = contributions[i]
    return list(zip(contributions, hydrogens, strict=False))


def _acceptors(graph: _Graph) -> int:
    """The number of matches of RDKit's acceptors."""
    counts = graph.learnt.acceptors
    others = [len(graph.mol.GetSubstructMatches(query)) for query in _patterns().other_acceptors]
    return sum([counts[kind] for kind in graph.kinds]) + sum(others)


def _rotatable_bonds(graph: _Graph) -> int:
    """The number of rotatable bonds by RDKit's strict definition: none is between two atoms of amides."""
    hoods, keys = graph.hoods, graph.learnt.keys
    amides = set()
    for i, j in graph.chain_bonds:
        if (hoods[i].acyl and _joins_acyl(keys[graph.kinds[j]])) or (
            hoods[j].acyl and _joins_acyl(keys[graph.kinds[i]])
        ):
            amides |= {i, j}
    return sum(
        hoods[i].end and hoods[j].end and not (i in amides and j in amides) for i, j in graph.chain_bonds
    )


def _aromatic_rings(graph: _Graph) -> int:
    """The number of rings that are left without the atoms of RDKit's `AliphaticRings`.

    The smallest set of smallest rings has as many as there are bonds that close one, whichever is laid first.
    """
    if not graph.rings:
        return 0
    gone = {atom for match in graph.mol.GetSubstructMatches(QED.AliphaticRings) for atom in match}
    parent = list(range(len(graph.kinds)))
    closing = 0
    for i, j in graph.bonds:
        if i in gone or j in gone:
            continue
        while parent[i] != i:
            i = parent[i]
        while parent[j] != j:
            j = parent[j]
        if i == j:
            closing += 1
        parent[i] = j
    return closing


def _alerts(graph: _Graph) -> int:
    """How many of RDKit's structural alerts the molecule has."""
    places = 0
    for hood in graph.hoods:
        places |= hood.places
    mol = graph.mol
    cycles = _cycles(mol)
    return sum(
        [
            mol.HasSubstructMatch(alert)
            for needs, alert_cycles, alert in _patterns().alerts
            if needs & places == needs and alert_cycles <= cycles
        ]
    )
