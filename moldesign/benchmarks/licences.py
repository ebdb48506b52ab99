"""Licences of everything that this package needs, as the packages that are installed state them."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_HEAD = """# Licences

What the packages that this one needs, and those that they need in turn, state of their licences, in the
versions of [constraints.txt](../constraints.txt). `make audit` makes this page anew, and beside it an SBOM,
`dist/sbom.cdx.json`, which has the versions too. This package itself is under the MIT licence. Why each
direct dependency is there: [dependencies.md](dependencies.md).

torch's builds for CUDA bring NVIDIA's libraries (`nvidia-*`, `cuda-*`), under NVIDIA's own licences, and
`triton` (MIT); the build without CUDA, of which this list is made, has none of them.
"""
_COPYLEFT = re.compile(r"\b[AL]?GPL|GNU|MPL|Mozilla|EPL|CeCILL", re.IGNORECASE)
#: Classifiers that name no licence.
_VAGUE = {"OSI Approved", "DFSG approved"}
_ABSENT = "not looked at: it goes into an environment of its own"


def licences_page(project: Mapping[str, Any]) -> str:
    """The page in Markdown: tables of what every run needs, of what extras add, and of the tools.

    Args:
        project: the table of that name in pyproject.toml.
    """
    direct = direct_requirements(project)
    roots = {extra: [(one, extra) for one in needed] for extra, needed in direct.items()}
    users = closure(root for extra in roots for root in roots[extra])
    licences = {name: licence_of(name) for name in users}
    parts, listed = [_HEAD], set[str]()
    for title, extras in _sections(direct).items():
        # A package stands once: in the table where it is first needed.
        here = closure(root for extra in extras for root in roots[extra]).keys() - listed
        listed |= here
        rows = [
            f"| {name} | {licences[name] or _ABSENT} | {', '.join(users[name])} |"
            for name in sorted(here, key=str.lower)
        ]
        parts.append(
            "\n".join([f"## {title}\n", "| package | licence | needed by |", "|---|---|---|", *rows, ""])
        )
    copyleft = [
        f"{name} ({text})" for name, text in sorted(licences.items()) if text and _COPYLEFT.search(text)
    ]
    parts.append(f"Licences that ask for something when the code is passed on: {'; '.join(copyleft)}.\n")
    return "\n".join(parts)


def direct_requirements(project: Mapping[str, Any]) -> dict[str, list[Requirement]]:
    """By extra, '' for every install, what pyproject.toml asks for; all but the tools of the audit itself."""
    extras = project.get("optional-dependencies", {})
    listed = {"": project["dependencies"], **{name: extras[name] for name in extras if name != "audit"}}
    return {name: [Requirement(text) for text in texts] for name, texts in listed.items()}


def closure(roots: Iterable[tuple[Requirement, str]]) -> dict[str, list[str]]:
    """By name as installed, everything that the requirements lead to here: who needs it, in words.

    Args:
        roots: a requirement, and the extra that has it, '' for none.
    """
    names: dict[str, str] = {}
    users: dict[str, list[str]] = defaultdict(list)
    seen: set[tuple[str, str]] = set()
    waiting = [(root, f"extra {extra}" if extra else "every run") for root, extra in roots]
    while waiting:
        requirement, user = waiting.pop(0)
        key = canonicalize_name(requirement.name)
        if user not in users[key]:
            users[key].append(user)
        try:
            found = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            names.setdefault(key, requirement.name)
            continue
        names[key] = found.name
        for extra in ("", *requirement.extras):
            if (key, extra) in seen:
                continue
            seen.add((key, extra))
            for text in found.requires or []:
                needed = Requirement(text)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    waiting.append((needed, found.name))
    return {names[key]: named for key, named in users.items()}


def licence_of(package: str) -> str | None:
    """The licence that an installed package states, on one line; None where the package is not installed."""
    try:
        found = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return None
    facts = found.metadata
    # By get_all: of what is missing importlib_metadata, the package, raises where the library gives None.
    if expression := facts.get_all("License-Expression"):
        return _line(expression[0])
    stated = str((facts.get_all("License") or [""])[0]).removeprefix("License :: OSI Approved :: ").strip()
    if stated and "\n" not in stated and len(stated) <= 60:
        return _line(stated)
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in facts.get_all("Classifier") or []
        if text.startswith("License ::")
    ]
    if named := [name for name in classifiers if name not in _VAGUE]:
        return _line(", ".join(named))
    if stated:
        return _line(" ".join(stated.split("\n", 2)[:2]))
    for file in found.files or []:
        if re.match(r"(LICEN[CS]E|COPYING)", file.name, re.IGNORECASE):
            text = Path(str(file.locate())).read_text(encoding="utf-8", errors="replace")
            return _line(text.strip().partition("\n")[0])
    return "not stated"


def _sections(direct: Mapping[str, object]) -> dict[str, list[str]]:
    """The extras of each table, by its title."""
    others = [extra for extra in direct if extra not in ("", "dev")]
    return {"Needed to run": [""], "Needed by extras": others, "Tools of development": ["dev"]}


def _line(text: str) -> str:
    """The text on one line, with nothing in it that ends a cell of a table."""
    return " ".join(text.split()).replace("|", "/")


def write_licences(path: Path, pyproject: Path) -> int:
    """Write the page; gives the number of packages in it."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    text = licences_page(project)
    path.write_text(text, encoding="utf-8")
    return sum(line.startswith("| ") for line in text.splitlines()) - text.count("| package |")
