"""Ring systems: rings joined by a common bond or atom."""

from __future__ import annotations

from functools import cache, lru_cache

from rdkit import Chem

from moldesign.chem.molecules import Mol, quiet_rdkit, to_smiles, uncharged

#: Heavier elements have more than one valence.
_OXYGEN = 8


def ring_systems(mol: Mol) -> list[str]:
    """Canonical SMILES of every ring system of the molecule, sorted; equal ones as often as they occur.

    A ring system is rings that share atoms (fused, bridged, spiro) and the atoms doubly bound to them, an
    N-oxide's oxygen among those; hydrogen stands for all else that was bound to them. Stereo, isotopes
    and charges that a proton takes away are left out, so that a protonated piperidine is a piperidine.
    The idea: Ertl et al., J. Med. Chem. 49, 4568 (2006).
    """
    if mol.GetRingInfo().NumRings() == 0:
        return []
    quiet_rdkit()
    if mol.HasSubstructMatch(_charged_in_ring()):
        mol = uncharged(mol)
        if mol.HasSubstructMatch(_charged_in_ring()):
            return _systems(mol)
    # What hangs on rings by a single bond is cut off, and what is left is nearly always known already.
    pairs = mol.GetSubstructMatches(_at_rings())
    if any(mol.GetAtomWithIdx(inside).GetAtomicNum() > _OXYGEN for inside, _ in pairs):
        return _systems(mol)  # it may have another valence without what hangs on it
    bonds = {mol.GetBondBetweenAtoms(*pair).GetIdx() for pair in pairs}
    cut = Chem.FragmentOnBonds(mol, sorted(bonds), addDummies=False) if bonds else mol
    return sorted(system for text in to_smiles(cut, stereo=False).split(".") for system in _systems_of(text))


@cache
def _charged_in_ring() -> Mol:
    return Chem.MolFromSmarts("[R;!+0]")


@cache
def _at_rings() -> Mol:
    return Chem.MolFromSmarts("[R]-&!@*")


@lru_cache(maxsize=1 << 16)
def _systems_of(smiles: str) -> tuple[str, ...]:
    """The ring systems of a molecule without charges in rings."""
    if not any(letter.isdigit() for letter in smiles):
        return ()
    mol = Chem.MolFromSmiles(smiles)
    return () if mol is None else tuple(_systems(mol))


def _systems(mol: Mol) -> list[str]:
    if any(atom.GetFormalCharge() and atom.IsInRing() for atom in mol.GetAtoms()):
        mol = uncharged(mol)
    return sorted(_canonical(_cut_out(mol, system)) for system in ring_atoms(mol))


def ring_atoms(mol: Mol) -> list[set[int]]:
    """Of each ring system the atoms that are in its rings."""
    systems: list[set[int]] = []
    for ring in mol.GetRingInfo().AtomRings():
        joined = set(ring)
        apart = []
        for system in systems:
            if system.isdisjoint(joined):
                apart.append(system)
            else:
                joined |= system
        systems = [*apart, joined]
    return systems


def with_bound(mol: Mol, inside: set[int]) -> set[int]:
    """These atoms of a ring system and those doubly bound to them."""
    atoms = set(inside)
    for index in inside:
        atom = mol.GetAtomWithIdx(index)
        for bond in atom.GetBonds():
            # The two ways to write an N-oxide or a sulfoxide both keep its oxygen.
            opposite = bond.GetOtherAtom(atom).GetFormalCharge() * atom.GetFormalCharge() < 0
            if opposite or bond.GetBondType() == Chem.BondType.DOUBLE:
                atoms.add(bond.GetOtherAtomIdx(index))
    return atoms


def _cut_out(mol: Mol, inside: set[int]) -> str:
    """SMILES of these atoms and those doubly bound to them, hydrogens where other bonds were."""
    atoms = with_bound(mol, inside)
    system = Chem.RWMol()
    place: dict[int, int] = {}
    for index in sorted(atoms):
        atom = mol.GetAtomWithIdx(index)
        copy = Chem.Atom(atom.GetAtomicNum())
        copy.SetFormalCharge(atom.GetFormalCharge())
        copy.SetNumRadicalElectrons(atom.GetNumRadicalElectrons())
        # What is doubly bound may belong to an aromatic ring of its own.
        copy.SetIsAromatic(atom.GetIsAromatic() and index in inside)
        cut = sum(
            int(bond.GetBondTypeAsDouble())
            for bond in atom.GetBonds()
            if bond.GetOtherAtomIdx(index) not in atoms
        )
        copy.SetNumExplicitHs(atom.GetTotalNumHs() + cut)
        copy.SetNoImplicit(True)
        place[index] = system.AddAtom(copy)
    for bond in mol.GetBonds():
        begin, end = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        if begin in place and end in place and (begin in inside or end in inside):
            system.AddBond(place[begin], place[end], bond.GetBondType())
            copied = system.GetBondBetweenAtoms(place[begin], place[end])
            copied.SetIsAromatic(bond.GetIsAromatic())
    system.UpdatePropertyCache(strict=False)
    return to_smiles(system.GetMol(), stereo=False)


@lru_cache(maxsize=1 << 16)
def _canonical(smiles: str) -> str:
    """The SMILES as RDKit writes it for a molecule read anew; as it is where it cannot be read."""
    mol = Chem.MolFromSmiles(smiles)
    return smiles if mol is None else to_smiles(mol, stereo=False)
