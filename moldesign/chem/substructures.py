"""Substructures written as SMARTS."""

from __future__ import annotations

from rdkit import Chem

from moldesign.chem.molecules import Mol, quiet_rdkit

#: Symmetric patterns match exponentially often; nobody counts further than this.
MAX_MATCHES = 1000


class InvalidSmarts(ValueError):
    """A SMARTS that does not parse."""


def pattern(smarts: str) -> Mol:
    """The query that a SMARTS means.

    Raises:
        InvalidSmarts: it does not parse, or has no atom.
    """
    quiet_rdkit()
    query = Chem.MolFromSmarts(smarts) if smarts.isascii() else None
    if query is None or query.GetNumAtoms() == 0:
        raise InvalidSmarts(f"SMARTS that does not parse: {smarts!a}")
    return query


def has_match(mol: Mol, query: Mol) -> bool:
    """Whether the molecule holds the substructure."""
    return not _lacks_a_part(mol, query) and bool(mol.HasSubstructMatch(query))


def count_matches(mol: Mol, query: Mol) -> int:
    """How often the molecule holds the substructure, each set of atoms counted once, at most MAX_MATCHES."""
    if _lacks_a_part(mol, query):
        return 0
    return len(mol.GetSubstructMatches(query, uniquify=True, maxMatches=MAX_MATCHES))


def _lacks_a_part(mol: Mol, query: Mol) -> bool:
    """Whether a query of several parts has one that matches nowhere.

    Asked first, since RDKit would try the parts that do match in every combination before it gave up:
    half a minute for `CC.CC.CC.N` in a chain of 200 carbons.
    """
    if len(Chem.GetMolFrags(query)) == 1:
        return False
    parts = Chem.GetMolFrags(query, asMols=True, sanitizeFrags=False)
    return not all(mol.HasSubstructMatch(part) for part in parts)
