from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from moldesign.records.packages import (
    TOOLS,
    Requirement,
    python_bounds,
    requirements,
    version,
    versions,
    within,
)

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_what_the_installed_package_needs_is_read_whole() -> None:
    here = {(one.extra, one.name): one for one in requirements()}
    for text in PROJECT["dependencies"]:
        name, bounds = re.fullmatch(r"([\w-]+)(.*)", text).groups()  # type: ignore[union-attr]
        assert here["", name].bounds == bounds
        assert here["", name].met
    assert ("models", "skops") in here
    assert within("3.11.7", python_bounds())


@pytest.mark.parametrize(
    ("here", "bounds", "fits"),
    [
        ("2.13.0+cpu", ">=2.10", True),
        ("2.9.1", ">=2.10", False),
        ("2.10", ">=2.10.0", True),
        ("3.14.0", ">=3.11,<3.14", False),
        ("3.13.9", "<3.14,>=3.11", True),
        ("2.0.2", "==2.0.2", True),
        ("2.0.3", "==2.0.2", False),
        ("1.0rc1", "", True),
    ],
)
def test_versions_and_bounds(here: str, bounds: str, fits: bool) -> None:
    assert within(here, bounds) == fits


def test_every_bound_of_the_project_is_of_a_kind_that_is_understood() -> None:
    texts = [
        *PROJECT["dependencies"],
        *(t for group in PROJECT["optional-dependencies"].values() for t in group),
    ]
    for text in texts:
        assert re.fullmatch(r"[\w-]+(>=|==)[\d.]+", text), text
    assert set(PROJECT["optional-dependencies"]) >= TOOLS


def test_what_is_missing_has_no_version() -> None:
    assert version("no-such-package") is None
    missing, optional = Requirement("no-such-package"), Requirement("nor-this-one", extra="models")
    assert versions([Requirement("numpy"), missing, optional]) == {
        "numpy": np.__version__,
        "no-such-package": None,
    }
    assert not missing.met
