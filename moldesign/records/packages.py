"""Packages that this one needs, and what is installed of them; nothing is imported to learn it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata

#: The distribution that this package is installed by.
DISTRIBUTION = "moldesign-rl"
#: Extras that only its development uses.
TOOLS = frozenset({"audit", "dev", "peers"})


@dataclass(frozen=True)
class Requirement:
    """A package that this one needs, or an extra of it.

    Attributes:
        bounds: versions that will do, as `>=2.10`; commas join several.
        extra: the extra that needs it; empty where every install does.
    """

    name: str
    bounds: str = ""
    extra: str = ""

    @property
    def version(self) -> str | None:
        """The version that is installed, None where none is."""
        return version(self.name)

    @property
    def met(self) -> bool:
        """Whether it is installed, in a version that will do."""
        here = self.version
        return here is not None and within(here, self.bounds)


def version(package: str) -> str | None:
    """The version of an installed package, None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def python_bounds() -> str:
    """The versions of Python that this package is made for; empty where it is not installed."""
    try:
        facts = metadata.metadata(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return ""
    return facts["Requires-Python"] or ""


def requirements() -> list[Requirement]:
    """What the installed package says that it needs; nothing where it is not installed."""
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return []
    return [_requirement(line) for line in lines]


def versions(needed: Iterable[Requirement]) -> dict[str, str | None]:
    """Version by name of each; None where what every install needs is missing, nothing for an extra's."""
    found = {one.name: one.version for one in needed}
    always = {one.name for one in needed if not one.extra}
    return {name: here for name, here in found.items() if here is not None or name in always}


def within(here: str, bounds: str) -> bool:
    """Whether a version is within bounds like `>=3.11,<3.14`. 2.13.0+cpu counts as 2.13.0."""
    for bound in filter(None, (part.strip() for part in bounds.split(","))):
        found = re.fullmatch(r"(>=|==|<=|<|>)\s*([\d.]+)", bound)
        if found is None:
            continue  # of a kind that this package does not use
        ours, theirs = _release(here), _release(found[2])
        length = max(len(ours), len(theirs))
        ours += (0,) * (length - len(ours))
        theirs += (0,) * (length - len(theirs))
        fits = {
            ">=": ours >= theirs,
            "==": ours == theirs,
            "<=": ours <= theirs,
            "<": ours < theirs,
            ">": ours > theirs,
        }
        if not fits[found[1]]:
            return False
    return True


def _release(text: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _requirement(line: str) -> Requirement:
    # pyarrow>=17; extra == "parquet"
    what, _, marker = line.partition(";")
    found = re.match(r"\s*([A-Za-z0-9._-]+)\s*(.*?)\s*$", what)
    extra = re.search(r"""extra\s*==\s*["']([^"']+)["']""", marker)
    name, bounds = (found[1], found[2]) if found else (what.strip(), "")
    return Requirement(name, bounds, extra[1] if extra else "")
