"""What a program ran on: versions, state of the code, machine, variables, and digests of what it read."""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from moldesign.assets import corpora
from moldesign.files import sha256
from moldesign.limits import cpu_quota, memory_limit, usable_processors
from moldesign.records import packages
from moldesign.text import without_secrets

#: Features of a processor by which the fast products of torch and oneDNN are chosen: x86-64, then Arm.
_FLAGS = (
    "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8",
    "asimd", "sve", "sve2", "bf16", "i8mm",
)  # fmt: skip
#: Variables on which the speed of a run, or the last digit of its numbers, may hang.
_VARIABLES = (
    "ATEN_CPU_CAPABILITY", "CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES", "LD_PRELOAD", "MALLOC_CONF",
    "MKL_NUM_THREADS", "MOLDESIGN_HOME", "MOLDESIGN_THREADS", "NVIDIA_TF32_OVERRIDE", "OMP_NUM_THREADS",
    "ONEDNN_MAX_CPU_ISA", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED",
)  # fmt: skip
_PLUGINS = "moldesign.rewards"
_CPUINFO = Path("/proc/cpuinfo")
_PACKAGE = Path(__file__).resolve().parents[1]
#: Seconds that git or nvidia-smi may take before it is done without.
_PATIENCE_S = 10.0


def environment(
    *,
    seed: int | None,
    threads: int | None,
    command: Sequence[str] | None = None,
    inputs: Any = (),
    device: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a run ran on, as JSON has it. Nothing heavy is imported, and nothing that is missing is an error.

    Args:
        threads: those that torch uses.
        command: the command line; this process's unless given.
        inputs: what was read, as `input_digests` takes it.
        device: what torch computes on, as `device_facts` of moldesign.policy.devices has it.

    Returns:
        `versions` of Python, this package, the packages that it needs, and those of its extras that are here;
        `git` (see `git_state`); `plugins`: name -> the package that brings it; `processor` and those of its
        `processor_flags` that matter to the speed; `cpus` of the machine, `usable_cpus`, which affinity and
        quota leave to this process, and `cpu_quota`, null for none; `memory_limit` in bytes, null for none;
        `variables` that are set and matter; `inputs`: path -> SHA-256; `started`, UTC.
    """
    return {
        "versions": {
            "python": platform.python_version(),
            "moldesign": packages.version(packages.DISTRIBUTION),
            **packages.versions([one for one in packages.requirements() if one.extra not in packages.TOOLS]),
        },
        "git": git_state(),
        "plugins": plugins(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": processor(),
        "processor_flags": processor_flags(),
        "cpus": os.cpu_count(),
        "usable_cpus": usable_processors(),
        "cpu_quota": cpu_quota(),
        "memory_limit": memory_limit(),
        "device": dict(device or {}),
        "threads": threads,
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "command": shlex.join(without_secrets(sys.argv if command is None else command)),
        "seed": seed,
        "inputs": input_digests(inputs),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def input_digests(inputs: Any) -> dict[str, str]:
    """The SHA-256 by path of every file that `inputs` names: paths, or tables and lists with names in them.

    As plain data an objective names its models, references and building blocks anywhere among its parameters;
    under the key `file` it may name a corpus instead. A file that cannot be read is left out.
    """
    found = {}
    for path in _files_in(inputs):
        try:
            found[str(path)] = sha256(path)
        except OSError:
            continue
    return found


def _files_in(value: Any, key: str = "") -> Iterator[Path]:
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _files_in(one, str(name))
    elif isinstance(value, str | Path):
        if _is_file(value):
            yield Path(value)
        elif key == "file" and str(value) in (known := corpora()):
            yield known[str(value)]
    elif isinstance(value, Iterable):
        for one in value:
            yield from _files_in(one, key)


def _is_file(name: str | Path) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # a SMILES that no file can have for a name
        return False


def plugins() -> dict[str, str]:
    """Name of every reward of an installed plugin, and the package, with its version, that brings it."""
    found = {}
    for point in metadata.entry_points(group=_PLUGINS):
        package = point.dist
        found[point.name] = "" if package is None else f"{package.name} {package.version}"
    return found


def processor(cpuinfo: Path = _CPUINFO) -> str:
    """The name of the processor, as the system knows it."""
    return _cpuinfo("model name", cpuinfo) or platform.processor() or platform.machine()


def processor_flags(cpuinfo: Path = _CPUINFO) -> list[str]:
    """Those features of the processor by which the fast matrix products are chosen."""
    here = set((_cpuinfo("flags", cpuinfo) or _cpuinfo("Features", cpuinfo)).split())
    return [flag for flag in _FLAGS if flag in here]


def _cpuinfo(wanted: str, cpuinfo: Path) -> str:
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == wanted:
            return value.strip()
    return ""


def git_state(package: Path = _PACKAGE) -> dict[str, Any] | None:
    """Commit of the checkout that the package runs from, and whether files differ (`dirty`); None elsewhere.

    The commit is read without git too; `dirty` is null then, as it is where git will not say.
    """
    root = package.parent
    if not (root / ".git").exists():
        return None
    # What the user's shell says of another repository does not count, and the index is not written.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    status = _answer_of(
        ["git", "-c", "core.fsmonitor=false", "-C", str(root), "status",
         "--porcelain=v2", "--branch", "--untracked-files=no"],
        {**clean, "GIT_OPTIONAL_LOCKS": "0"},
    )  # fmt: skip
    if status is None or status[0] != 0:
        return {"commit": _commit(root / ".git"), "dirty": None}
    commit = re.search(r"^# branch\.oid ([0-9a-f]+)$", status[1], re.MULTILINE)
    changed = [line for line in status[1].splitlines() if not line.startswith("#")]
    return {"commit": commit[1] if commit else None, "dirty": bool(changed)}


def _commit(git: Path) -> str | None:
    """The commit that is checked out, read from the files of git."""
    try:
        if git.is_file():  # a worktree: gitdir: /elsewhere
            git = (git.parent / git.read_text().partition(":")[2].strip()).resolve()
        common = git
        if (git / "commondir").is_file():
            common = (git / (git / "commondir").read_text().strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return _hash(head)
        name = head.removeprefix("ref:").strip()
        for folder in (git, common):
            if (folder / name).is_file():
                return _hash((folder / name).read_text().strip())
        for line in (common / "packed-refs").read_text().splitlines():
            commit, _, packed = line.partition(" ")
            if packed == name:
                return _hash(commit)
    except (OSError, ValueError):
        pass  # half a checkout is no reason to fail
    return None


def _hash(text: str) -> str | None:
    return text if re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", text) else None


def nvidia() -> dict[str, Any]:
    """What nvidia-smi says; empty where there is none.

    Returns:
        `driver`; `cuda`: the newest that the driver serves; `gpus`: their names; or `error`, why it fails.
    """
    table, listed = _answer_of(["nvidia-smi"]), _answer_of(["nvidia-smi", "--list-gpus"])
    if table is None or listed is None:
        return {}
    for code, text in (table, listed):
        if code != 0:
            return {"error": " ".join(text.split())[:200] or f"exit code {code}"}
    driver = re.search(r"Driver Version:\s*([\d.]+)", table[1])
    cuda = re.search(r"CUDA (?:UMD )?Version:\s*([\d.]+)", table[1])
    return {
        "driver": driver[1] if driver else None,
        "cuda": cuda[1] if cuda else None,
        "gpus": re.findall(r"^GPU \d+: (.*?)(?: \(UUID.*)?$", listed[1], re.MULTILINE),
    }


def _answer_of(command: Sequence[str], variables: Mapping[str, str] | None = None) -> tuple[int, str] | None:
    """Exit code and output of a program; None where it is not there or takes too long."""
    program = shutil.which(command[0])
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *command[1:]], env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, errors="replace", timeout=_PATIENCE_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.returncode, done.stdout
