"""Files that the user allows to run: a configuration alone can never run code."""

from __future__ import annotations

import hashlib
import shlex
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from moldesign.errors import UsageError

_trusted: dict[Path, str] = {}

#: Programs that run whatever stands behind these words: to trust them is not to trust that.
_INTERPRETERS = frozenset("python pypy sh bash dash zsh ksh fish perl ruby node Rscript php lua".split())
_INLINE = frozenset({"-c", "-m", "-e", "-E", "-r", "--eval", "-p", "--print"})


def trust(paths: Iterable[str | Path]) -> None:
    """Allow this process, and the workers that it starts, to run these files.

    A name without a slash that is no file here is looked for on PATH, as a shell would.

    Raises:
        UsageError: no such file.
    """
    for given in paths:
        path = _resolved(given)
        if path is None:
            raise UsageError(f"--trust-plugin {given}: no such file")
        _trusted[path] = hashlib.sha256(path.read_bytes()).hexdigest()


def trusted() -> dict[str, str]:
    """The SHA-256 of every file that may run, by its path: for the record, and for workers."""
    return {str(path): digest for path, digest in _trusted.items()}


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

    A trusted interpreter runs trusted files only: code on its command line is refused.

    Raises:
        UsageError: as `require`; the message holds every flag that is missing.
    """
    program, *rest = arguments
    found = shutil.which(program)
    if found is None:
        raise UsageError(f"{what}: no such program: {program}")
    inline = [word for word in rest if word in _INLINE]
    if inline and Path(program).name.rstrip("0123456789.") in _INTERPRETERS:
        raise UsageError(f"{what} runs code given by {inline[0]}: put it into a file, which can be trusted")
    words = {program: Path(found), **{word: Path(word) for word in rest if _is_file(word)}}
    missing = [word for word, path in words.items() if path.resolve() not in _trusted]
    if missing:
        flags = " ".join(f"--trust-plugin {shlex.quote(word)}" for word in missing)
        raise UsageError(f"{what} runs {shlex.join(arguments)}: if you trust it, add {flags}")
    for path in words.values():
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
