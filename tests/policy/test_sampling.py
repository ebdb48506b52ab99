from pathlib import Path

import pytest
import torch

import moldesign
from moldesign.errors import CheckpointError, UsageError
from moldesign.language.tokenizer import END_INDEX, SPECIALS, Tokenizer
from moldesign.policy import sampling
from moldesign.policy.checkpoint import Provenance, load_policy, save_policy
from moldesign.policy.policy import Policy
from moldesign.policy.settings import Architecture


@pytest.fixture
def prior(tmp_path: Path) -> Path:
    """A prior of random weights over C, O, = and a branch: some of what it writes is a molecule."""
    shape = Architecture(layers=1, hidden_size=4, embedding_size=4)
    path = tmp_path / "prior.safetensors"
    save_policy(
        Policy.fresh(shape, Tokenizer([*SPECIALS, "C", "O", "=", "(", ")"]), seed=0), path, Provenance()
    )
    return path


def test_a_sample_is_a_table_of_exactly_n_rows_that_repeats(prior: Path) -> None:
    table = moldesign.sample(prior, 60, seed=3)
    assert list(table.columns) == ["smiles", "valid", "canonical_smiles", "nll"]
    assert len(table) == 60
    assert 0 < table["valid"].sum() < 60
    assert table["canonical_smiles"].duplicated().any()
    assert (table.loc[~table["valid"], "canonical_smiles"] == "").all()
    assert (table["nll"] > 0).all()
    assert table.equals(moldesign.sample(prior, 60, seed=3))
    assert not table.equals(moldesign.sample(prior, 60, seed=4))
    policy, _ = load_policy(prior)
    written = table[table["smiles"] != ""]
    assert policy.nll(list(written["smiles"])) == pytest.approx(written["nll"].to_numpy(), abs=0.05)


def test_unique_and_valid_leave_out_what_they_say(prior: Path) -> None:
    seen: list[int] = []
    table = moldesign.sample(prior, 15, seed=3, unique=True, valid_only=True, progress=seen.append)
    assert len(table) == 15
    assert table["valid"].all()
    assert table["canonical_smiles"].is_unique
    assert seen[-1] == 15


def test_a_prior_that_writes_nothing_new_is_given_up(prior: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, provenance = load_policy(prior)
    with torch.no_grad():
        policy.network.head.bias[END_INDEX] = 100.0  # the empty string, always
    save_policy(policy, prior, provenance)
    monkeypatch.setattr(sampling, "_BARREN", 2000)
    assert len(moldesign.sample(prior, 3, valid_only=True)) == 0
    assert len(moldesign.sample(prior, 3, unique=True)) == 1
    assert list(moldesign.sample(prior, 3)["smiles"]) == ["", "", ""]


def test_no_rows_are_an_empty_table(prior: Path) -> None:
    assert list(moldesign.sample(prior, 0).columns) == ["smiles", "valid", "canonical_smiles", "nll"]


def test_a_prior_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no prior named 'druglik'; did you mean 'druglike'"):
        moldesign.sample("druglik", 1)
    with pytest.raises(CheckpointError, match="x.safetensors: no such file"):
        moldesign.sample(tmp_path / "x.safetensors", 1)
