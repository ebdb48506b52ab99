from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from moldesign import assets
from moldesign.records import environment as module
from moldesign.records.environment import (
    environment,
    git_state,
    input_digests,
    nvidia,
    processor,
    processor_flags,
)

COMMIT, OTHER = "ab12" * 10, "cd34" * 10


def test_nothing_heavy_is_imported_for_it() -> None:
    code = (
        "import sys; from moldesign.records.environment import environment; environment(seed=0, threads=1); "
        "print({'torch', 'rdkit', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_it_is_plain_data_with_the_variables_that_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MALLOC_CONF", "thp:always")
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    facts = environment(seed=None, threads=None, device={"type": "cpu"})
    assert json.loads(json.dumps(facts)) == facts
    assert facts["variables"]["OMP_NUM_THREADS"] == "1"
    assert facts["variables"]["MALLOC_CONF"] == "thp:always"
    assert "s3cret" not in json.dumps(facts)
    assert facts["versions"]["pydantic"]
    assert "pytest" not in facts["versions"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a package in it and git's files beside, as git writes them."""
    (tmp_path / "moldesign").mkdir()
    (tmp_path / ".git" / "refs" / "heads").mkdir(parents=True)
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / ".git" / "refs" / "heads" / "main").write_text(COMMIT + "\n")
    return tmp_path


@pytest.fixture
def no_git(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("empty")))


def test_the_commit_is_read_without_git(checkout: Path, no_git: None) -> None:
    package, git = checkout / "moldesign", checkout / ".git"
    assert git_state(package) == {"commit": COMMIT, "dirty": None}
    (git / "refs" / "heads" / "main").unlink()
    (git / "packed-refs").write_text(f"# pack-refs with: peeled\n{OTHER} refs/heads/main\n")
    assert git_state(package) == {"commit": OTHER, "dirty": None}
    (git / "HEAD").write_text(COMMIT + "\n")
    assert git_state(package) == {"commit": COMMIT, "dirty": None}


def test_the_commit_of_a_worktree(checkout: Path, no_git: None) -> None:
    own = checkout / ".git" / "worktrees" / "w"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/main\n")
    (own / "commondir").write_text("../..\n")
    package = checkout / "w" / "moldesign"
    package.mkdir(parents=True)
    (package.parent / ".git").write_text(f"gitdir: {own}\n")
    assert git_state(package) == {"commit": COMMIT, "dirty": None}


@pytest.mark.parametrize("head", ["", "ref: refs/heads/unborn", "ref: ", "rubbish", "\x00"])
def test_half_a_checkout_is_no_error(checkout: Path, no_git: None, head: str) -> None:
    (checkout / ".git" / "HEAD").write_text(head)
    assert git_state(checkout / "moldesign") == {"commit": None, "dirty": None}


def test_an_installed_package_has_no_checkout_even_below_one(checkout: Path) -> None:
    package = checkout / ".venv" / "site-packages" / "moldesign"
    package.mkdir(parents=True)
    assert git_state(package) is None


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_git_says_whether_files_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def git(*arguments: str) -> str:
        words = [
            "git",
            "-C",
            str(tmp_path),
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@example.org",
            *arguments,
        ]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    package = tmp_path / "moldesign"
    package.mkdir()
    (package / "code.py").write_text("1\n")
    git("init", "--quiet")
    assert git_state(package) == {"commit": None, "dirty": False}
    git("add", "moldesign")
    git("commit", "--quiet", "-m", "first")
    commit = git("rev-parse", "HEAD")
    (package / "new.py").write_text("not of the checkout\n")
    assert git_state(package) == {"commit": commit, "dirty": False}
    # Another repository that the user's shell speaks of is not this one.
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "absent"))
    (package / "code.py").write_text("2\n")
    assert git_state(package) == {"commit": commit, "dirty": True}
    monkeypatch.delenv("GIT_DIR")
    git("add", "moldesign/code.py")
    assert git_state(package) == {"commit": commit, "dirty": True}


def test_every_file_that_is_named_has_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_text("model")
    (tmp_path / "a.smi").write_text("CCO\n")
    monkeypatch.chdir(tmp_path)
    spec = {
        "name": "qed",
        "components": [
            {
                "reward": "model",
                "parameters": {"file": "model.onnx", "of": ["a.smi", "C" * 9000, "\x00", 3]},
            },
            {"reward": "similarity", "parameters": {"file": "zinc250k", "references": ["zinc250k"]}},
        ],
    }
    corpus = str(assets.corpora()["zinc250k"])
    found = input_digests([spec, tmp_path / "absent", None])
    assert set(found) == {"model.onnx", "a.smi", corpus}
    assert found["model.onnx"] == hashlib.sha256(b"model").hexdigest()


def test_the_flags_that_matter_in_the_words_of_x86_and_arm(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Xeon\nflags\t\t: fpu amx_bf16 avx2 avx512f\n")
    assert processor(cpuinfo) == "Xeon"
    assert processor_flags(cpuinfo) == ["avx2", "avx512f", "amx_bf16"]
    cpuinfo.write_text("processor\t: 0\nFeatures\t: fp asimd bf16\n")
    assert processor_flags(cpuinfo) == ["asimd", "bf16"]
    assert processor_flags(tmp_path / "absent") == []


#: As the program writes them, to the first lines that matter.
TABLE = """Sat Nov 21 23:00:00 2026
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 550.54.15              Driver Version: 550.54.15      CUDA Version: 12.4     |
|-----------------------------------------+------------------------+----------------------+
"""
LIST = """GPU 0: NVIDIA H200 (UUID: GPU-0123)
GPU 1: NVIDIA GeForce RTX 3090 (UUID: GPU-4567)
  MIG 1g.18gb     Device  0: (UUID: MIG-89)
"""


def program(folder: Path, script: str) -> None:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_what_nvidia_smi_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nvidia() == {}
    program(tmp_path, f"if [ \"$1\" = --list-gpus ]; then echo '{LIST}'; else echo '{TABLE}'; fi")
    assert nvidia() == {
        "driver": "550.54.15",
        "cuda": "12.4",
        "gpus": ["NVIDIA H200", "NVIDIA GeForce RTX 3090"],
    }
    program(tmp_path, "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
    assert nvidia() == {"error": "Failed to initialize NVML: Driver/library version mismatch"}


def test_a_program_that_hangs_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.1)
    sleep = shutil.which("sleep")
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path, f"exec {sleep} 60")
    assert nvidia() == {}
