"""What the source may not do, and the promises of docs/security.md, each with the test that holds it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*(ROOT / "moldesign").rglob("*.py"), *(ROOT / "cli").rglob("*.py"),
                  *(ROOT / "data").rglob("*.py"), *(ROOT / "models").rglob("*.py")])  # fmt: skip

#: Modules that run what they read, or unpack to names of others.
MODULES = frozenset(
    "_pickle cPickle cloudpickle code codeop dill imp joblib marshal pdb pickle pty runpy shelve tarfile xml"
    " yaml".split()
)
#: Calls by their last names, whatever they are called on.
CALLS = frozenset(
    "eval exec compile __import__ system popen spawnl spawnv spawnvp execl execv execve execvp getoutput"
    " getstatusoutput read_pickle read_hdf extractall extract mktemp load_extension enable_load_extension"
    " create_subprocess_shell".split()
)
#: Where one of them stands all the same, and why it is no way in.
ALLOWED = {
    ("chem/descriptors.py", "pickle"): "RDKit's own model, out of its own package",
    ("language/workers.py", "pickle"): "from a process to the workers that it started, by a pipe",
    ("rewards/messages.py", "pickle"): "between a process and the workers that it started, by a socket",
    ("rewards/models.py", "joblib"): "bytes whose hash --trust-plugin recorded",
    ("rewards/catalogue.py", "compile"): "bytes whose hash --trust-plugin recorded",
    ("rewards/catalogue.py", "exec"): "bytes whose hash --trust-plugin recorded",
}  # fmt: skip


def doubtful(tree: ast.AST) -> Iterator[str]:
    """Names of modules and calls in a source that could run what they are given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in MODULES:
            yield node.module
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            last = name.rpartition(".")[2]
            # network.eval() is none of Python's eval, nor re.compile its compile.
            if (name == last or last not in ("eval", "exec", "compile")) and last in CALLS:
                yield last
            keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if keywords.get("shell", "False") != "False":
                yield "shell=True"
            if keywords.get("allow_pickle", "False") != "False":
                yield "allow_pickle=True"
            if name in ("torch.load", "np.load", "numpy.load") and keywords.get("allow_pickle") != "False":
                yield name


def test_nothing_in_the_source_runs_what_it_reads() -> None:
    found = {}
    for path in SOURCES:
        for name in doubtful(ast.parse(path.read_text(encoding="utf-8"))):
            place = str(path.relative_to(ROOT)).removeprefix("moldesign/")
            found[place, name] = path
    assert set(found) == set(ALLOWED)


@pytest.mark.parametrize(
    "line",
    ["import pickle", "from dill import loads", "torch.load('x')", "np.load('x')", "eval('1')",
     "os.system('x')", "subprocess.run('x', shell=True)", "subprocess.run('x', shell=maybe)",
     "pd.read_pickle('x')", "np.load('x', allow_pickle=True)", "archive.extractall()"],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(line: str) -> None:
    assert list(doubtful(ast.parse(line)))
    assert not list(doubtful(ast.parse("network.eval(); re.compile('x'); np.load(path, allow_pickle=False)")))


def test_each_promise_names_a_test_that_is_there() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| ")]
    promises = [row for row in rows if "tests/" in row[-2]]
    assert len(promises) >= 25
    for row in promises:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row[-2])
        assert named, f"no test for: {row[1]}"
        for file, test in named:
            assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file} has no {test}"
