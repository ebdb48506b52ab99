"""What `make audit` does: known vulnerabilities of what is installed, a list of it, and its licences.

Run as `python -m moldesign.benchmarks.audit --tools FOLDER`, with pip-audit and cyclonedx-py in that folder.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from moldesign.benchmarks.licences import write_licences
from moldesign.records.packages import DISTRIBUTION

#: A release that has a vulnerability for certain: what does not know it is not the database.
_CANARY = "idna==3.6"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 1 where a vulnerability is known, or where a tool fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", type=Path, required=True, help="folder of pip-audit and cyclonedx-py")
    parser.add_argument("--pyproject", type=Path, default=Path("pyproject.toml"))
    parser.add_argument("--sbom", type=Path, default=Path("dist/sbom.cdx.json"))
    parser.add_argument("--licences", type=Path, default=Path("docs/licences.md"))
    given = parser.parse_args(argv)
    safe = report_vulnerabilities(given.tools / "pip-audit", installed())
    listed = write_sbom(given.tools / "cyclonedx-py", given.pyproject, given.sbom)
    _say(f"licences: {write_licences(given.licences, given.pyproject)} packages in {given.licences}")
    return 0 if safe and listed else 1


def installed() -> list[str]:
    """name==version of every package here but this one; 2.13.0+cpu counts as 2.13.0."""
    found = {one.name: one.version.partition("+")[0] for one in metadata.distributions()}
    return sorted(f"{name}=={version}" for name, version in found.items() if name != DISTRIBUTION)


def report_vulnerabilities(pip_audit: Path, pins: Sequence[str]) -> bool:
    """Say which pinned packages have known vulnerabilities; whether there are none, or none to learn of.

    Where the database cannot be reached, that is said, and is no failure.
    """
    if not pip_audit.is_file():
        _say(f"vulnerabilities: no pip-audit in {pip_audit.parent}; `make audit` installs it there")
        return False
    packages, failure = _vulnerabilities(pip_audit, [_CANARY])
    if not any(package["vulns"] for package in packages):
        reason = failure or f"what answers for it knows of nothing against {_CANARY}"
        _say(f"vulnerabilities: nothing was looked up, the database at pypi.org is not reached ({reason})")
        return True
    packages, failure = _vulnerabilities(pip_audit, pins)
    if failure:
        _say(f"vulnerabilities: pip-audit fails: {failure}")
        return False
    known = [(package, one) for package in packages for one in package["vulns"]]
    for package, one in known:
        mended = ", ".join(one["fix_versions"]) or "no version yet"
        _say(f"vulnerabilities: {package['name']} {package['version']}: {one['id']}, mended in {mended}")
    if not known:
        _say(f"vulnerabilities: none known in {len(packages)} packages")
    return not known


def _vulnerabilities(pip_audit: Path, pins: Sequence[str]) -> tuple[list[dict[str, Any]], str]:
    """What pip-audit says of each package, and in a line, why it fails, if it does."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "pins.txt"
        wanted.write_text("\n".join(pins) + "\n", encoding="utf-8")
        done = subprocess.run(
            [str(pip_audit), "--strict", "--requirement", str(wanted), "--no-deps", "--disable-pip",
             "--format", "json", "--progress-spinner", "off"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    try:
        # Its exit code is 1 both where it finds something and where it fails: only then is there no JSON.
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return [], said[-1]
    return packages, ""


def write_sbom(cyclonedx: Path, pyproject: Path, path: Path) -> bool:
    """Write a CycloneDX list of what is installed, as JSON; whether that went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [str(cyclonedx), "environment", sys.executable, "--pyproject", str(pyproject),
         "--output-reproducible", "--output-format", "JSON", "--output-file", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        _say(f"SBOM: cyclonedx-py fails: {said[-1]}")
        return False
    components = len(json.loads(path.read_text(encoding="utf-8"))["components"])
    _say(f"SBOM: {components} components in {path}")
    return True


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
