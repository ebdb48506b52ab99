"""Finds corpora and priors: those shipped with the program, those in the cache folder, and files."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from moldesign.errors import UsageError, nearest
from moldesign.files import open_to_all

#: What the name of a corpus file ends with; the rest is the name of the corpus.
CORPUS_SUFFIX = ".smi.xz"
PRIOR_SUFFIX = ".safetensors"


def home() -> Path:
    """The cache folder: the environment's MOLDESIGN_HOME, or ~/.cache/moldesign. It need not exist.

    Nothing in it is used while every user of the machine may write to it.
    """
    chosen = os.environ.get("MOLDESIGN_HOME", "").strip()
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "moldesign"


def corpora() -> dict[str, Path]:
    """Name and file of every corpus at hand; a shipped one goes before a fetched one of that name."""
    return _assets("moldesign.corpora", "corpora", CORPUS_SUFFIX)


def priors() -> dict[str, Path]:
    """Name and file of every prior at hand; a shipped one goes before one in the cache folder."""
    return _assets("moldesign.priors", "priors", PRIOR_SUFFIX)


def shipped(path: Path) -> bool:
    """Whether a file came with the program."""
    return any(Path(path).parent == _package(name) for name in ("moldesign.corpora", "moldesign.priors"))


def corpus_path(name_or_path: str | Path) -> Path:
    """The file of a corpus, given by name or by path.

    A path is whatever holds a directory separator or a suffix, or names a file that is there.

    Raises:
        UsageError: no corpus has that name.
    """
    return _find(name_or_path, "corpus", corpora())


def prior_path(name_or_path: str | Path) -> Path:
    """The file of a prior, given by name or by path.

    Raises:
        UsageError: no prior has that name.
    """
    return _find(name_or_path, "prior", priors())


def corpus_card(name: str) -> str:
    """The Markdown card of a corpus at hand, by name; empty where there is none."""
    return _card(name, corpora(), CORPUS_SUFFIX)


def prior_card(name: str) -> str:
    """The Markdown card of a prior at hand, by name; empty where there is none."""
    return _card(name, priors(), PRIOR_SUFFIX)


def _card(name: str, known: dict[str, Path], suffix: str) -> str:
    if name not in known:
        return ""
    path = known[name].with_name(known[name].name.removesuffix(suffix) + ".md")
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _package(name: str) -> Path:
    return Path(str(files(name)))


def _assets(package: str, folder: str, suffix: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    kept = home() / folder
    # Where anybody may put a file, a name means whatever somebody wants it to.
    for directory in (_package(package),) if open_to_all(home(), kept) else (kept, _package(package)):
        if directory.is_dir():
            for path in directory.iterdir():
                # A dot marks a file that is still being written.
                if path.name.endswith(suffix) and not path.name.startswith("."):
                    found[path.name.removesuffix(suffix)] = path
    return dict(sorted(found.items()))


def _find(name_or_path: str | Path, kind: str, known: dict[str, Path]) -> Path:
    text = str(name_or_path)
    if text in known and not isinstance(name_or_path, Path):
        return known[text]
    path = Path(text)
    if path.exists() or path.suffix or len(path.parts) > 1:
        return path
    plural = {"corpus": "corpora", "prior": "priors"}[kind]
    fetch = "; fetch it with: moldesign corpora fetch moses" if text.startswith("moses") else ""
    closed = f"; no name is looked for in {home()}, where every user may write: chmod -R o-w {home()}"
    hint = closed if open_to_all(home(), home() / plural) else fetch
    hint = hint or nearest(text, known) or f" ({plural}: {', '.join(known) or 'none'})"
    raise UsageError(f"no {kind} named '{text}'{hint}")
