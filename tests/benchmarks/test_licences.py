from __future__ import annotations

import contextlib
import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from moldesign.benchmarks import audit
from moldesign.benchmarks.licences import closure, direct_requirements, licence_of, licences_page

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def listed(page: str) -> dict[str, tuple[str, str]]:
    """Licence and users by canonical name."""
    rows = re.findall(r"^\| (\S+) \| (.+) \| (.+) \|$", page, re.MULTILINE)
    return {canonicalize_name(name): (licence, users) for name, licence, users in rows if name != "package"}


def test_the_page_lists_the_direct_dependencies_that_the_project_has() -> None:
    rows = listed((ROOT / "docs" / "licences.md").read_text(encoding="utf-8"))
    here = {name for name, (_, users) in rows.items() if re.search(r"every run|extra \w+", users)}
    wanted = {canonicalize_name(one.name) for group in direct_requirements(PROJECT).values() for one in group}
    assert here == wanted, "make audit writes docs/licences.md anew"


def test_every_licence_of_the_page_is_stated() -> None:
    rows = listed((ROOT / "docs" / "licences.md").read_text(encoding="utf-8"))
    assert not [name for name, (licence, _) in rows.items() if licence == "not stated"]
    absent = {name for name, (licence, _) in rows.items() if licence.startswith("not looked at")}
    assert absent == {"chemprop", "dockstring"}


def test_what_is_needed_in_turn_is_found() -> None:
    found = closure([(Requirement("httpx>=0.27"), "")])
    assert found["httpx"] == ["every run"]
    assert "httpcore" in found["h11"]
    assert "pytest" not in found
    assert closure([(Requirement("no-such-package"), "models")]) == {"no-such-package": ["extra models"]}


def test_licences_come_from_where_packages_put_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, facts in {
        "expression": "License-Expression: MIT",
        "short": "License: Apache 2.0\nClassifier: License :: OSI Approved :: Apache Software License",
        "classified": "License: A TEXT\n        of lines\nClassifier: License :: OSI Approved :: BSD License",
        "text": "License: GNU LESSER GENERAL PUBLIC LICENSE\n        Version 3 | 2007\n        and on",
        "nothing": "Classifier: License :: OSI Approved",
    }.items():
        folder = tmp_path / f"licensed_{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: licensed-{name}\nVersion: 1.0\n{facts}\n"
        )
    (tmp_path / "licensed_nothing-1.0.dist-info" / "LICENSE.txt").write_text(
        "\nThe X Licence\n\nAll is allowed."
    )
    record = "licensed_nothing-1.0.dist-info/LICENSE.txt,,\n"
    (tmp_path / "licensed_nothing-1.0.dist-info" / "RECORD").write_text(record)
    monkeypatch.syspath_prepend(str(tmp_path))
    with contextlib.suppress(ImportError):  # it finds packages in its own way from then on, as dask has it
        import importlib_metadata  # noqa: F401
    assert licence_of("licensed-expression") == "MIT"
    assert licence_of("licensed-short") == "Apache 2.0"
    assert licence_of("licensed-classified") == "BSD License"
    assert licence_of("licensed-text") == "GNU LESSER GENERAL PUBLIC LICENSE Version 3 / 2007"
    assert licence_of("licensed-nothing") == "The X Licence"
    assert licence_of("no-such-package") is None


def test_a_package_stands_where_it_is_first_needed() -> None:
    extras = {"models": ["httpx", "no-such-package"], "audit": ["pip-audit"], "dev": []}
    page = licences_page({"dependencies": ["httpx"], "optional-dependencies": extras})
    assert len(re.findall(r"^\| httpx \|", page, re.MULTILINE)) == 1
    assert listed(page)["httpx"][1] == "every run, extra models"
    assert "| no-such-package | not looked at" in page
    assert "pip-audit" not in page
    assert re.search(r"Licences that ask .*certifi \(MPL", page)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder in which pip-audit answers with pip-audit.json where it is there, and else fails."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name, code in {
        "pip-audit": """
pins = dict(line.split("==") for line in open(sys.argv[sys.argv.index("--requirement") + 1]).read().split())
known = folder / "pip-audit.json"
if "--strict" not in sys.argv or not known.exists():
    sys.exit("ERROR: could not connect to the vulnerability feed")
vulnerable = json.loads(known.read_text())
print(json.dumps({"dependencies": [
    {"name": name, "version": version, "vulns": vulnerable.get(name, [])} for name, version in pins.items()
]}))
sys.exit(1 if set(vulnerable) & set(pins) else 0)
""",
        "cyclonedx-py": """
out = pathlib.Path(sys.argv[sys.argv.index("--output-file") + 1])
out.write_text(json.dumps({"components": [{}, {}]}))
""",
    }.items():
        path = folder / name
        head = f"#!{sys.executable}\nimport json, pathlib, sys\nfolder = pathlib.Path(__file__).parent\n"
        path.write_text(head + code)
        path.chmod(0o755)
    return folder


def run_audit(tools: Path, tmp_path: Path) -> int:
    project = '[project]\ndependencies = ["httpx"]\n[project.optional-dependencies]\ndev = ["iniconfig"]\n'
    (tmp_path / "pyproject.toml").write_text(project)
    return audit.main(
        ["--tools", str(tools), "--pyproject", str(tmp_path / "pyproject.toml"),
         "--sbom", str(tmp_path / "out" / "sbom.json"), "--licences", str(tmp_path / "licences.md")]
    )  # fmt: skip


CANARY = {"idna": [{"id": "PYSEC-2024-60", "fix_versions": ["3.7"]}]}
NUMPY = {"numpy": [{"id": "CVE-2099-1", "fix_versions": []}]}


def test_without_the_database_the_rest_is_done(
    tools: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_audit(tools, tmp_path) == 0
    said = capsys.readouterr().out
    assert "nothing was looked up, the database at pypi.org is not reached (ERROR: could not connect" in said
    assert "SBOM: 2 components" in said
    assert listed((tmp_path / "licences.md").read_text())["iniconfig"] == ("MIT", "extra dev")
    # A mirror without the database answers, and knows of nothing.
    (tools / "pip-audit.json").write_text("{}")
    assert run_audit(tools, tmp_path) == 0
    assert "knows of nothing against idna==3.6" in capsys.readouterr().out


def test_a_known_vulnerability_fails(
    tools: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "installed", lambda: ["numpy==2.4.6", "torch==2.13.0"])
    (tools / "pip-audit.json").write_text(json.dumps(CANARY))
    assert run_audit(tools, tmp_path) == 0
    assert "none known in 2 packages" in capsys.readouterr().out
    (tools / "pip-audit.json").write_text(json.dumps(CANARY | NUMPY))
    assert run_audit(tools, tmp_path) == 1
    assert "numpy 2.4.6: CVE-2099-1, mended in no version yet" in capsys.readouterr().out


def test_a_tool_that_fails_or_is_missing_fails(
    tools: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tools / "cyclonedx-py").write_text(f"#!{sys.executable}\nraise SystemExit('no such environment')\n")
    assert run_audit(tools, tmp_path) == 1
    assert "SBOM: cyclonedx-py fails: no such environment" in capsys.readouterr().out
    (tools / "pip-audit").unlink()
    assert run_audit(tools, tmp_path) == 1
    assert "no pip-audit in" in capsys.readouterr().out


def test_what_is_audited_is_every_package_without_local_builds() -> None:
    pins = audit.installed()
    assert any(pin.startswith("numpy==") for pin in pins)
    assert not [pin for pin in pins if "+" in pin or pin.startswith("moldesign")]
