"""Reactions read backwards: the ways to take a molecule apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from rdkit import Chem
from rdkit.Chem import rdChemReactions

from moldesign.chem.molecules import Mol, largest_fragment, quiet_rdkit

Reaction = rdChemReactions.ChemicalReaction

#: Places at which one reaction may cut one molecule; further ones are not looked for.
MAX_CUTS = 100


class InvalidReaction(ValueError):
    """A reaction SMARTS that cannot take molecules apart."""


def retro_reaction(smarts: str) -> Reaction:
    """The reaction that a retro-synthetic reaction SMARTS means: one molecule to its precursors.

    Raises:
        InvalidReaction: it does not parse, has not one molecule on its left, or maps no atom.
    """
    quiet_rdkit()
    try:
        reaction = rdChemReactions.ReactionFromSmarts(smarts) if smarts.isascii() else None
    except ValueError:
        reaction = None
    if reaction is None or reaction.GetNumProductTemplates() == 0:
        raise InvalidReaction(f"reaction SMARTS that does not parse: {smarts!a}")
    if reaction.GetNumReactantTemplates() != 1:
        raise InvalidReaction(
            f"reaction SMARTS {smarts!a} starts from {reaction.GetNumReactantTemplates()} molecules;"
            " write it backwards, product>>reactants"
        )
    left, right = _maps(reaction.GetReactants()), _maps(reaction.GetProducts())
    if not left & right:
        raise InvalidReaction(f"reaction SMARTS {smarts!a} maps no atom; number those that stay, as in [C:1]")
    if alone := right - left:
        raise InvalidReaction(f"reaction SMARTS {smarts!a} has atom {min(alone)} on its right alone or twice")
    if reaction.Validate(silent=True)[1]:
        raise InvalidReaction(f"reaction SMARTS {smarts!a} is wrong in its atom maps")
    reaction.Initialize()
    return reaction


def _maps(templates: Iterable[Mol]) -> Counter[int]:
    """How often each atom map number occurs in the templates."""
    return Counter(
        atom.GetAtomMapNum() for mol in templates for atom in mol.GetAtoms() if atom.GetAtomMapNum()
    )


def cuts(mol: Mol, reaction: Reaction) -> Iterator[tuple[Mol, ...]]:
    """The precursors, for each of at most MAX_CUTS places where the reaction takes the molecule apart.

    Of a salt, the largest fragment. A place is passed over where a precursor is no molecule (by its
    valences), where atoms that the reaction does not name would be lost, or would be in two precursors:
    a bond in a ring, which does not part the molecule.
    """
    mol = largest_fragment(mol)
    right = _maps(reaction.GetProducts())
    replaced = sum(atom.GetAtomMapNum() not in right for atom in reaction.GetReactantTemplate(0).GetAtoms())
    for products in reaction.RunReactants((mol,), maxProducts=MAX_CUTS):
        kept = [
            atom.GetIntProp("react_atom_idx")
            for product in products
            for atom in product.GetAtoms()
            if atom.HasProp("react_atom_idx")
        ]
        if len(set(kept)) < max(len(kept), mol.GetNumAtoms() - replaced):
            continue
        if not any(Chem.SanitizeMol(product, catchErrors=True) for product in products):
            yield products
