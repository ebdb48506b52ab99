"""How often each ring system occurs in the shipped corpora: the table, and how it is made.

`make ring-systems` makes it anew.
"""

from __future__ import annotations

import lzma
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import islice
from pathlib import Path

from moldesign.chem.molecules import InvalidMolecule, read
from moldesign.chem.rings import ring_systems
from moldesign.errors import DataError
from moldesign.files import atomic_write
from moldesign.language.corpus import BATCH_SIZE, load
from moldesign.language.workers import Answer, Workers
from moldesign.limits import usable_processors

#: The corpora that are counted.
CORPORA = ("chembl_sample", "zinc250k")

_HEADER = "ring_system\tmolecules"
#: Stands for any molecule: the row that counts them all.
_ANY = "*"


@dataclass(frozen=True)
class RingSystemCounts:
    """How many of `molecules` hold each ring system, by its SMILES as `ring_systems` writes it."""

    molecules: int
    counts: dict[str, int]

    def __getitem__(self, system: str) -> int:
        """The number of molecules with that ring system; 0 for one that is not there."""
        return self.counts.get(system, 0)


@cache
def shipped_counts() -> RingSystemCounts:
    """The counts of the shipped corpora, read once a process.

    Raises:
        DataError: the table is missing or damaged.
    """
    return read_counts(Path(str(files("moldesign.corpora"))) / "ring_systems.tsv.xz")


def read_counts(path: Path) -> RingSystemCounts:
    """The counts that `write_counts` wrote.

    Raises:
        DataError: the file is missing, damaged or no such table.
    """
    try:
        lines = lzma.decompress(path.read_bytes()).decode("ascii").splitlines()
        if lines[:1] != [_HEADER]:
            raise ValueError("another header")
        counts = {system: int(count) for system, count in (line.split("\t") for line in lines[1:])}
        return RingSystemCounts(counts.pop(_ANY), counts)
    except (OSError, lzma.LZMAError, EOFError, ValueError, KeyError) as error:
        raise DataError(f"{path}: not a readable table of ring systems ({error})") from error


def write_counts(path: Path, counted: RingSystemCounts) -> None:
    """Write a table of two columns, the commonest ring system first; the same bytes for the same counts."""
    rows = sorted(counted.counts.items(), key=lambda row: (-row[1], row[0]))
    lines = [_HEADER, *(f"{system}\t{count}" for system, count in [(_ANY, counted.molecules), *rows])]
    text = "".join(line + "\n" for line in lines)
    with atomic_write(path) as temporary:
        temporary.write_bytes(lzma.compress(text.encode("ascii"), preset=9 | lzma.PRESET_EXTREME))


def different_ring_systems(smiles: str) -> Answer:
    """(The molecule's ring systems, each once, with dots between them, None), or (None, why there are none).

    Runs in a worker.
    """
    try:
        return ".".join(dict.fromkeys(ring_systems(read(smiles)))), None
    except InvalidMolecule as error:
        return None, str(error)


def count(corpora: Sequence[str | Path], *, workers: int | None = None) -> RingSystemCounts:
    """How many molecules of the corpora hold each ring system.

    A molecule of two corpora counts in both. One that cannot be read counts in neither number.

    Args:
        corpora: names or files.
        workers: processes; None takes the processors this process may use.
    """
    counts: Counter[str] = Counter()
    molecules = 0
    with Workers(different_ring_systems, count=workers or usable_processors()) as pool:
        for answers in pool.map(_batches(smiles for corpus in corpora for smiles in load(corpus))):
            for systems, _ in answers:
                if systems is not None:
                    molecules += 1
                    counts.update(systems.split(".") if systems else [])
    return RingSystemCounts(molecules, dict(counts))


def _batches(smiles: Iterable[str]) -> Iterator[list[str]]:
    source = iter(smiles)
    while batch := list(islice(source, BATCH_SIZE)):
        yield batch


def make_table(out: Path, corpora: Sequence[str | Path] = CORPORA) -> RingSystemCounts:
    """Count the ring systems of the corpora and write the table; the counts."""
    counted = count(corpora)
    write_counts(out, counted)
    return counted
