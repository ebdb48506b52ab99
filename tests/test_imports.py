"""What an import loads: each test starts a Python of its own, since sys.modules here is full."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("matplotlib", "numpy", "pandas", "pydantic", "rdkit", "rich", "torch", "typer")

#: What no command needs before it works: it costs a second and more between them.
IDLE = (
    "dask", "distributed", "httpx", "matplotlib", "moocore", "onnxruntime", "scipy", "sklearn", "sympy",
    "torch._dynamo", "torch._inductor", "torch.onnx",
)  # fmt: skip


def loaded_by(code: str, names: tuple[str, ...] = HEAVY) -> set[str]:
    """Those of the names that a fresh Python has loaded after `code`."""
    report = (
        f"{code}\nimport sys\nprint(*(name for name in {names!r} if name in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *said, loaded = done.stderr.splitlines()
    assert not said
    return set(loaded.split())


def loaded_by_command(*arguments: object, names: tuple[str, ...]) -> set[str]:
    """Those of the names that the command has loaded when it ends, having said what it said on stdout."""
    return loaded_by(
        f"import sys\nsys.argv = {['moldesign', *map(str, arguments)]!r}\n"
        "from moldesign.cli.app import app\n"
        "app(standalone_mode=False)",
        names,
    )


def test_importing_moldesign_loads_nothing_heavy() -> None:
    assert loaded_by("import moldesign") == set()


def test_the_help_and_the_version_load_what_they_print_with_and_no_command() -> None:
    assert loaded_by_command("--version", names=(*HEAVY, *IDLE)) == {"typer"}
    commands = tuple(f"moldesign.cli.{name}" for name in ("optimize", "pretrain", "rewards", "sample"))
    assert loaded_by_command("--help", names=(*HEAVY, *IDLE, *commands)) == {"rich", "typer"}


@pytest.mark.parametrize("command", ["doctor", "optimize", "pretrain", "sample", "score", "rewards"])
def test_the_help_of_a_command_loads_neither_numbers_nor_molecules(command: str) -> None:
    loaded = loaded_by_command(command, "--help", names=(*HEAVY, *IDLE))
    assert loaded <= {"pydantic", "rich", "typer"}


def test_sampling_loads_no_compiler_no_tables_and_no_figures(small_prior: Path, tmp_path: Path) -> None:
    out = tmp_path / "samples.csv"
    names = (*IDLE, "pandas", "pyarrow")
    loaded = loaded_by_command("sample", "-n", 3, "--prior", small_prior, "-o", out, "--json", names=names)
    assert loaded == set()
    assert len(out.read_text().splitlines()) == 4


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
