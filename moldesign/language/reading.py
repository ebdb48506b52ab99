"""SMILES out of files: .smi, .csv, .tsv and .parquet, plain or compressed, one entry at a time."""

from __future__ import annotations

import csv
import gzip
import importlib
import io
import lzma
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from moldesign.chem.molecules import parse
from moldesign.errors import DataError, ResourceError, UsageError, nearest

#: Names of a SMILES column, the most usual first.
SMILES_COLUMNS = (
    "smiles", "canonical_smiles", "isomeric_smiles", "smi", "smile", "structure", "molecule",
    "mol", "compound", "ligand", "rdkit_smiles", "standard_smiles", "input_smiles",
)  # fmt: skip

COMPRESSIONS = (".gz", ".xz", ".zst")
FORMATS = {".smi": "smi", ".smiles": "smi", ".ism": "smi", ".txt": "smi", ".csv": "csv", ".tsv": "csv",
           ".tab": "csv", ".parquet": "parquet"}  # fmt: skip

#: A longer line is no table row but a file of another kind; it is rejected without being held in memory.
MAX_LINE_CHARACTERS = 1 << 20
#: How many lines a quoted field may run over before its opening quote counts as a stray one.
MAX_LINES_OF_A_ROW = 50
#: Of the columns so many are looked at for molecules, compared with a name that is not there, and shown.
MAX_COLUMNS_SEARCHED = 1000
MAX_COLUMNS_SHOWN = 20
#: Text that unpacks to more than so many characters, and to so many for each byte of the file, is no table
#: of molecules, which pack to a tenth or so, but was made to fill the reader's memory or hours.
MAX_UNPACKED_CHARACTERS = 1 << 23
MAX_UNPACKED_RATIO = 100
#: A line counts as so many characters more, as it does in memory.
LINE_WEIGHT = 32
#: Bytes that are unpacked at a time: with zstandard a byte may hold 32 kB.
_ZSTD_CHUNK = 1024
#: How much of an overlong text an entry keeps: more than any SMILES may have, little to hold.
KEPT_CHARACTERS = 2000

BLANK_LINE = "blank line"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a file: its first line (from 1), its SMILES, or why it has none."""

    line: int
    text: str
    problem: str | None = None


def file_format(path: Path) -> tuple[str, str]:
    """The format ("smi", "csv" or "parquet") and the compression suffix ("" for none) of a file name.

    Raises:
        UsageError: a suffix that is not read.
    """
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    compression = suffixes.pop() if suffixes and suffixes[-1] in COMPRESSIONS else ""
    kind = FORMATS.get(suffixes[-1]) if suffixes else None
    if kind is None or (kind == "parquet" and compression):
        raise UsageError(
            f"{path}: unknown kind of file; use .smi, .csv or .tsv (plain, .gz, .xz or .zst) or .parquet"
        )
    return kind, compression


class MoleculeFile:
    """The entries of one file, in order; iterate over it once.

    Nothing but the row at hand is held in memory. While and after it is read, `lines` counts the lines
    seen (the rows of a parquet file), `headers` those that are column names, `continued` those that
    belong to the row of an earlier line; every other line gives one entry. `share_read` is the share of
    the file's bytes read, for a progress bar.

    A header is a first line whose SMILES column holds a name of `SMILES_COLUMNS` (or the name asked for)
    and no molecule. Text after the first blank of a SMILES (a name, a CXSMILES part) is left out.

    Args:
        path: the file; its suffix tells the format.
        column: the name of the SMILES column, or its number from 1; None finds it.
    """

    def __init__(self, path: Path, column: str | None = None) -> None:
        self.path = Path(path)
        self.kind, self.compression = file_format(self.path)
        if self.kind == "smi" and column is not None:
            raise UsageError(f"{self.path}: a .smi file has no columns to choose from; leave out --column")
        if not self.path.is_file():
            raise DataError(f"{self.path}: {_what_it_is(self.path)}")
        self.size = self.path.stat().st_size
        if self.size == 0:
            raise DataError(f"{self.path}: the file is empty")
        self.column = column
        self.lines = 0
        self.headers = 0
        self.continued = 0
        self._bytes_read = 0
        self._characters = 0

    @property
    def share_read(self) -> float:
        """The share of the file's bytes that has been read, 0 to 1."""
        return min(1.0, self._bytes_read / self.size)

    def __iter__(self) -> Iterator[Entry]:
        """The entries in order.

        Raises:
            DataError: the file cannot be read, is damaged, or has no such column.
            ResourceError: it needs more memory to be unpacked than there is.
        """
        if self.kind == "parquet":
            yield from self._parquet()
            return
        try:
            with self.path.open("rb") as raw:
                text = _text(raw, self.compression, self.path)
                lines = self._lines(text, raw)
                yield from self._table(lines) if self.kind == "csv" else self._smi(lines)
        except (EOFError, lzma.LZMAError, zstandard.ZstdError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{self.path}: damaged or cut short after line {self.lines} ({error})") from error
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({error.strerror or error})") from error
        except MemoryError as error:
            raise ResourceError(f"{self.path}: unpacking it needs more memory than there is") from error

    def _lines(self, text: io.TextIOWrapper, raw: BinaryIO) -> Iterator[tuple[int, str]]:
        """Numbered lines without their ends; an overlong one is cut, which makes it no molecule."""
        while line := text.readline(MAX_LINE_CHARACTERS):
            rest = line
            while len(rest) == MAX_LINE_CHARACTERS and not rest.endswith("\n"):
                rest = text.readline(MAX_LINE_CHARACTERS)
                self._count(len(rest), raw)
            self.lines += 1
            self._characters += len(line) + LINE_WEIGHT
            if self.lines % 1000 == 0:
                self._count(0, raw)
            yield self.lines, line.rstrip("\n")
        self._bytes_read = self.size

    def _count(self, characters: int, raw: BinaryIO) -> None:
        """Note how far reading has come. Raises DataError: too much comes out of too little."""
        self._characters += characters
        self._bytes_read = raw.tell()
        self._check_unpacked(self._bytes_read)

    def _check_unpacked(self, packed: int) -> None:
        if self._characters > max(MAX_UNPACKED_CHARACTERS, MAX_UNPACKED_RATIO * packed):
            raise DataError(
                f"{self.path}: unpacks to more than {MAX_UNPACKED_RATIO} times its size, as no molecules do;"
                " if it is right, unpack it first"
            )

    def _smi(self, lines: Iterator[tuple[int, str]]) -> Iterator[Entry]:
        for number, line in lines:
            if number == 1 and (words := line.split()) and _is_header_name(words[0]):
                self.headers += 1
                continue
            yield _entry(number, line)

    def _table(self, lines: Iterator[tuple[int, str]]) -> Iterator[Entry]:
        rows = _Rows(lines, "\t" if {".tsv", ".tab"} & {s.lower() for s in self.path.suffixes} else "")
        for row in rows:
            self.continued = rows.continued
            if row.problem == BLANK_LINE:
                yield Entry(row.line, "", BLANK_LINE)
            elif rows.width is None:
                if row.problem:
                    raise DataError(f"{self.path}, line {row.line}: {row.problem} in the first row")
                names = [name.strip() for name in row.fields]
                rows.column, is_header = self._find_column(names)
                rows.width = len(names)
                if is_header:
                    self.headers += 1
                else:
                    yield _entry(row.line, row.fields[rows.column])
            elif row.problem:
                yield Entry(row.line, row.text[:KEPT_CHARACTERS], row.problem)
            else:
                yield _entry(row.line, row.fields[rows.column])

    def _find_column(self, names: list[str]) -> tuple[int, bool]:
        """The index of the SMILES column, and whether `names` is a header."""
        folded = [name.casefold() for name in names]
        known = next((name for name in SMILES_COLUMNS if name in folded), None)
        if self.column is not None:
            if self.column in names:
                return names.index(self.column), True
            if self.column.casefold() in folded:
                return folded.index(self.column.casefold()), True
            if self.column.isdigit() and 1 <= int(self.column) <= len(names):
                index = int(self.column) - 1
                # A header above a numbered column may have any name: it is a line of words, no molecule.
                return index, parse(names[index]) is None and (known is not None or _all_words(names))
            hint = nearest(self.column, names[:MAX_COLUMNS_SEARCHED])
            raise DataError(f"{self.path}: no column '{self.column}'{hint} ({_shown(names)})")
        if known is not None and parse(names[folded.index(known)]) is None:
            return folded.index(known), True
        for i, name in enumerate(names[:MAX_COLUMNS_SEARCHED]):
            if parse(name) is not None:
                return i, False
        if len(names) == 1:
            return 0, False
        raise DataError(
            f"{self.path}: no column of SMILES found ({_shown(names)});"
            " name it with --column NAME or --column NUMBER"
        )

    def _parquet(self) -> Iterator[Entry]:
        try:
            parquet: Any = importlib.import_module("pyarrow.parquet")
            arrow: Any = importlib.import_module("pyarrow")
        except ImportError as error:
            raise UsageError(
                f"{self.path}: reading parquet needs pyarrow; install it with:"
                " pip install 'moldesign-rl[parquet]'"
            ) from error
        try:
            with parquet.ParquetFile(self.path) as table:
                names = [str(name) for name in table.schema_arrow.names]
                index = self._parquet_column(names)
                kind = table.schema_arrow.field(index).type
                kind = kind.value_type if arrow.types.is_dictionary(kind) else kind
                if not (arrow.types.is_string(kind) or arrow.types.is_large_string(kind)):
                    raise DataError(f"{self.path}: column '{names[index]}' holds {kind}, not text")
                total = max(1, int(table.metadata.num_rows))
                for batch in table.iter_batches(batch_size=10_000, columns=[names[index]]):
                    for text in _texts(batch.column(0)):
                        self.lines += 1
                        self._characters += len(text or "") + LINE_WEIGHT
                        missing = "missing value" if text is None else None
                        yield Entry(self.lines, "", missing) if missing else _entry(self.lines, str(text))
                        self._check_unpacked(self.size)
                    self._bytes_read = int(self.size * self.lines / total)
        except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(f"{self.path}: not a readable parquet file ({_one_line(error)})") from error

    def _parquet_column(self, names: list[str]) -> int:
        folded = [name.casefold() for name in names]
        if self.column is None:
            for name in SMILES_COLUMNS:
                if name in folded:
                    return folded.index(name)
            raise DataError(
                f"{self.path}: no column of SMILES found ({_shown(names)}); name it with --column NAME"
            )
        return self._find_column(names)[0]


def _texts(column: Any) -> list[str | None]:
    """The texts of a column of a parquet file; bytes that are not UTF-8 become lone surrogates."""
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:  # one of them
        column = column.dictionary_decode() if hasattr(column, "dictionary_decode") else column
        return [
            None if not value.is_valid else value.as_buffer().to_pybytes().decode("utf-8", "surrogateescape")
            for value in column
        ]


def _what_it_is(path: Path) -> str:
    if path.is_dir():
        return "is a directory"
    return "is a pipe or a device; write what it gives to a file first" if path.exists() else "does not exist"


def _shown(names: list[str]) -> str:
    """The first columns, for a message: a file of another kind may have a megabyte of anything there."""
    first = [name if name.isprintable() else ascii(name) for name in names[:MAX_COLUMNS_SHOWN]]
    return "columns: " + ", ".join(name if len(name) <= 40 else f"{name[:37]}..." for name in first)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _is_header_name(text: str) -> bool:
    return text.strip().casefold() in SMILES_COLUMNS and parse(text.strip()) is None


def _all_words(names: list[str]) -> bool:
    """Whether no field is a number: a line of names rather than of values."""
    return not any(name.replace(".", "", 1).lstrip("+-").isdigit() for name in names)


def _entry(line: int, text: str) -> Entry:
    """The entry of one SMILES field: name and CXSMILES part left out, what is no text refused."""
    stripped = text.strip(" \t")
    if not stripped:
        return Entry(line, "", BLANK_LINE)
    if stripped.casefold() in {"na", "n/a", "nan", "none", "null", "<na>", "#n/a"}:
        return Entry(line, stripped, "missing value")
    if "\0" in stripped:
        return Entry(line, stripped[:KEPT_CHARACTERS], "NUL byte")
    # A blank ends the SMILES; a line break, as a quoted field may hold, does not: it is an error.
    smiles = stripped.replace("\t", " ").split(" ", 1)[0]
    if not smiles.isascii() and any("\udc80" <= character <= "\udcff" for character in smiles):
        return Entry(line, smiles[:KEPT_CHARACTERS], "bytes that are not UTF-8 text")
    return Entry(line, smiles[:KEPT_CHARACTERS])


def _text(raw: BinaryIO, compression: str, path: Path) -> io.TextIOWrapper:
    """The decompressed text. Bytes that are not UTF-8 become lone surrogates, for `_entry` to refuse."""
    if compression == ".gz":
        stream: Any = gzip.GzipFile(fileobj=raw, mode="rb")
    elif compression == ".xz":
        stream = lzma.LZMAFile(raw, mode="rb")  # noqa: SIM115 - closed with the wrapper
    elif compression == ".zst":
        stream = io.BufferedReader(_Zstandard(raw), 1 << 16)
    else:
        stream = raw
    if stream.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path}: the text is UTF-16; save it as UTF-8")
    # Universal newlines: LF, CR LF and a lone CR all end a line. utf-8-sig drops a byte order mark.
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline=None)


class _Zstandard(io.RawIOBase):
    """What the frames of a stream hold, one after the other.

    zstandard's own reader takes a frame that is cut short for the end of the file.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._frame: Any = None
        self._packed = b""
        self._text = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """The number of bytes put into the buffer; 0 at the end. Raises EOFError: a frame is cut short."""
        while not self._text:
            packed = self._packed or self._raw.read(_ZSTD_CHUNK)
            if not packed:
                if self._frame is not None:
                    raise EOFError("the file ends within a frame")
                return 0
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._text = memoryview(self._frame.decompress(packed))
            self._packed = b""
            if self._frame.eof:
                self._packed, self._frame = self._frame.unused_data, None
        size = min(len(buffer), len(self._text))
        buffer[:size] = self._text[:size]
        self._text = self._text[size:]
        return size


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    text: str
    fields: list[str]
    problem: str | None = None


class _Rows:
    """The rows of a delimited table.

    csv.reader alone swallows every row between a stray quote and the next one. Here a line is split on
    its own; one that ends inside a quoted field is joined with the lines after it only if the result is
    a row of the right width whose SMILES has no line break. Otherwise that line alone is the problem.
    """

    def __init__(self, lines: Iterator[tuple[int, str]], delimiter: str) -> None:
        self._lines = lines
        self._pending: deque[tuple[int, str]] = deque()
        # Empty: the one of comma, semicolon and tab that the first line has most of.
        self._delimiter = delimiter
        self.width: int | None = None
        self.column = 0
        self.continued = 0

    def __iter__(self) -> Iterator[_Row]:
        while (line := self._next()) is not None:
            number, text = line
            if not text.strip():
                yield _Row(number, text, [], BLANK_LINE)
                continue
            if not self._delimiter:
                self._delimiter = max(",;\t", key=text.count)
            yield self._row(number, text)

    def _next(self) -> tuple[int, str] | None:
        return self._pending.popleft() if self._pending else next(self._lines, None)

    def _row(self, number: int, text: str) -> _Row:
        try:
            fields = self._split(text)
        except csv.Error as error:
            joined = self._join(text) if "unexpected end" in str(error) else None
            if joined is None:
                return _Row(number, text, [text], f"stray quote: {error}")
            return _Row(number, text, joined)
        problem = self._misfit(fields)
        return _Row(number, text, fields, problem)

    def _split(self, text: str) -> list[str]:
        if '"' not in text:
            return text.split(self._delimiter)
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter, strict=True))
        if len(rows) != 1:
            raise csv.Error("several rows on one line")
        return rows[0]

    def _misfit(self, fields: list[str]) -> str | None:
        if self.width is None or len(fields) == self.width:
            return None
        if len(fields) > self.width and not any(field.strip() for field in fields[self.width :]):
            return None
        return f"ragged row: {len(fields)} fields where the first row has {self.width}"

    def _join(self, text: str) -> list[str] | None:
        """The fields of a row that runs over several lines; None, and no line taken, if there is none."""
        taken: list[tuple[int, str]] = []
        characters = len(text)
        while len(taken) < MAX_LINES_OF_A_ROW and characters < MAX_LINE_CHARACTERS:
            line = self._next()
            if line is None:
                break
            taken.append(line)
            text += "\n" + line[1]
            characters += len(line[1]) + 1
            if '"' not in line[1]:
                continue
            try:
                fields = self._split(text)
            except csv.Error as error:
                if "unexpected end" in str(error):
                    continue
                break
            fits = self._misfit(fields) is None
            if fits and (self.width is None or "\n" not in fields[self.column]):
                self.continued += len(taken)
                return fields
            break
        self._pending.extendleft(reversed(taken))
        return None
