"""Molecules that named reactions can make."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from moldesign.chem.molecules import (
    InvalidMolecule,
    Mol,
    largest_fragment,
    read,
    to_smiles,
    uncharged,
)
from moldesign.chem.reactions import cuts, retro_reaction
from moldesign.chem.substructures import has_match, pattern
from moldesign.errors import RewardError
from moldesign.language.reading import BLANK_LINE, MoleculeFile
from moldesign.rewards.entry import Entry
from moldesign.rewards.fields import Smarts
from moldesign.rewards.reward import Reward, per_molecule
from moldesign.rewards.strict import Strict


def _retro(smarts: str) -> str:
    retro_reaction(smarts)
    return smarts


RetroReaction = Annotated[str, AfterValidator(_retro)]


class ReactionFilterParameters(Strict):
    """Reactions, and what their precursors must be."""

    reactions: list[RetroReaction] = Field(
        min_length=1, description="retro-synthetic reaction SMARTS, product>>reactants; any one will do"
    )
    precursors_hold: list[Smarts] = Field(
        [], description="SMARTS, each of which some precursor of the same cut must hold"
    )
    building_blocks: str | None = Field(
        None,
        description="file of molecules among which every precursor of the cut must be; stereo"
        " and salts do not count",
    )

    @field_validator("building_blocks")
    @classmethod
    def _there(cls, file: str | None) -> str | None:
        if file is not None and not Path(file).is_file():
            raise ValueError(f"no such file: {file}")
        return file


def reaction_filter(parameters: ReactionFilterParameters) -> Reward:
    """1 where one of the reactions can have made the molecule from precursors as asked for, else 0.

    Raises:
        DataError: the file of building blocks cannot be read.
        RewardError: a line of it is no molecule.
    """
    reactions = [retro_reaction(smarts) for smarts in parameters.reactions]
    wanted = [pattern(smarts) for smarts in parameters.precursors_hold]
    blocks = None if parameters.building_blocks is None else _read_blocks(Path(parameters.building_blocks))

    def fits(precursors: tuple[Mol, ...]) -> bool:
        if not all(any(has_match(mol, query) for mol in precursors) for query in wanted):
            return False
        return blocks is None or all(_block(mol) in blocks for mol in precursors)

    def value(mol: Mol) -> float:
        return float(any(fits(precursors) for reaction in reactions for precursors in cuts(mol, reaction)))

    return per_molecule(value)


def _read_blocks(path: Path) -> frozenset[str]:
    blocks = set()
    for entry in MoleculeFile(path):
        if entry.problem == BLANK_LINE:
            continue
        try:
            if entry.problem is not None:
                raise InvalidMolecule(entry.problem)
            blocks.add(_block(read(entry.text)))
        except InvalidMolecule as error:
            raise RewardError(
                f"{path}, line {entry.line}: {error}; clean the file with: moldesign corpora prepare"
            ) from None
    return frozenset(blocks)


def _block(mol: Mol) -> str:
    """What a molecule is called among building blocks, salt or not and whichever its stereo."""
    return to_smiles(uncharged(largest_fragment(mol)), stereo=False)


ENTRIES: dict[str, Entry] = {
    "reaction_filter": Entry(
        "1 where one of the reactions can have made the molecule, else 0",
        "0 or 1",
        reaction_filter,
        ReactionFilterParameters,
        group="structure",
        direction="larger",
        example={"reactions": ["[C:1](=[O:2])[NX3:3]>>[C:1](=[O:2])O.[N:3]"]},
        unit_interval=True,
        cost_us=250,
    ),
}
