"""What an import loads: each test starts a Python of its own, since sys.modules here is full."""

import subprocess
import sys

import pytest

HEAVY = ("matplotlib", "numpy", "pandas", "pydantic", "rdkit", "rich", "torch", "typer")


def loaded_by(code: str) -> set[str]:
    """Those of HEAVY that a fresh Python has loaded after `code`."""
    report = f"{code}\nimport sys\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return set(done.stdout.split())


def test_importing_moldesign_loads_nothing_heavy() -> None:
    assert loaded_by("import moldesign") == set()


@pytest.mark.parametrize("package", ["chem", "rewards", "records"])
def test_every_module_of_a_torchless_package_loads_no_torch(package: str) -> None:
    # Workers that score molecules import these; torch would cost each 1.5 s and 200 MB.
    loaded = loaded_by(
        "import importlib, pkgutil\n"
        f"import moldesign.{package} as package\n"
        "for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "    importlib.import_module(module.name)"
    )
    assert "torch" not in loaded
    assert "typer" not in loaded
