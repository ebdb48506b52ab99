"""Names and paths of corpora and priors."""

from __future__ import annotations

from pathlib import Path

import pytest

from moldesign import assets
from moldesign.errors import UsageError
from moldesign.files import sha256


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOLDESIGN_HOME", str(tmp_path))
    return tmp_path


def test_the_cache_folder_is_where_the_environment_says(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert assets.home() == cache
    monkeypatch.delenv("MOLDESIGN_HOME")
    assert assets.home() == Path.home() / ".cache" / "moldesign"


def test_shipped_corpora_are_found_by_name() -> None:
    for name in ("zinc250k", "chembl_sample"):
        path = assets.corpus_path(name)
        assert path.is_file()
        assert assets.shipped(path)


@pytest.mark.parametrize("name", ["zinc250k", "chembl_sample"])
def test_the_card_names_the_file_that_is_shipped(name: str) -> None:
    assert sha256(assets.corpus_path(name)) in assets.corpus_card(name)


def test_fetched_corpora_are_found_and_half_written_ones_are_not(cache: Path) -> None:
    folder = cache / "corpora"
    folder.mkdir()
    (folder / "mine.smi.xz").write_bytes(b"x")
    (folder / ".tmp-00-other.smi.xz").write_bytes(b"x")
    (folder / "zinc250k.smi.xz").write_bytes(b"x")
    assert assets.corpus_path("mine") == folder / "mine.smi.xz"
    assert not assets.shipped(assets.corpus_path("mine"))
    assert ".tmp-00-other" not in assets.corpora()
    assert assets.shipped(assets.corpus_path("zinc250k")), "a shipped corpus is not shadowed by the cache"


def test_in_a_folder_that_every_user_may_write_to_no_name_is_looked_for(cache: Path) -> None:
    (cache / "priors").mkdir()
    for name in ("druglike", "mine"):
        (cache / "priors" / f"{name}.safetensors").write_bytes(b"x")
    assert assets.prior_path("mine").parent == cache / "priors"
    for folder in (cache, cache / "priors"):
        folder.chmod(0o777)
        assert "mine" not in assets.priors()
        assert assets.shipped(assets.prior_path("druglike"))
        with pytest.raises(UsageError, match="every user may write: chmod -R o-w"):
            assets.prior_path("mine")
        folder.chmod(0o755)


def test_a_path_stays_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert assets.corpus_path("some/where.smi") == Path("some/where.smi")
    assert assets.prior_path(Path("runs/prior.safetensors")) == Path("runs/prior.safetensors")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    assert assets.prior_path("folder") == Path("folder")


def test_an_unknown_name_brings_the_nearest() -> None:
    with pytest.raises(UsageError, match="no corpus named 'zinc205k'; did you mean 'zinc250k'"):
        assets.corpus_path("zinc205k")
    with pytest.raises(UsageError, match="moldesign corpora fetch moses"):
        assets.corpus_path("moses_train")
    with pytest.raises(UsageError, match="no prior named 'nothing-like-it'"):
        assets.prior_path("nothing-like-it")
