"""Corpora: files of molecules made into clean, unique SMILES, and read back."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import zstandard

from moldesign.assets import corpus_path
from moldesign.chem.molecules import MAX_CHARACTERS, InvalidMolecule, Standard, read, standardise
from moldesign.errors import DataError, UsageError
from moldesign.files import atomic_write, sha256, write_error
from moldesign.language.reading import Entry, MoleculeFile, file_format
from moldesign.language.workers import Answer, Workers
from moldesign.limits import usable_processors
from moldesign.text import visible

#: Rows that go to a worker together: about a tenth of a second of work.
BATCH_SIZE = 256

#: Called now and then with the share of the input read (0 to 1), rows seen and molecules kept.
Progress = Callable[[float, int, int], None]


@dataclass
class Preparation:
    """What became of every line of the input.

    `lines == headers + continued + rows` and `rows == kept + duplicates + sum(rejected.values())`.
    """

    output: Path
    sources: list[Path]
    lines: int = 0
    headers: int = 0
    continued: int = 0
    kept: int = 0
    duplicates: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    sha256: str = ""

    @property
    def rows(self) -> int:
        """Lines that should hold a molecule."""
        return self.kept + self.duplicates + self.rejected.total()

    def as_dict(self) -> dict[str, Any]:
        """The numbers as plain JSON values, the commonest reason first."""
        return {
            "output": str(self.output),
            "sources": [str(source) for source in self.sources],
            "lines": self.lines,
            "headers": self.headers,
            "continued": self.continued,
            "kept": self.kept,
            "duplicates": self.duplicates,
            "rejected": dict(sorted(self.rejected.items(), key=lambda item: (-item[1], item[0]))),
            "sha256": self.sha256,
        }


class SeenHashes:
    """The molecules met so far, as 64-bit hashes: 8 bytes a molecule, up to twice that while merging.

    Two different molecules share a hash with probability n^2 / 2^65 for n molecules: 3e-8 for a million,
    3e-4 for a hundred million; the second would be taken for a duplicate.
    """

    def __init__(self) -> None:
        # Sorted arrays, each more than twice as long as the next: few to search, cheap to merge.
        self._levels: list[np.ndarray] = []

    def add(self, smiles: Sequence[str]) -> list[bool]:
        """For each SMILES in turn, whether it is new; each is met from now on."""
        if not smiles:
            return []
        digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in smiles)
        hashes = np.frombuffer(digests, dtype="<u8")
        unique, first = np.unique(hashes, return_index=True)
        unseen = np.ones(len(unique), dtype=bool)
        for level in self._levels:
            places = np.minimum(np.searchsorted(level, unique), len(level) - 1)
            unseen &= level[places] != unique
        new = np.zeros(len(hashes), dtype=bool)
        new[first[unseen]] = True
        merged = unique[unseen]
        while self._levels and len(self._levels[-1]) <= 2 * len(merged):
            merged = np.sort(np.concatenate([self._levels.pop(), merged]), kind="stable")
        if len(merged):
            self._levels.append(merged)
        return [bool(flag) for flag in new]


def clean(text: str, standard: Standard) -> Answer:
    """(standard SMILES, None), or (None, why there is none). Runs in a worker."""
    try:
        return standardise(read(text), standard), None
    except InvalidMolecule as error:
        return None, str(error)


def prepare(
    sources: Sequence[Path],
    output: Path,
    *,
    standard: Standard | None = None,
    column: str | None = None,
    rejects: Path | None = None,
    workers: int | None = None,
    seconds: float = 10.0,
    progress: Progress | None = None,
) -> Preparation:
    """Clean molecules of several files into one corpus, and the account of every line.

    Molecules keep the order of the input; of equal ones the first is kept. The output is the same, byte
    for byte, for any number of workers, and takes its name only when it is complete. Memory holds a few
    thousand rows and `SeenHashes`, so that files larger than memory can be prepared.

    Args:
        sources: files of any kind that `MoleculeFile` reads.
        output: .smi or .csv (one column, `smiles`), plain or .gz, .xz, .zst.
        standard: what a molecule may look like and how it is written.
        column: the SMILES column of tables.
        rejects: a table (tab-separated: file, line, text, reason) of every row that was not kept.
        workers: processes; None takes the processors this process may use.
        seconds: processor time after which a molecule is given up.
        progress: called after each batch.

    Raises:
        DataError: a source is missing, empty or damaged, or no molecule survives.
        UsageError: a kind of file that is not known, or an output that is also a source.
    """
    output = Path(output)
    sources = [Path(source) for source in sources]
    files = [MoleculeFile(source, column) for source in sources]
    if not files:
        raise UsageError("no file to prepare")
    for written in (output, rejects):
        if written is not None:
            _check_writable(written, sources)
    if rejects is not None and Path(rejects).resolve() == output.resolve():
        raise UsageError(f"{rejects}: is also the output; name another file with --rejects")
    if file_format(output)[0] == "parquet":
        raise UsageError(f"{output}: a corpus is written as .smi or .csv, plain, .gz, .xz or .zst")
    report = Preparation(output, list(sources))
    seen = SeenHashes()
    count = workers or usable_processors()
    work = partial(clean, standard=standard or Standard())
    with ExitStack() as stack:
        corpus = stack.enter_context(open_corpus(output))
        refused = stack.enter_context(_open_rejects(rejects)) if rejects else None
        pool = stack.enter_context(Workers(work, count=count, seconds=seconds))
        total_size = sum(file.size for file in files)
        for batch, answers in _answers(pool, files):
            results = [smiles for smiles, _ in answers if smiles is not None]
            is_new = iter(seen.add(results))
            for (file, entry), (smiles, reason) in zip(batch, answers, strict=True):
                if smiles is not None and next(is_new):
                    report.kept += 1
                    corpus.write(smiles + "\n")
                    continue
                if smiles is not None:
                    report.duplicates += 1
                    reason = "duplicate"
                else:
                    reason = reason or "no reason given"
                    report.rejected[reason.split(": ")[0]] += 1
                if refused:
                    row = (_cell(file.path.name), str(entry.line), _cell(entry.text), _cell(reason))
                    refused.write("\t".join(row) + "\n")
            if progress:
                share = sum(file.share_read * file.size for file in files) / total_size
                progress(share, report.rows, report.kept)
        for file in files:
            report.lines += file.lines
            report.headers += file.headers
            report.continued += file.continued
        if report.kept == 0:
            raise DataError(_nothing_left(report))
    report.sha256 = sha256(output)
    return report


def _check_writable(path: Path, sources: Sequence[Path]) -> None:
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no directory {path.parent}")
    if path.is_dir():
        raise UsageError(f"{path}: is a directory; name a file")
    if any(path.resolve() == source.resolve() for source in sources):
        raise UsageError(f"{path}: is also an input; write to another file")


def _nothing_left(report: Preparation) -> str:
    names = ", ".join(str(source) for source in report.sources)
    if not report.rejected:
        return f"{names}: no line with a molecule"
    reason, count = report.rejected.most_common(1)[0]
    return f"{names}: none of {report.rows} rows is an allowed molecule (most often, {count} times: {reason})"


def _answers(
    pool: Workers, files: Sequence[MoleculeFile]
) -> Iterator[tuple[list[tuple[MoleculeFile, Entry]], list[Answer]]]:
    """Batches of entries with their answers, in order. What cannot be a molecule never reaches a worker."""
    waiting: deque[tuple[list[tuple[MoleculeFile, Entry]], list[str | None]]] = deque()

    def batches() -> Iterator[list[str]]:
        batch: list[tuple[MoleculeFile, Entry]] = []
        for file in files:
            for entry in file:
                batch.append((file, entry))
                if len(batch) == BATCH_SIZE:
                    yield send(batch)
                    batch = []
        if batch:
            yield send(batch)

    def send(batch: list[tuple[MoleculeFile, Entry]]) -> list[str]:
        problems = [_problem(entry) for _, entry in batch]
        waiting.append((batch, problems))
        return [entry.text for (_, entry), problem in zip(batch, problems, strict=True) if problem is None]

    for answers in pool.map(batches()):
        batch, problems = waiting.popleft()
        rest = iter(answers)
        yield batch, [next(rest) if problem is None else (None, problem) for problem in problems]


def _problem(entry: Entry) -> str | None:
    if entry.problem is None and len(entry.text) > MAX_CHARACTERS:
        return f"longer than {MAX_CHARACTERS} characters"
    return entry.problem


def _cell(text: str) -> str:
    """A cell of the rejects file: 200 characters, controls escaped, nothing a spreadsheet would run."""
    shown = visible(text[:200]).encode("ascii", "backslashreplace").decode("ascii")
    # A quotation mark would be taken off, and with it the apostrophe's protection of what stands behind.
    return "'" + shown if shown[:1] in {"=", "+", "-", "@", '"'} else shown


@contextmanager
def _open_rejects(path: Path) -> Iterator[TextIO]:
    with (
        _disk_errors(path),
        atomic_write(path) as temporary,
        temporary.open("w", encoding="ascii", newline="\n") as handle,
    ):
        handle.write("file\tline\ttext\treason\n")
        yield handle


@contextmanager
def open_corpus(path: Path) -> Iterator[TextIO]:
    """A handle that takes one SMILES a line; the file takes its name when the block ends well.

    The bytes depend on the lines and the suffix alone: no time, no name, one thread.
    """
    kind, compression = file_format(path)
    with _disk_errors(path), atomic_write(path) as temporary, ExitStack() as stack:
        raw = stack.enter_context(temporary.open("wb"))
        stream: Any = raw
        if compression == ".gz":
            stream = stack.enter_context(gzip.GzipFile("", "wb", 9, raw, mtime=0))
        elif compression == ".xz":
            stream = stack.enter_context(lzma.LZMAFile(raw, "wb"))
        elif compression == ".zst":
            stream = stack.enter_context(zstandard.ZstdCompressor(level=10).stream_writer(raw, closefd=False))
        text = stack.enter_context(io.TextIOWrapper(stream, encoding="ascii", newline="\n"))
        if kind == "csv":
            text.write("smiles\n")
        yield text


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise write_error(path, error) from error


def write(path: Path, smiles: Iterable[str]) -> None:
    """Write SMILES to a corpus file as they are, atomically."""
    with open_corpus(Path(path)) as handle:
        handle.writelines(text + "\n" for text in smiles)


def load(name_or_path: str | Path, column: str | None = None) -> list[str]:
    """The SMILES of a corpus, in order and as they stand: for a file that `prepare` wrote, or a table.

    Args:
        name_or_path: a shipped or fetched corpus ("zinc250k"), or a file.
        column: the SMILES column of a table.

    Raises:
        UsageError: no such corpus.
        DataError: the file is missing, empty or damaged, or a line of it cannot hold a SMILES.
    """
    path = corpus_path(name_or_path)
    smiles = []
    for entry in MoleculeFile(path, column):
        if problem := _problem(entry):
            raise DataError(
                f"{path}, line {entry.line}: {problem}; clean the file with: moldesign corpora prepare"
            )
        smiles.append(entry.text)
    if not smiles:
        raise DataError(f"{path}: no line with a molecule")
    return smiles
