"""Molecules to compare with: in the parameters themselves, in a file, or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator

from moldesign.assets import corpus_path
from moldesign.chem.molecules import MAX_CHARACTERS
from moldesign.errors import DataError
from moldesign.files import sha256
from moldesign.language.reading import BLANK_LINE, MoleculeFile
from moldesign.rewards.fields import Smiles
from moldesign.rewards.strict import Strict


@dataclass(frozen=True, slots=True)
class Reference:
    """A SMILES to compare with, and where it stands, for messages."""

    smiles: str
    place: str


class References(Strict):
    """Reference molecules."""

    references: list[Smiles] = Field([], description="SMILES of the reference molecules")
    file: str | None = Field(
        None,
        description="file of reference molecules (.smi, .csv, ...), or the name of a corpus",
    )
    column: str | None = Field(None, description="SMILES column of the file; if left out, found by its name")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.references and self.file is None:
            raise ValueError("give references or a file of them")
        if self.file is None and self.column is not None:
            raise ValueError("column belongs to a file")
        return self

    def read(self) -> list[Reference]:
        """The references in order, those of the file last. Lines of the file may yet be no molecules.

        Raises:
            UsageError, DataError: a file that cannot be read, or a line of it without a SMILES.
        """
        given = [Reference(smiles, f"reference '{smiles}'") for smiles in self.references]
        if self.file is None:
            return given
        path = corpus_path(self.file)
        for entry in MoleculeFile(path, self.column):
            place = f"{path}, line {entry.line}"
            if entry.problem == BLANK_LINE:
                continue
            if entry.problem is not None:
                raise DataError(f"{place}: {entry.problem}")
            if len(entry.text) > MAX_CHARACTERS:
                raise DataError(f"{place}: longer than {MAX_CHARACTERS} characters")
            given.append(Reference(entry.text, place))
        if len(given) == len(self.references):
            raise DataError(f"{path}: no line with a molecule")
        return given

    def digest(self) -> str:
        """The SHA-256 of the file; empty without one. The parameters and it fix the references."""
        return "" if self.file is None else sha256(corpus_path(self.file))
