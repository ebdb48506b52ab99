"""Molecules from text and back: parse, standardise, canonicalise, randomise."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from rdkit import Chem, RDLogger
from rdkit.Chem.MolStandardize import rdMolStandardize

from moldesign.errors import UsageError, nearest

Mol = Chem.Mol

MAX_CHARACTERS = 1000
MAX_ATOMS = 250
MAX_CHARGE = 8
#: Independent rings (bonds less atoms, plus fragments), and the rings of smallest size that they give in all
#: (relevant cycles, Vismara 1997). RDKit looks for the latter one by one, and in cycles of rings joined at
#: opposite atoms their number doubles with each ring: the million of twenty cyclobutanes takes it minutes.
#: With so few of the former the latter can be counted in 32 bits. C60 has 31 and 32.
MAX_RINGS = 32
MAX_SMALLEST_RINGS = 150
#: So few independent rings cannot give many: 2^7 at most.
_FEW_RINGS = 7

#: Elements of drug-like chemistry; everything else is a metal, a salt or a mistake.
ORGANIC_ELEMENTS = frozenset({"H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Se", "Br", "I"})

_SMILES_CHARACTERS = re.compile(r"[A-Za-z0-9@+\-\[\]()\\/%=#$:.~*]+")
# Isotope, element, chirality, hydrogens and charge of one bracket atom.
_BRACKET_ATOM = re.compile(
    r"\[(\d*)([A-Z][a-z]?|[a-z][a-z]?|\*)(@(?:@|[A-Z]{2}\d+)?)?(H\d*)?"
    r"((?:\+\d+|-\d+|\++|-+))?(?::(\d+))?\]"
)


class InvalidMolecule(ValueError):
    """A SMILES that is no molecule, with the reason in words a chemist reads.

    The reason is a kind, or a kind and a detail after `": "`, so that a summary can count kinds.
    """


@cache
def quiet_rdkit() -> None:
    """Turn RDKit's own log off: 20,000 invalid SMILES would write 8 MB to stderr."""
    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]


def _charge(text: str | None) -> int:
    if not text:
        return 0
    sign = 1 if text[0] == "+" else -1
    return sign * (int(text[1:]) if text[1:].isdigit() else len(text))


def read(smiles: str) -> Mol:
    """The molecule that a SMILES means, without name or extensions.

    RDKit alone reads some wrong text silently (a stray Cyrillic letter is dropped, `[C+256]`
    becomes `[C]`, the empty string is a molecule of no atoms) and some long text crashes it.
    What it would misread, and what could crash it, is refused before it is parsed.

    Raises:
        InvalidMolecule: with the reason.
    """
    quiet_rdkit()
    if not smiles:
        raise InvalidMolecule("empty SMILES")
    if len(smiles) > MAX_CHARACTERS:
        raise InvalidMolecule(f"longer than {MAX_CHARACTERS} characters")
    if not _SMILES_CHARACTERS.fullmatch(smiles):
        bad = next(c for c in smiles if not _SMILES_CHARACTERS.fullmatch(c))
        raise InvalidMolecule(f"character that does not belong in a SMILES: {bad!a}")
    for bracket in re.findall(r"\[[^\]]*\]", smiles):
        match = _BRACKET_ATOM.fullmatch(bracket)
        if match is None:
            raise InvalidMolecule(f"not an atom: {bracket}")
        isotope, element, _, _, charge, atom_map = match.groups()
        if abs(_charge(charge)) > MAX_CHARGE:
            raise InvalidMolecule(f"atom charge beyond {MAX_CHARGE}: {bracket}")
        if len(isotope) > 3 or (isotope and not _known_isotope(element, int(isotope))):
            raise InvalidMolecule(f"unknown isotope: {bracket}")
        if atom_map and len(atom_map) > 6:
            raise InvalidMolecule(f"atom map number out of range: {bracket}")
    # Each bond that closes a ring has a label of a digit or more at either end.
    if sum(map(smiles.count, "0123456789")) > 2 * _FEW_RINGS:
        _refuse_rings(smiles)
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise InvalidMolecule(_why_unparsable(smiles))
    if mol.GetNumAtoms() == 0:
        raise InvalidMolecule("no atoms")
    if mol.GetNumAtoms() > MAX_ATOMS:
        raise InvalidMolecule(f"more than {MAX_ATOMS} atoms")
    if abs(Chem.GetFormalCharge(mol)) > MAX_CHARGE:
        raise InvalidMolecule(f"net charge beyond {MAX_CHARGE}")
    return mol


def _refuse_rings(smiles: str) -> None:
    """Raise InvalidMolecule for rings that RDKit would take too long to find."""
    mol = Chem.MolFromSmiles(smiles, sanitize=False)  # which looks for none
    if mol is None:
        return  # as it will be again
    independent = mol.GetNumBonds() - mol.GetNumAtoms() + len(Chem.GetMolFrags(mol))
    if independent > MAX_RINGS:
        raise InvalidMolecule(f"more than {MAX_RINGS} rings")
    if independent > _FEW_RINGS:
        Chem.FindRingFamilies(mol)
        if mol.GetRingInfo().NumRelevantCycles() > MAX_SMALLEST_RINGS:
            raise InvalidMolecule(f"rings that close in more than {MAX_SMALLEST_RINGS} ways")


def reread(smiles: str) -> Mol:
    """The molecule of a SMILES that `to_smiles` wrote: as `read`, without its checks.

    Raises:
        InvalidMolecule: RDKit does not read back all that it writes.
    """
    quiet_rdkit()
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise InvalidMolecule(_why_unparsable(smiles))
    return mol


def _known_isotope(element: str, mass_number: int) -> bool:
    table = Chem.GetPeriodicTable()
    try:
        return bool(table.GetMassForIsotope(element.capitalize(), mass_number) > 0)
    except RuntimeError:
        return False


def _why_unparsable(smiles: str) -> str:
    """The first defect RDKit finds: grammar, valence or aromaticity."""
    mol = Chem.MolFromSmiles(smiles, sanitize=False)
    if mol is None:
        return "not a SMILES (grammar)"
    problems = Chem.DetectChemistryProblems(mol)
    if not problems:
        return "not a molecule"
    kind = problems[0].GetType()
    if "Valence" in kind:
        return "impossible valence"
    if "Kekulize" in kind:
        return "aromatic ring without a Kekule form"
    return "not a molecule: " + " ".join(str(problems[0].Message()).split())


def parse(smiles: str) -> Mol | None:
    """The molecule that a SMILES means; None where there is none."""
    try:
        return read(smiles)
    except InvalidMolecule:
        return None


def to_smiles(mol: Mol, *, stereo: bool = True) -> str:
    """The canonical SMILES of a molecule, isomeric unless `stereo` is False."""
    return str(Chem.MolToSmiles(mol, isomericSmiles=stereo))


def canonical(smiles: str) -> str | None:
    """The canonical isomeric SMILES; None for what is no molecule."""
    mol = parse(smiles)
    return None if mol is None else to_smiles(mol)


def randomised(mol: Mol, seed: int) -> str:
    """One SMILES of the molecule from a random root and order, fixed by the seed."""
    # RDKit takes a seed of 0 or less for none at all.
    return str(Chem.MolToRandomSmilesVect(mol, 1, randomSeed=1 + seed % 0x7FFFFFFE)[0])


def element_symbols(text: str) -> frozenset[str]:
    """The elements that a list like `C,N,O,Cl` names, hydrogen always among them.

    Raises:
        UsageError: a symbol that is no element.
    """
    table = Chem.GetPeriodicTable()
    known = {str(table.GetElementSymbol(number)) for number in range(1, 119)}
    symbols = {part.strip() for part in text.split(",") if part.strip()}
    for symbol in sorted(symbols - known):
        raise UsageError(f"'{symbol}' is no element{nearest(symbol.capitalize(), known)}")
    if not symbols:
        raise UsageError("the list of elements is empty")
    return frozenset(symbols | {"H"})


@dataclass(frozen=True)
class Standard:
    """What a standardised molecule may look like. Frozen, so that it travels to workers."""

    stereo: bool = True
    neutralise: bool = True
    elements: frozenset[str] = ORGANIC_ELEMENTS
    min_heavy_atoms: int = 3
    max_heavy_atoms: int = 60
    max_charge: int = 2


@cache
def _charged() -> Mol:
    return Chem.MolFromSmarts("[!+0]")


@cache
def _uncharger() -> rdMolStandardize.Uncharger:
    return rdMolStandardize.Uncharger()


def uncharged(mol: Mol) -> Mol:
    """The molecule without the charges that protons can take away or bring; itself where it has none.

    Quaternary ammonium, N-oxides and nitro groups stay, and so do the anions that balance a permanent cation.
    """
    # Asking each atom takes longer.
    if not mol.HasSubstructMatch(_charged()):
        return mol
    quiet_rdkit()
    return _uncharger().uncharge(mol)


def largest_fragment(mol: Mol) -> Mol:
    """The fragment with most heavy atoms; of equals, the one whose SMILES sorts first.

    Raises:
        InvalidMolecule: a fragment that is none by itself, as bonds of any kind (`~`) may make it.
    """
    if len(Chem.GetMolFrags(mol)) == 1:
        return mol
    try:
        fragments: tuple[Mol, ...] = Chem.GetMolFrags(mol, asMols=True)
    except Chem.MolSanitizeException as error:
        raise InvalidMolecule(f"a fragment is no molecule: {' '.join(str(error).split())}") from None
    return min(fragments, key=lambda m: (-m.GetNumHeavyAtoms(), to_smiles(m)))


def standardise(mol: Mol, standard: Standard = Standard()) -> str:
    """The canonical SMILES of the molecule's standard form.

    Largest fragment, isotopes and atom maps cleared, explicit hydrogens removed, charges that
    a proton can take away neutralised (quaternary ammonium, N-oxides and nitro groups stay),
    stereo kept or dropped.

    Raises:
        InvalidMolecule: the standard does not allow the molecule, with the reason.
    """
    quiet_rdkit()
    try:
        return _standard_form(Chem.Mol(largest_fragment(mol)), standard)
    except Chem.MolSanitizeException as error:
        # RDKit reads bonds of any kind (`~`), and later misses the valence that they do not count for.
        raise InvalidMolecule(f"no standard form: {' '.join(str(error).split())}") from None


def _standard_form(mol: Mol, standard: Standard) -> str:
    for atom in mol.GetAtoms():
        atom.SetIsotope(0)
        atom.SetAtomMapNum(0)
        if atom.GetSymbol() not in standard.elements:
            raise InvalidMolecule(f"element outside the set: {atom.GetSymbol()}")
        if atom.GetNumRadicalElectrons():
            raise InvalidMolecule("radical")
    mol = Chem.RemoveHs(mol)
    heavy = mol.GetNumHeavyAtoms()
    if heavy < standard.min_heavy_atoms:
        raise InvalidMolecule(f"fewer than {standard.min_heavy_atoms} heavy atoms")
    if heavy > standard.max_heavy_atoms:
        raise InvalidMolecule(f"more than {standard.max_heavy_atoms} heavy atoms")
    if standard.neutralise:
        mol = uncharged(mol)
    if abs(Chem.GetFormalCharge(mol)) > standard.max_charge:
        raise InvalidMolecule(f"net charge beyond {standard.max_charge}")
    if not standard.stereo:
        Chem.RemoveStereochemistry(mol)
    # Written and read once more: removing stereo or charges can change the canonical order.
    again = Chem.MolFromSmiles(to_smiles(mol))
    if again is None:
        raise InvalidMolecule("standard form cannot be read back")
    return to_smiles(again)
