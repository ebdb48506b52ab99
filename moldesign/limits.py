"""What this process may use of the machine: its processors and its memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

#: Where Linux tells of a process; tests name another folder.
PROC = Path("/proc/self")
_MEMINFO = Path("/proc/meminfo")
#: Version 1 has no word for "no limit" of memory; it says a number near 2**63.
_NO_LIMIT = 1 << 60


def usable_processors(proc: Path = PROC) -> int:
    """Processors that this process may keep busy, 1 at least: by affinity and by its control group's quota.

    A quota of 2.5 processors counts as 2: threads of a matrix product wait for each other, and the third
    would be stopped for half of the time.
    """
    count = len(os.sched_getaffinity(0))
    quota = cpu_quota(proc)
    return count if quota is None else max(1, min(count, int(quota)))


def cpu_quota(proc: Path = PROC) -> float | None:
    """Processors that the control group may use: the least quota of it and its parents; None for no quota."""
    quotas = []
    for group in _groups("cpu", proc):
        limit, _, period = _read(group / "cpu.max").partition(" ")  # version 2: "max 100000"
        if not limit:  # version 1
            limit, period = _read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")
        if _is_number(limit) and _is_number(period) and int(limit) > 0 and int(period) > 0:
            quotas.append(int(limit) / int(period))
    return min(quotas, default=None)


def memory_limit(proc: Path = PROC) -> int | None:
    """Bytes that the control group may use: the least limit of it and its parents; None for no limit."""
    return min((limit for limit, _ in _memory(proc)), default=None)


def free_memory(proc: Path = PROC, meminfo: Path = _MEMINFO) -> int | None:
    """Bytes that this process can still get, by the machine and by its control group; None where unknown."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _read(meminfo), re.MULTILINE)
    free = [max(0, limit - used) for limit, used in _memory(proc)]
    return min([*free, *([int(found[1]) * 1024] if found else [])], default=None)


def _memory(proc: Path) -> Iterator[tuple[int, int]]:
    """Limit and use in bytes of each group that has a limit. What only caches files counts as free."""
    names = (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    )
    for group in _groups("memory", proc):
        for limit_name, use_name, cached_name in names:
            limit, used = _read(group / limit_name), _read(group / use_name)
            if _is_number(limit) and int(limit) < _NO_LIMIT:
                found = re.search(rf"^{cached_name} (\d+)$", _read(group / "memory.stat"), re.MULTILINE)
                cached = int(found[1]) if found else 0
                yield int(limit), max(0, int(used) - cached) if _is_number(used) else 0


def _groups(controller: str, proc: Path) -> Iterator[Path]:
    """The folders of this process's control group and its parents, in each hierarchy with that controller."""
    paths = dict(_memberships(proc))
    for line in _read(proc / "mountinfo").splitlines():
        # 31 23 0:26 /root /mounted/at rw,relatime - cgroup2 cgroup2 rw
        mount, _, system = line.partition(" - ")
        fields, kind = mount.split(), system.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            path = paths.get("")
        elif kind[0] == "cgroup" and controller in kind[2].split(","):
            path = paths.get(controller)
        else:
            continue
        if path is not None:
            yield from _upwards(Path(_unescaped(fields[4])), _unescaped(fields[3]), path)


def _memberships(proc: Path) -> Iterator[tuple[str, str]]:
    """Controller and path of the group in its hierarchy; the controller is '' in that of version 2."""
    for line in _read(proc / "cgroup").splitlines():
        number, _, rest = line.partition(":")  # 4:cpu,cpuacct:/docker/0123 or 0::/user.slice
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            if controller or number == "0":
                yield controller, path


def _upwards(mount: Path, root: str, path: str) -> Iterator[Path]:
    """The group's folder and those above it, up to where the hierarchy is mounted.

    In a container the path may be the host's, of which nothing is mounted: then the mount is the group.
    """
    inside = PurePosixPath(path)
    if inside.is_relative_to(root) and ".." not in inside.parts:
        below = mount / inside.relative_to(root)
        yield from (folder for folder in (below, *below.parents) if folder.is_relative_to(mount))
    else:
        yield mount


def _unescaped(text: str) -> str:
    r"""A path of mountinfo, in which a blank is \040."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _read(path: Path) -> str:
    """What stands in the file, '' where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
