from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from moldesign.assets import corpus_path, home
from moldesign.benchmarks.classifiers import CLASSIFIERS, classifier
from moldesign.chem.fingerprints import fingerprint
from moldesign.chem.molecules import read
from moldesign.errors import UsageError
from moldesign.language import corpus


def converted(folder: Path) -> pd.DataFrame:
    """A classifier in place of drd2's, as the converter leaves it, and what it says of forty molecules."""
    smiles = corpus.load(corpus_path("zinc250k"))[:40]
    rows = np.zeros((40, 2048), dtype=np.float32)
    for row, text in zip(rows, smiles, strict=True):
        for feature, count in fingerprint(read(text), "fcfp6", counts=True).GetNonzeroElements().items():
            row[feature % 2048] += count
    model = LogisticRegression().fit(rows, np.arange(40) % 2)
    onnx = to_onnx(model, rows[:1], options={"zipmap": False})
    (folder / "drd2.onnx").write_bytes(onnx.SerializeToString())
    return pd.DataFrame({"smiles": smiles, "probability": model.predict_proba(rows)[:, 1]})


def test_a_classifier_says_what_the_original_said(tmp_path: Path) -> None:
    table = converted(tmp_path)
    table.to_csv(tmp_path / "drd2.csv", index=False)
    found = classifier("drd2", tmp_path).evaluate([read(smiles) for smiles in table["smiles"]])
    np.testing.assert_allclose(found.score, table["probability"], atol=1e-5)


def test_one_that_says_something_else_is_refused(tmp_path: Path) -> None:
    table = converted(tmp_path)
    table["probability"] += np.where(np.arange(40) == 7, 0.01, 0.0)
    table.to_csv(tmp_path / "drd2.csv", index=False)
    with pytest.raises(UsageError, match=r"drd2.onnx: off the original by 0\.01 for .*make pmo-classifiers"):
        classifier("drd2", tmp_path)


def test_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"jnk3.onnx: the classifier of 'jnk3' is not there; .*--tasks rdkit"
    ):
        classifier("jnk3", tmp_path)
    converted(tmp_path)
    with pytest.raises(UsageError, match=r"drd2.csv: not what `make pmo-classifiers` writes"):
        classifier("drd2", tmp_path)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_real_ones_are_what_they_were(name: str) -> None:
    if not (home() / "pmo" / f"{name}.onnx").is_file():
        pytest.skip("not converted here: make pmo-classifiers")
    classifier(name)
