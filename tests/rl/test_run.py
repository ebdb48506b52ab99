"""What a run leaves behind: each candidate is read once for all of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rdkit import Chem

from moldesign.policy.checkpoint import load_policy, save_policy
from moldesign.rl.optimize import optimize
from moldesign.rl.run import Run


@pytest.fixture
def taught_prior(small_prior: Path, tmp_path: Path) -> Path:
    """The small prior, with a corpus of two molecules that it says it was trained on."""
    corpus = tmp_path / "taught.smi"
    corpus.write_text("CCCCCCCCCCCCN\nCCCCCCCCCCCCCO\n")
    policy, provenance = load_policy(small_prior)
    save_policy(
        policy, tmp_path / "taught.safetensors", provenance.model_copy(update={"corpora": [str(corpus)]})
    )
    return tmp_path / "taught.safetensors"


@pytest.mark.parametrize("budget", [40, 160])
def test_every_candidate_is_read_once_for_all_that_is_written(
    taught_prior: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    read: Counter[str] = Counter()
    read_by_rdkit, finish = Chem.MolFromSmiles, Run.finish

    def counting(smiles: str, *arguments: Any, **options: Any) -> Any:
        read[smiles] += 1
        return read_by_rdkit(smiles, *arguments, **options)

    def finish_counted(run: Run, **options: Any) -> None:
        read.clear()
        finish(run, **options)

    monkeypatch.setattr(Chem, "MolFromSmiles", counting)
    monkeypatch.setattr(Run, "finish", finish_counted)
    run = optimize(
        "qed", prior=taught_prior, out=tmp_path / "run", budget=budget, batch_size=32, seed=1,
        export={"sdf": True, "nearest_for": None},
    )  # fmt: skip
    corpus = {"CCCCCCCCCCCCN", "CCCCCCCCCCCCCO"}
    assert {smiles: n for smiles, n in read.items() if smiles not in corpus} == dict.fromkeys(
        run.candidates["smiles"], 1
    )
    # And all of it is there: nearest molecule and structure of each.
    table = pd.read_csv(tmp_path / "run" / "candidates.csv", keep_default_na=False)
    assert len(table) == len(run.candidates) > budget / 2
    assert set(table["nearest_training_smiles"]) <= corpus
    assert len(list(Chem.SDMolSupplier(str(tmp_path / "run" / "candidates.sdf")))) == len(table)
