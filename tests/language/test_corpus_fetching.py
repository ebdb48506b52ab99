"""Fetching a corpus from a package, here one made on the spot and found by pip in a local folder."""

from __future__ import annotations

import gzip
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from moldesign import assets
from moldesign.errors import DataError, ResourceError, UsageError
from moldesign.files import sha256
from moldesign.language import fetching
from moldesign.language.corpus import load

MEMBERS = {"moses_train": ["CCO", "CCN"], "moses_test": ["CCC"], "moses_test_scaffolds": ["CCCl"]}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel with the tables of MOSES, alone in the only folder where pip looks."""
    folder = tmp_path / "index"
    folder.mkdir()
    real = fetching.SOURCES["moses"]
    path = folder / real.filename
    with zipfile.ZipFile(path, "w") as archive:
        for name, smiles in MEMBERS.items():
            table = "SMILES,SPLIT\n" + "".join(f"{text},x\n" for text in smiles)
            archive.writestr(real.members[name], gzip.compress(table.encode()))
        archive.writestr("../outside.txt", "x")
        archive.writestr(
            "molsets-0.3.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: molsets\nVersion: 0.3.1\n"
        )
        archive.writestr("molsets-0.3.1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("molsets-0.3.1.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("MOLDESIGN_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(fetching.SOURCES, "moses", replace(real, sha256=sha256(path)))
    return path


def test_a_fetched_corpus_is_found_by_name(package: Path, tmp_path: Path) -> None:
    paths = fetching.fetch("moses")
    assert [path.name for path in paths] == [f"{name}.smi.xz" for name in MEMBERS]
    for name, smiles in MEMBERS.items():
        assert load(name) == smiles
        assert "free to use" in assets.corpus_card(name)
    assert not list(tmp_path.rglob("outside.txt")), "nothing but the tables is taken out of the package"
    package.unlink()
    assert fetching.fetch("moses") == paths, "what is there is not downloaded again"


def test_another_package_than_expected_is_not_opened(package: Path, tmp_path: Path) -> None:
    package.write_bytes(package.read_bytes() + b"\0")
    with pytest.raises(DataError, match="its sha256 is"):
        fetching.fetch("moses")
    assert not list((tmp_path / "home").rglob("*.xz"))


def test_modules_of_the_folder_it_runs_in_are_not_imported(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pip", "random", "zipfile"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    assert fetching.fetch("moses")
    assert not (tmp_path / "marker").exists()


def test_nothing_is_fetched_into_a_folder_that_every_user_may_write_to(package: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(0o777)
    with pytest.raises(ResourceError, match="every user may write there: chmod -R o-w"):
        fetching.fetch("moses")
    assert list((tmp_path / "home").iterdir()) == []


def test_a_download_that_fails_is_one_line(package: Path) -> None:
    package.unlink()
    with pytest.raises(ResourceError, match=r"pip could not download molsets==0.3.1") as caught:
        fetching.fetch("moses")
    assert "\n" not in str(caught.value)


def test_an_unknown_name() -> None:
    with pytest.raises(UsageError, match="no corpus 'mosses' to fetch; did you mean 'moses'"):
        fetching.fetch("mosses")
