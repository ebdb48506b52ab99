"""Every command and piece of Python that the README and the docs show is run, in order, on small input."""

from __future__ import annotations

import gzip
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

#: Makes a long command short; the last of two equal options is the one that counts.
CHEAPER = {
    # One batch, and one that a search chooses where a run is resumed.
    "optimize": [
        *("--budget", "32", "--batch-size", "32", "--batch-growth", "0"),
        *("--pool-size", "40", "--generations", "1"),
    ],
    "resume": ["--budget", "40"],
    "sample": ["-n", "20"],
    # Small, and long enough to write molecules: what writes none is asked long for some.
    "pretrain": [
        *("--epochs", "40", "--batch-size", "8", "--learning-rate", "0.01"),
        *("--layers", "1", "--hidden-size", "64", "--embedding-size", "16"),
    ],
    "finetune": ["--epochs", "1"],
    "benchmark speed": ["--repeats", "1", "--seconds", "0"],
    "benchmark estimators": ["--estimates", "4", "--batch", "4"],
    "benchmark pmo": ["--calls", "16", "--tasks", "zaleplon_mpo"],
}
#: Shown without being run here: their own tests run them, or they need a network or an engine.
ELSEWHERE = (
    "make ",
    "python3 -m venv",
    ".venv/bin/pip",
    "moldesign corpora fetch",
    "docker ",
    "git ",
    "torchrun ",
    "pip install",
    "apt-get ",
    "python examples/",
    "python -m moldesign.benchmarks",
)

PAGES = [
    "README.md",
    "docs/corpora.md",
    "docs/dry-run.md",
    "docs/environment.md",
    "docs/estimators.md",
    "docs/execution.md",
    "docs/external-scorers.md",
    "docs/objectives.md",
    "docs/optimize.md",
    "docs/plugins.md",
    "docs/pretraining.md",
    "docs/priors.md",
    "docs/runs.md",
    "docs/sample-efficiency.md",
    "docs/speed.md",
]


def shown_commands(page: str) -> list[str]:
    """The lines of the page's shell blocks, continued lines joined."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    text = "\n".join(blocks).replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the pages speak of."""
    smiles = [f"CC{'C' * n}(=O)Nc1ccc({group})cc1" for n in range(6) for group in "FOCNS"]
    (tmp_path / "molecules.csv").write_text("SMILES\n" + "\n".join(smiles) + "\n")
    (tmp_path / "compounds.csv").write_text("SMILES\n" + "\n".join(smiles) + "\n")
    with gzip.open(tmp_path / "more.smi.gz", "wt") as handle:
        handle.write("CCOc1ccccc1 phenetole\n")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


def run_line(forks: Any, line: str, folder: Path) -> Any:
    command, _, target = line.split("  #")[0].partition(" > ")
    words = shlex.split(command)
    assert words[0] == "moldesign", f"a command that this test does not know: {line}"
    cheaper = CHEAPER.get(words[1]) or CHEAPER.get(" ".join(words[1:3]), [])
    words = [re.sub(r"^python ", f"{sys.executable} ", word) for word in [*words[1:], *cheaper]]
    done = forks(*words, cwd=folder)
    if target:
        (folder / target.strip()).write_text(done.out)
    return done


@pytest.mark.parametrize("page", PAGES)
def test_shown_commands_run(forks: Any, page: str, folder: Path) -> None:
    lines = [line for line in shown_commands(page) if not line.startswith(ELSEWHERE)]
    assert lines
    for line in lines:
        done = run_line(forks, line, folder)
        assert done.code == 0, f"{line}\n{done.err}"


def test_shown_python_runs(folder: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        cheap = re.sub(r"budget=\d+", "budget=40", block)
        words = [sys.executable, "-c", cheap]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        prose = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", prose):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
