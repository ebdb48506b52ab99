"""Files that the user allows to run: a configuration alone can never run code."""

from __future__ import annotations

import hashlib
import shlex
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from moldesign.errors import UsageError

_trusted: dict[Path, str] = {}
_addresses: set[str] = set()

#: This machine.
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})

#: Programs that run whatever they are given: to trust them is to trust nothing of that.
_INTERPRETERS = frozenset("python pypy sh bash dash zsh ksh fish perl ruby node Rscript php lua".split())

#: What may stand before the file that an interpreter runs.
_HARMLESS = frozenset({"-u", "-B", "-I", "-P", "-s", "-S", "-E", "-O"})


def trust(paths: Iterable[str | Path]) -> None:
    """Allow this process, and the workers that it starts, to run these files and to speak to these addresses.

    A name without a slash that is no file here is looked for on PATH, as a shell would. An address is
    `https://host` or `http://host:8000`.

    Raises:
        UsageError: no such file.
    """
    for given in paths:
        if "://" in str(given):
            _addresses.add(_origin(str(given)))
            continue
        path = _resolved(given)
        if path is None:
            raise UsageError(f"--trust-plugin {given}: no such file")
        _trusted[path] = hashlib.sha256(path.read_bytes()).hexdigest()


def trusted() -> dict[str, str]:
    """The SHA-256 of every file that may run, by its path, and nothing by every address that may be asked."""
    return {str(path): digest for path, digest in _trusted.items()} | dict.fromkeys(sorted(_addresses), "")


def require_address(url: str, what: str) -> None:
    """Pass only if molecules may be sent to the host of the URL: this machine, or one that the user trusts.

    Raises:
        UsageError: not trusted; the message holds the flag to give.
    """
    host = urlsplit(url).hostname or ""
    if host in _HERE or _origin(url) in _addresses:
        return
    raise UsageError(f"{what} sends molecules to {host}: if you trust it, add --trust-plugin {_origin(url)}")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()


def require(path: str | Path, what: str) -> Path:
    """The file that `path` means, if the user trusts it as it is now.

    Args:
        what: what would run, for the message: "reward 'x'".

    Raises:
        UsageError: no such file; not trusted (the message holds the flag to give); changed since.
    """
    found = _resolved(path)
    if found is None:
        raise UsageError(f"{what}: no such file: {path}")
    if found not in _trusted:
        raise UsageError(f"{what} runs {path}: if you trust it, add --trust-plugin {path}")
    if hashlib.sha256(found.read_bytes()).hexdigest() != _trusted[found]:
        raise UsageError(f"{what}: {path} has changed since it was trusted; start again")
    return found


def require_command(arguments: Sequence[str], what: str) -> None:
    """Pass only if the program, and every file among its arguments, is trusted.

    An interpreter has to be given a file to run, which then is trusted too: code on its command line, a
    module or a folder is refused.

    Raises:
        UsageError: as `require`; the message holds every flag that is missing.
    """
    program, *rest = arguments
    found = shutil.which(program)
    if found is None:
        raise UsageError(f"{what}: no such program: {program}")
    if Path(program).name.rstrip("0123456789.") in _INTERPRETERS:
        script = next((word for word in rest if word not in _HARMLESS), "")
        if not _is_file(script):
            given = script[:40]
            raise UsageError(f"{what}: give {program} a file to run, which can be trusted, not {given!r}")
    files = [(program, Path(found)), *((word, Path(word)) for word in rest if _is_file(word))]
    missing = [word for word, path in files if path.resolve() not in _trusted]
    if missing:
        flags = " ".join(f"--trust-plugin {shlex.quote(word)}" for word in dict.fromkeys(missing))
        raise UsageError(f"{what} runs {shlex.join(arguments)}: if you trust it, add {flags}")
    for _, path in files:
        require(path, what)


def _is_file(given: str | Path) -> bool:
    try:
        return Path(given).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _resolved(given: str | Path) -> Path | None:
    path = Path(given)
    if _is_file(given):
        return path.resolve()
    if path.name == str(given) and (found := shutil.which(path.name)):
        return Path(found).resolve()
    return None
