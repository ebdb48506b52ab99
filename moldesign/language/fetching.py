"""Corpora that are not shipped: fetched once, checked, and kept in the cache folder."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from moldesign.assets import CORPUS_SUFFIX, home
from moldesign.errors import DataError, ResourceError, UsageError, nearest
from moldesign.files import atomic_write, make_folder, open_to_all, sha256
from moldesign.language.corpus import load, write


@dataclass(frozen=True)
class Source:
    """A file of a Python package index and the tables of SMILES inside it."""

    requirement: str
    filename: str
    sha256: str
    members: dict[str, str]  # corpus name -> path inside the package
    column: str
    licence: str


SOURCES = {
    "moses": Source(
        requirement="molsets==0.3.1",
        filename="molsets-0.3.1-py3-none-any.whl",
        sha256="7f4450e3ebecebe79c3a2a55950c93daddee071120daf64a163d03481e811d34",
        members={
            "moses_train": "moses/dataset/data/train.csv.gz",
            "moses_test": "moses/dataset/data/test.csv.gz",
            "moses_test_scaffolds": "moses/dataset/data/test_scaffolds.csv.gz",
        },
        column="SMILES",
        licence="MIT (package molsets); the molecules are from ZINC, free to use",
    )
}


def fetch(name: str, *, force: bool = False, say: Callable[[str], None] | None = None) -> list[Path]:
    """The files of a fetched corpus, downloaded if any is missing (or if `force`).

    pip downloads the package without its dependencies and without running any of it; its SHA-256 is
    checked before it is opened; only the named tables are read out of it. Molecules are as the source
    has them. Each file takes its name when it is complete.

    Raises:
        UsageError: nothing of that name can be fetched.
        ResourceError: the download failed, or there is no folder of the user's own to keep it in.
        DataError: what came is not what is expected.
    """
    source = SOURCES.get(name)
    if source is None:
        hint = nearest(name, SOURCES) or f" (there is: {', '.join(SOURCES)})"
        raise UsageError(f"no corpus '{name}' to fetch{hint}")
    folder = home() / "corpora"
    targets = {member: folder / f"{corpus}{CORPUS_SUFFIX}" for corpus, member in source.members.items()}
    if not force and all(target.is_file() for target in targets.values()):
        return list(targets.values())
    if open_to_all(home(), folder):
        raise ResourceError(f"{folder}: every user may write there: chmod -R o-w {home()}")
    say = say or _silent
    try:
        make_folder(folder)
        with tempfile.TemporaryDirectory() as temporary:
            say(f"downloading {source.requirement} with pip")
            package = download(source, Path(temporary))
            unpack(source, package, targets, Path(temporary), say)
    except OSError as error:
        raise ResourceError(f"{folder}: cannot fetch {name} ({error.strerror or error})") from error
    return list(targets.values())


def _silent(_: str) -> None:
    """Says nothing."""


def download(source: Source, folder: Path) -> Path:
    """The package file, downloaded into the folder by pip and checked."""
    command = [
        sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet",
        "--disable-pip-version-check", "--no-input", "--dest", str(folder), source.requirement,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    package = folder / source.filename
    if done.returncode or not package.is_file():
        last = ([line for line in done.stderr.splitlines() if line.strip()] or ["no message"])[-1]
        raise ResourceError(f"pip could not download {source.requirement}: {last.strip()}")
    found = sha256(package)
    if found != source.sha256:
        raise DataError(f"{source.filename}: its sha256 is {found}, not {source.sha256}; not used")
    return package


def unpack(
    source: Source, package: Path, targets: dict[str, Path], scratch: Path, say: Callable[[str], None]
) -> None:
    """Write each table's SMILES to its target. The scratch folder alone holds what is unpacked."""
    try:
        with zipfile.ZipFile(package) as archive:
            for number, (member, target) in enumerate(targets.items()):
                # Read by name to a name of our own: no path of the archive is ever written to.
                table = scratch / f"table{number}.csv.gz"
                table.write_bytes(archive.read(member))
                smiles = load(table, source.column)
                write(target, smiles)
                table.unlink()
                say(f"{target}: {len(smiles):,} molecules")
    except (zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"{source.filename}: not the package expected ({error})") from error
    for corpus, member in source.members.items():
        with atomic_write(targets[member].with_name(f"{corpus}.md")) as temporary:
            temporary.write_text(
                f"# {corpus}\n\nFrom the package `{source.requirement}`, `{member}`, as it stands there."
                f"\nLicence: {source.licence}.\n",
                encoding="utf-8",
            )
