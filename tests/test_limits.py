"""What a control group leaves to a process, read from files laid out as Linux lays them out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from moldesign.limits import cpu_quota, free_memory, memory_limit, usable_processors

V1 = "33 31 0:30 {root} {mount} rw,relatime - cgroup cgroup rw,{controllers}"
V2 = "33 31 0:30 {root} {mount} rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate"


def lay_out(folder: Path, membership: str, mounts: list[str], files: Mapping[str, str]) -> Path:
    """A folder that stands for /proc/self; `files` stand under the folder that is put for {mount}."""
    mount = folder / "sys fs"  # with a blank, which mountinfo writes as \040
    proc = folder / "proc"
    proc.mkdir()
    (proc / "cgroup").write_text(membership)
    written = str(mount).replace(" ", "\\040")
    (proc / "mountinfo").write_text("\n".join(line.replace("{mount}", written) for line in mounts) + "\n")
    for name, text in files.items():
        (mount / name).parent.mkdir(parents=True, exist_ok=True)
        (mount / name).write_text(text + "\n")
    return proc


def v1(root: str = "/", controllers: str = "cpu,cpuacct", mount: str = "{mount}") -> str:
    return V1.format(root=root, controllers=controllers, mount=mount)


def v2(root: str = "/") -> str:
    return V2.format(root=root, mount="{mount}")


@pytest.mark.parametrize(
    ("membership", "mounts", "files", "quota"),
    [
        ("0::/job", [v2()], {"job/cpu.max": "150000 100000"}, 1.5),
        ("0::/job", [v2()], {"job/cpu.max": "max 100000"}, None),
        # The parent's quota holds too, and a scheduler often sets only that.
        (
            "0::/slurm/job/step",
            [v2()],
            {"slurm/cpu.max": "max 1", "slurm/job/cpu.max": "200000 100000", "slurm/job/step/cpu.max": "max"},
            2.0,
        ),
        # In a container with a namespace of its own.
        ("0::/", [v2()], {"cpu.max": "400000 100000"}, 4.0),
        (
            "4:cpu,cpuacct:/job\n3:memory:/job",
            [v1(), v1(controllers="memory", mount="/nowhere")],
            {"job/cpu.cfs_quota_us": "250000", "job/cpu.cfs_period_us": "100000"},
            2.5,
        ),
        ("4:cpu,cpuacct:/job", [v1()], {"job/cpu.cfs_quota_us": "-1", "job/cpu.cfs_period_us": "1000"}, None),
        # Docker without a namespace: the path is the host's, and what is mounted is the container's own.
        (
            "4:cpu,cpuacct:/docker/0123",
            [v1(root="/docker/0123")],
            {"cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "100000"},
            0.5,
        ),
        (
            "4:cpu,cpuacct:/docker/0123",
            [v1()],
            {"cpu.cfs_quota_us": "300000", "cpu.cfs_period_us": "100000"},
            3.0,
        ),
        # Both versions at once; the processors are with the first.
        (
            "2:cpu:/job\n0::/job",
            [v1(controllers="cpu"), V2.format(root="/", mount="/nowhere")],
            {"job/cpu.cfs_quota_us": "100000", "job/cpu.cfs_period_us": "100000"},
            1.0,
        ),
        # What cannot be read as a quota is none.
        ("0::/job", [v2()], {"job/cpu.max": "many 100000"}, None),
        ("0::/job", [v2()], {"job/cpu.max": "100000 0"}, None),
        ("0::/../../elsewhere", [v2()], {}, None),
        ("rubbish", ["rubbish - ", "33 31"], {}, None),
    ],
)  # fmt: skip
def test_the_quota_of_a_control_group(
    tmp_path: Path, membership: str, mounts: list[str], files: dict[str, str], quota: float | None
) -> None:
    proc = lay_out(tmp_path, membership, mounts, files)
    assert cpu_quota(proc) == quota
    here = len(os.sched_getaffinity(0))
    assert usable_processors(proc) == (here if quota is None else max(1, min(here, int(quota))))


def test_the_quota_of_this_process_is_none_or_positive_and_nothing_is_no_error(tmp_path: Path) -> None:
    assert (cpu_quota() or 1.0) > 0
    assert cpu_quota(tmp_path / "absent") is None
    assert memory_limit(tmp_path / "absent") is None
    assert free_memory(tmp_path / "absent", tmp_path / "absent") is None


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor")
def test_affinity_counts() -> None:
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); "
        "from moldesign.limits import usable_processors; print(usable_processors())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


@pytest.mark.parametrize(
    ("membership", "mount", "files", "limit", "free"),
    [
        # 6 GB used, 2 GB of them only files in the cache.
        (
            "0::/job",
            v2(),
            {
                "job/memory.max": "8000000000",
                "job/memory.current": "6000000000",
                "job/memory.stat": "anon 1\ninactive_file 2000000000\nactive_file 5",
            },
            8_000_000_000,
            4_000_000_000,
        ),
        ("0::/job", v2(), {"job/memory.max": "max", "job/memory.current": "6000"}, None, 10_240_000_000),
        # The parent has less to give.
        (
            "0::/a/b",
            v2(),
            {
                "a/b/memory.max": "8000000000",
                "a/b/memory.current": "1000000000",
                "a/memory.max": "9000000000",
                "a/memory.current": "8500000000",
            },
            8_000_000_000,
            500_000_000,
        ),
        (
            "4:memory:/job",
            v1(controllers="memory"),
            {
                "job/memory.limit_in_bytes": "4000000000",
                "job/memory.usage_in_bytes": "3000000000",
                "job/memory.stat": "inactive_file 5\ntotal_inactive_file 500000000",
                "memory.limit_in_bytes": "9223372036854771712",
                "memory.usage_in_bytes": "3000000000",
            },
            4_000_000_000,
            1_500_000_000,
        ),
    ],
)  # fmt: skip
def test_memory_is_what_the_machine_and_the_group_leave(
    tmp_path: Path, membership: str, mount: str, files: dict[str, str], limit: int | None, free: int
) -> None:
    proc = lay_out(tmp_path, membership, [mount], files)
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       20000000 kB\nMemFree: 1 kB\nMemAvailable:   10000000 kB\n")
    assert memory_limit(proc) == limit
    assert free_memory(proc, meminfo) == free
