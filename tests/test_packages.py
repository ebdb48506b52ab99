"""What is declared is what is there: packages, the wheel's files, dependencies and their pins."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]
EXTRAS = PYPROJECT["project"]["optional-dependencies"]

#: Installed name of each source folder at the top level.
FOLDERS = {"moldesign": "moldesign"} | {path: name for name, path in SETUPTOOLS["package-dir"].items()}

REQUIREMENTS = [
    Requirement(text)
    for text in [*PYPROJECT["project"]["dependencies"], *(r for extra in EXTRAS.values() for r in extra)]
]


def sources() -> dict[str, Path]:
    """Every file of the source folders by the path that it has when installed."""
    return {
        f"{name.replace('.', '/')}/{path.relative_to(ROOT / folder).as_posix()}": path
        for folder, name in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }


def test_declared_packages_are_the_tree() -> None:
    tree = {Path(name).parent.as_posix().replace("/", ".") for name in sources() if name.endswith(".py")}
    assert set(SETUPTOOLS["packages"]) == tree


def test_every_package_has_an_init() -> None:
    names = sources().keys()
    missing = [p for p in SETUPTOOLS["packages"] if f"{p.replace('.', '/')}/__init__.py" not in names]
    assert not missing, "an editable install cannot see a package without __init__.py"


def test_wheel_holds_every_source_corpus_and_prior(tmp_path: Path) -> None:
    # Built from a copy: a stale build/ beside the sources would put deleted modules into the wheel.
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in [
        "pyproject.toml",
        *FOLDERS,
        PYPROJECT["project"]["readme"],
        *PYPROJECT["project"]["license-files"],
    ]:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(ROOT / name, copy / name)
    expected = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    built = subprocess.run(
        [*pip, "--wheel-dir", str(tmp_path), str(copy)], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    installed = {
        f"{FOLDERS[top].replace('.', '/')}/{rest}"
        for top, _, rest in (name.partition("/") for name in expected)
        if top in FOLDERS
    }
    assert inside == installed, "declare new kinds of files in [tool.setuptools.package-data]"


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_every_dependency_is_explained(requirement: Requirement) -> None:
    explained = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    assert f"| {requirement.name} |" in explained


#: They cap RDKit, or what it needs, below the version pinned: their extras go without constraints.txt.
OWN_ENVIRONMENT = {"chemprop", "dockstring"}


def test_every_dependency_has_a_pin_that_the_metadata_allows() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    for requirement in REQUIREMENTS:
        if requirement.name in OWN_ENVIRONMENT:
            continue
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier


def test_pins_serve_cpu_and_cuda_builds_alike() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert [pin for pin in pins if re.search(r"\+|^(nvidia|cuda|triton)", pin)] == []
