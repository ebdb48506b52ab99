"""Files that the user allows to run: a configuration alone can never run code."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from moldesign.errors import UsageError
from moldesign.files import sha256

_trusted: dict[Path, str] = {}
_addresses: set[str] = set()

#: This machine.
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})

#: Programs that run whatever they are given: to trust them is to trust nothing of that.
_INTERPRETERS = frozenset(
    "python pypy pythonw sh bash rbash dash ash zsh ksh mksh fish csh tcsh pwsh perl ruby node nodejs deno"
    " bun Rscript php lua luajit tclsh wish julia groovy scala racket guile awk gawk mawk nawk".split()
)

#: Programs that run another program that their arguments name: there is no file of theirs to trust.
_LAUNCHERS = frozenset(
    "env xargs nice ionice nohup setsid timeout stdbuf time chrt taskset sudo doas su ssh chroot unshare"
    " nsenter find parallel watch script flock strace ltrace gdb busybox toybox make ninja conda mamba"
    " micromamba uv uvx pipx npx npm docker podman apptainer singularity srun mpirun mpiexec sed ed ex vi vim"
    " emacs git tar".split()
)

#: Programs that are many others, by the name that they are called by.
_MANY = frozenset({"busybox", "toybox"})

#: What may stand before the file that Python runs. Other interpreters read some of these letters otherwise.
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
        _trusted[path] = sha256(path)


def trust_command(command: str) -> None:
    """Trust the program and the files of a command that the user gave on the command line itself.

    So they are among those that a run records. What is not there is left for the start to complain of.
    """
    try:
        words = shlex.split(command)
    except ValueError:
        return
    if words and shutil.which(words[0]):
        trust([str(shutil.which(words[0])), *(word for word in words[1:] if _is_file(word))])


def trusted() -> dict[str, str]:
    """The SHA-256 of every file that may run, by its path, and nothing by every address that may be asked."""
    return {str(path): digest for path, digest in _trusted.items()} | dict.fromkeys(sorted(_addresses), "")


def require_address(url: str, what: str) -> None:
    """Pass only if molecules may be sent to the host of the URL: this machine, or one that the user trusts.

    Raises:
        UsageError: not trusted; the message holds the flag to give.
    """
    if here(url) or _origin(url) in _addresses:
        return
    host = urlsplit(url).hostname or ""
    raise UsageError(f"{what} sends molecules to {host}: if you trust it, add --trust-plugin {_origin(url)}")


def here(url: str) -> bool:
    """Whether the host of the URL is this machine."""
    return urlsplit(url).hostname in _HERE


def require_workers(workers: str, what: str) -> None:
    """Pass if `workers` is a number of processes, or names a Dask scheduler that the user trusts.

    Whoever answers at the address of a scheduler sends pickles, which run code here: a file of settings
    may name it, and only the command line can allow it, as `tcp://host:8786` or as the scheduler's file.

    Args:
        what: where it stands, for the message: "config.toml: settings.workers".

    Raises:
        UsageError: not trusted (the message holds the flag to give), or no such file.
    """
    if "://" in workers:
        if _origin(workers) not in _addresses:
            raise UsageError(
                f"{what} is a Dask scheduler, which can run code here: if you trust it, "
                f"add --trust-plugin {_origin(workers)}"
            )
    elif workers.endswith(".json"):
        require(workers, what)


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
    if sha256(found) != _trusted[found]:
        raise _changed(path, what)
    return found


def content(path: str | Path, what: str) -> bytes:
    """The bytes of the file that `path` means, those that the user trusts; errors as `require`.

    To be loaded from memory: between a look at a file and its opening somebody could put another there.
    """
    found = require(path, what)
    data = found.read_bytes()
    if hashlib.sha256(data).hexdigest() != _trusted[found]:
        raise _changed(path, what)
    return data


def _changed(path: str | Path, what: str) -> UsageError:
    return UsageError(f"{what}: {path} has changed since it was trusted; start again")


def require_command(arguments: Sequence[str], what: str) -> None:
    """Pass only if the program, and every file among its arguments, is trusted.

    An interpreter has to be given a file to run, which then is trusted too: code on its command line, a
    module or a folder is refused. So is a program whose arguments name another one to start.

    Raises:
        UsageError: as `require`; the message holds every flag that is missing.
    """
    program, *rest = arguments
    found = shutil.which(program)
    if found is None:
        raise UsageError(f"{what}: no such program: {program}")
    # By the name that it is called by, and by that of the file which a link leads to.
    names = {_plain_name(program), _plain_name(str(Path(found).resolve()))}
    if launcher := names & (_LAUNCHERS if _plain_name(program) in _LAUNCHERS else _LAUNCHERS - _MANY):
        raise UsageError(
            f"{what}: {min(launcher)} starts what its arguments say: put the command into a script, name that"
        )
    if names & _INTERPRETERS:
        harmless = _HARMLESS if names & {"python", "pypy"} else frozenset[str]()
        script = next((word for word in rest if word not in harmless), "")
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


def _plain_name(program: str) -> str:
    """The name of a program without version and suffix: `python` of `/usr/bin/python3.13t`."""
    return re.sub(r"[-_.]?\d[\d.]*[a-z]?$", "", Path(program).name.removesuffix("-dbg"))


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
