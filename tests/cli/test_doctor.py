"""`moldesign doctor`: the real command on sound and broken installs, and its judgement of other machines."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moldesign import assets
from moldesign.cli import checks
from moldesign.files import sha256

MOLDESIGN = Path(sys.executable).with_name("moldesign")
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_a_folder_that_cannot_be_written_is_a_problem_with_its_exit_code(
    moldesign: Callable[..., Any], small_prior: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder\n")
    done = moldesign("doctor", "--threads", 1, "-o", "file/runs", cwd=tmp_path)
    assert done.code == 6
    assert not done.err
    lines = done.out.splitlines()
    found = {line[9:].partition(":")[0]: line for line in lines[:-1]}
    (problem,) = [line for line in lines if line.startswith("problem")]
    assert problem == found["run folder"]
    assert problem.endswith(
        f"{tmp_path}/file cannot be written to (Not a directory); choose another folder (-o)"
    )
    for name in ("packages", "RDKit", "torch", "prior druglike", "prior zinc250k", "cache folder"):
        assert found[name].startswith("ok "), found[name]
    assert "QED of 0.550" in found["RDKit"]
    assert "GFLOP/s in bf16" in found["bf16"]
    assert "uses 1 thread" in found["processors"]
    assert {f"extra {name}" for name in checks.EXTRAS} <= set(found)
    assert lines[-1].startswith("1 problem, ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


@pytest.fixture
def broken(tmp_path: Path) -> dict[str, str]:
    """The environment of an install whose torch misses a library and whose RDKit is not there."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "torch.py").write_text("raise OSError('libcudart.so.13: cannot open shared object file')\n")
    (site / "rdkit.py").write_text("raise ImportError('libXrender.so.1: cannot open\\nshared object file')\n")
    return {**os.environ, "PYTHONPATH": str(site), "MOLDESIGN_HOME": str(tmp_path / "home"), "COLUMNS": "100"}


def test_a_broken_install_is_told_and_not_fallen_over(broken: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [MOLDESIGN, "doctor", "--json"], cwd=tmp_path, env=broken, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert not done.stderr
    facts = json.loads(done.stdout)
    assert facts["status"] == "problem"
    found = {check["name"]: check for check in facts["checks"]}
    assert found["torch"]["status"] == found["RDKit"]["status"] == "problem"
    assert "libcudart.so.13" in found["torch"]["text"]
    assert "pip install --force-reinstall torch" in found["torch"]["advice"]
    assert found["memory"]["status"] in ("ok", "note")
    assert facts["environment"]["usable_cpus"] >= 1
    assert facts["environment"]["threads"] is None


def test_on_a_terminal_it_is_a_table(broken: dict[str, str], tmp_path: Path) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [MOLDESIGN, "doctor"], cwd=tmp_path, env={**broken, "TERM": "xterm"}, stdout=slave, stderr=slave
    )
    os.close(slave)
    said = b""
    try:
        while chunk := os.read(master, 65536):
            said += chunk
    except OSError:
        pass  # the other end is closed
    finally:
        os.close(master)
    assert process.wait() == 1
    text = said.decode()
    assert "finding" in text
    assert "┃" in text
    assert "\x1b[1;31mproblem" in text
    assert "2 problems" in text


@pytest.fixture
def shipped(tmp_path: Path, small_prior: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The prior that came with an install, with its facts beside it."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    path = folder / "small.safetensors"
    shutil.copy(small_prior, path)
    path.with_suffix(".json").write_text(json.dumps({"sha256": sha256(path)}))
    monkeypatch.setattr(assets, "_package", lambda name: folder)
    monkeypatch.setenv("MOLDESIGN_HOME", str(tmp_path / "home"))
    return path


def statuses() -> dict[str, tuple[str, int]]:
    return {check.name: (check.status, check.exit_code) for check in checks.priors()}


def test_a_whole_prior_is_well(shipped: Path) -> None:
    assert statuses() == {"prior small": ("ok", 0)}


def test_a_flipped_bit_in_a_shipped_prior_is_a_problem(shipped: Path) -> None:
    content = bytearray(shipped.read_bytes())
    content[-5] ^= 1
    shipped.write_bytes(content)
    assert statuses() == {"prior small": ("problem", 4)}


def test_a_whole_prior_that_is_not_the_one_that_was_shipped_is_a_problem(shipped: Path) -> None:
    shipped.with_suffix(".json").write_text(json.dumps({"sha256": "0" * 64}))
    (check,) = checks.priors()
    assert (check.status, check.exit_code) == ("problem", 4)
    assert "not the file that was shipped" in check.text
    shipped.with_suffix(".json").unlink()
    assert statuses() == {"prior small": ("problem", 4)}


def test_no_shipped_prior_is_a_problem_and_a_bad_one_of_the_user_a_note(shipped: Path) -> None:
    own = assets.home() / "priors" / "own.safetensors"
    own.parent.mkdir(parents=True)
    own.write_bytes(shipped.read_bytes()[:100])
    assert statuses() == {"prior own": ("note", 0), "prior small": ("ok", 0)}
    shipped.unlink()
    assert statuses() == {"priors": ("problem", 4), "prior own": ("note", 0)}


CPU: dict[str, Any] = {"type": "cpu", "gpus": [], "cuda_build": None, "precision": "bfloat16"}
H200 = {"driver": "550.54.15", "cuda": "12.4", "gpus": ["NVIDIA H200"]}


@pytest.mark.parametrize(
    ("build", "seen", "nvidia", "hidden", "status", "said"),
    [
        ("13.0", ["NVIDIA H200"], {**H200, "driver": "580.1", "cuda": "13.0"}, None, "ok", "driver 580.1"),
        ("12.8", ["NVIDIA H200"], {}, None, "ok", "built for CUDA 12.8"),  # a container without nvidia-smi
        (None, [], {}, None, "ok", "none: runs use the processor"),
        ("13.0", [], {}, None, "note", "--gpus all"),
        (None, [], H200, None, "note", "built without CUDA"),
        ("13.0", [], H200, None, "note", "install a torch for CUDA 12"),
        # Of the same major version an older driver will do, so something else is wrong.
        ("12.8", [], H200, None, "note", "torch.zeros(1).cuda()"),
        ("12.4", [], H200, "", "note", "hidden from torch by CUDA_VISIBLE_DEVICES=''"),
        ("12.4", [], {"error": "Driver/library version mismatch"}, None, "note", "restart the machine"),
    ],
)
def test_torch_driver_and_gpu(
    build: str | None, seen: list[str], nvidia: dict[str, Any], hidden: str | None, status: str, said: str
) -> None:
    check = checks.gpu({**CPU, "cuda_build": build, "gpus": seen}, nvidia, hidden)
    assert check.status == status
    assert said in check.line


def test_a_gpu_that_cannot_compute_is_a_problem() -> None:
    check = checks.gpu_broken(RuntimeError("CUDA error: no kernel image is available\nCompile with ..."))
    assert (check.status, check.exit_code) == ("problem", 6)
    assert "no kernel image is available)" in check.line


@pytest.mark.parametrize(
    ("precision", "half", "status", "said"),
    [
        ("bfloat16", 300.0, "ok", "3.0 times as fast as fp32, and runs use it"),
        ("bfloat16", 104.0, "note", "Ask again on a quiet machine"),
        ("float32", 20.0, "note", "runs multiply in fp32"),
    ],
)
def test_what_bf16_means(precision: str, half: float, status: str, said: str) -> None:
    check = checks.arithmetic({**CPU, "precision": precision}, {"float32": 100.0, "bfloat16": half}, 2)
    assert check.status == status
    assert said in check.line
    assert "with 2 threads" in check.line


@pytest.mark.parametrize(
    ("free", "limit", "status", "said"),
    [
        (20_000_000_000, None, "ok", "20.0 GB free"),
        (1_000_000_000, 4_000_000_000, "note", "limit is 4.0 GB"),
        (100_000_000, 1_000_000_000, "problem", "100 MB free"),
        (None, None, "note", "does not say"),
    ],
)
def test_memory(free: int | None, limit: int | None, status: str, said: str) -> None:
    check = checks.memory(free, limit)
    assert check.status == status
    assert check.exit_code == (6 if status == "problem" else 0)
    assert said in check.line


def test_more_threads_than_processors_are_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.processors(2, None, 2).status == "ok"
    monkeypatch.delenv("MOLDESIGN_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    check = checks.processors(2, 2.5, 8)
    assert check.status == "note"
    assert "quota is 2.5" in check.line
    assert "unset OMP_NUM_THREADS" in check.line


def test_a_cache_that_cannot_be_written_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder\n")
    monkeypatch.setenv("MOLDESIGN_HOME", str(tmp_path / "file" / "cache"))
    check = checks.cache_folder()
    assert (check.status, check.exit_code) == ("note", 0)
    assert "MOLDESIGN_HOME" in check.advice
    monkeypatch.setenv("MOLDESIGN_HOME", str(tmp_path / "new" / "cache"))
    assert checks.cache_folder().status in ("ok", "note")
    assert not (tmp_path / "new").exists()


def test_every_extra_for_users_is_explained() -> None:
    extras = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(checks.EXTRAS) == set(extras) - {"audit", "dev", "peers"}


def test_a_line_is_one_line_and_moves_no_cursor() -> None:
    assert checks.Check("x", "note", "a\x1b[2J\nb", "c").line == "a?[2J b; c"
