"""How many molecules of the shipped corpora hold each ring system and each environment of an atom.

`make tables` counts anew.
"""

from __future__ import annotations

import lzma
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import islice
from pathlib import Path

from moldesign.chem.environments import environments
from moldesign.chem.molecules import InvalidMolecule, read
from moldesign.chem.rings import ring_systems
from moldesign.errors import DataError
from moldesign.files import atomic_write
from moldesign.language.corpus import BATCH_SIZE, load
from moldesign.language.workers import Answer, Workers
from moldesign.limits import usable_processors

#: The corpora that are counted.
CORPORA = ("chembl_sample", "zinc250k")

#: Stands for any molecule: the row that counts them all.
_ANY = "*"


@dataclass(frozen=True)
class Occurrences:
    """How many of `molecules` hold each feature, by its name."""

    molecules: int
    counts: dict[str, int]

    def __getitem__(self, feature: str) -> int:
        """The number of molecules with that feature; 0 for one that is not there."""
        return self.counts.get(feature, 0)


def different_ring_systems(smiles: str) -> Answer:
    """(The molecule's ring systems, each once, with dots between them, None), or (None, why there are none).

    Runs in a worker.
    """
    try:
        return ".".join(dict.fromkeys(ring_systems(read(smiles)))), None
    except InvalidMolecule as error:
        return None, str(error)


def different_environments(smiles: str) -> Answer:
    """(Identifiers of the molecule's environments, with dots between, None), or (None, why there are none).

    Runs in a worker.
    """
    try:
        return ".".join(map(str, sorted(environments(read(smiles), "ecfp2")))), None
    except InvalidMolecule as error:
        return None, str(error)


#: What is counted -> how a molecule is read for it.
COUNTED: dict[str, Callable[[str], Answer]] = {
    "ring_systems": different_ring_systems,
    "environments": different_environments,
}


@cache
def shipped_occurrences(what: str) -> Occurrences:
    """How often what COUNTED names is in the shipped corpora, read once a process.

    Raises:
        DataError: the table is missing or damaged.
    """
    return read_table(Path(str(files("moldesign.corpora"))) / f"{what}.tsv.xz", what)


def read_table(path: Path, what: str) -> Occurrences:
    """What `write_table` wrote.

    Raises:
        DataError: the file is missing, damaged or no such table.
    """
    try:
        lines = lzma.decompress(path.read_bytes()).decode("ascii").splitlines()
        if lines[:1] != [_header(what)]:
            raise ValueError("another header")
        counts = {feature: int(count) for feature, count in (line.split("\t") for line in lines[1:])}
        return Occurrences(counts.pop(_ANY), counts)
    except (OSError, lzma.LZMAError, EOFError, ValueError, KeyError) as error:
        raise DataError(f"{path}: not a readable table of {what.replace('_', ' ')} ({error})") from error


def write_table(path: Path, what: str, counted: Occurrences) -> None:
    """Write a table of two columns, the commonest feature first; the same bytes for the same counts."""
    rows = sorted(counted.counts.items(), key=lambda row: (-row[1], row[0]))
    lines = [_header(what), *(f"{feature}\t{count}" for feature, count in [(_ANY, counted.molecules), *rows])]
    text = "".join(line + "\n" for line in lines)
    with atomic_write(path) as temporary:
        temporary.write_bytes(lzma.compress(text.encode("ascii"), preset=9 | lzma.PRESET_EXTREME))


def count(what: str, corpora: Sequence[str | Path], *, workers: int | None = None) -> Occurrences:
    """How many molecules of the corpora hold each feature of a kind that COUNTED names.

    A molecule of two corpora counts in both. One that cannot be read counts in neither number.

    Args:
        corpora: names or files.
        workers: processes; None takes the processors this process may use.
    """
    counts: Counter[str] = Counter()
    molecules = 0
    with Workers(COUNTED[what], count=workers or usable_processors()) as pool:
        for answers in pool.map(_batches(smiles for corpus in corpora for smiles in load(corpus))):
            for features, _ in answers:
                if features is not None:
                    molecules += 1
                    counts.update(features.split(".") if features else [])
    return Occurrences(molecules, dict(counts))


def make_table(folder: Path, what: str, corpora: Sequence[str | Path] = CORPORA) -> Occurrences:
    """Count in the corpora and write the table into a folder; the counts."""
    counted = count(what, corpora)
    write_table(folder / f"{what}.tsv.xz", what, counted)
    return counted


def _header(what: str) -> str:
    return f"{what.removesuffix('s')}\tmolecules"


def _batches(smiles: Iterable[str]) -> Iterator[list[str]]:
    source = iter(smiles)
    while batch := list(islice(source, BATCH_SIZE)):
        yield batch
