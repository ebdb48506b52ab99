"""Models give what they give elsewhere; a file that could run code is not opened unless it is trusted."""

import hashlib
import os
import pickle
import re
import subprocess
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn.base
import skops.io
from pydantic import ValidationError
from rdkit.Chem import Descriptors, rdFingerprintGenerator
from rdkit.Chem.rdMolDescriptors import CalcCrippenDescriptors
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from moldesign.chem.features import Features
from moldesign.chem.molecules import read
from moldesign.errors import RewardError, UsageError
from moldesign.rewards import models, trust
from moldesign.rewards.models import (
    OnnxModelParameters,
    PickleModelParameters,
    SkopsModelParameters,
    onnx_model,
    pickle_model,
    skops_model,
)
from moldesign.rewards.objective import Objective

ROOT = Path(__file__).parents[2]
MOLS = [read(f"{'C' * n}{group}") for n in range(1, 8) for group in ("O", "N", "Cl", "c1ccccc1", "C(=O)O")]

GENERATOR = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=256)
#: What a user computes with RDKit before training; in the parameters it is READS.
X = np.array([GENERATOR.GetCountFingerprintAsNumPy(mol) for mol in MOLS], dtype=np.float64)
READS: dict[str, Any] = {"fingerprint": "ecfp4", "counts": True, "bits": 256}
Y = np.array([CalcCrippenDescriptors(mol)[0] for mol in MOLS])
CLASSES = np.digitize(Y, [1.0, 2.0])


@pytest.fixture(autouse=True)
def nothing_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_trusted", {})


@pytest.fixture(scope="module")
def forest() -> RandomForestRegressor:
    return RandomForestRegressor(8, random_state=0, n_jobs=2).fit(X, Y)


@pytest.fixture(scope="module")
def classifier() -> RandomForestClassifier:
    return RandomForestClassifier(8, random_state=0).fit(X, CLASSES > 0)


def saved_onnx(model: Any, path: Path, **options: Any) -> str:
    path.write_bytes(to_onnx(model, X[:1].astype(np.float32), **options).SerializeToString())
    return str(path)


def onnx(file: str, **parameters: Any) -> models.Model:
    reward = onnx_model(OnnxModelParameters(file=file, **parameters))
    assert isinstance(reward, models.Model)
    return reward


# ONNX


def test_onnx_regression_is_scikit_learns(forest: RandomForestRegressor, tmp_path: Path) -> None:
    file = saved_onnx(forest, tmp_path / "forest.onnx")
    reward = onnx(file, **READS)
    np.testing.assert_allclose(reward(MOLS), forest.predict(X), rtol=1e-5)
    np.testing.assert_allclose(reward(MOLS[:1]), forest.predict(X[:1]), rtol=1e-5)
    assert reward([]).shape == (0,)
    assert reward.fingerprint == hashlib.sha256(Path(file).read_bytes()).hexdigest()


@pytest.mark.parametrize("zipmap", [True, False])
def test_onnx_classifier_gives_the_probability_of_its_second_class(
    classifier: RandomForestClassifier, tmp_path: Path, zipmap: bool
) -> None:
    file = saved_onnx(classifier, tmp_path / "class.onnx", options={"zipmap": zipmap})
    expected = classifier.predict_proba(X)
    np.testing.assert_allclose(onnx(file, **READS)(MOLS), expected[:, 1], atol=1e-5)
    np.testing.assert_allclose(onnx(file, **READS, column=0)(MOLS), expected[:, 0], atol=1e-5)
    labels = onnx(file, **READS, output="output_label" if zipmap else "label")(MOLS)
    np.testing.assert_array_equal(labels, classifier.predict(X))


def test_of_more_values_than_one_the_user_says_which(tmp_path: Path) -> None:
    three = saved_onnx(
        LogisticRegression().fit(X, CLASSES), tmp_path / "three.onnx", options={"zipmap": False}
    )
    two = saved_onnx(LinearRegression().fit(X, np.stack([Y, -Y], axis=1)), tmp_path / "two.onnx")
    for file, count in [(three, 3), (two, 2)]:
        with pytest.raises(RewardError, match=f"gives {count} values a molecule: say which with column"):
            onnx(file, **READS)(MOLS)
        with pytest.raises(RewardError, match=r"no column 7 \(from 0\)"):
            onnx(file, **READS, column=7)(MOLS)
    np.testing.assert_allclose(
        onnx(two, **READS, column=1)(MOLS), -onnx(two, **READS, column=0)(MOLS), atol=1e-4
    )


def test_onnx_reads_descriptors_and_fails_a_molecule_without_them(tmp_path: Path) -> None:
    x = np.array([[CalcCrippenDescriptors(mol)[0], Descriptors.MaxPartialCharge(mol)] for mol in MOLS])
    model = LinearRegression().fit(x, Y * 3 + 1)
    path = tmp_path / "descriptors.onnx"
    path.write_bytes(to_onnx(model, x[:1]).SerializeToString())  # of float64
    reward = onnx(str(path), descriptors=["MolLogP", "MaxPartialCharge"])
    values = reward([MOLS[0], read("CC[Se]C"), MOLS[1]])
    np.testing.assert_allclose(values, [Y[0] * 3 + 1, np.nan, Y[1] * 3 + 1], atol=1e-6)
    assert np.isnan(reward([read("CC[Se]C")])).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"fingerprint": "ecfp4"}, "reads 256 features, the parameters give 2048"),
        ({**READS, "descriptors": ["TPSA"]}, "reads 256 features, the parameters give 257"),
        ({**READS, "output": "probability"}, r"has no output 'probability' \(it has: variable\)"),
    ],
)
def test_onnx_that_does_not_fit(
    forest: RandomForestRegressor, tmp_path: Path, parameters: dict[str, Any], message: str
) -> None:
    file = saved_onnx(forest, tmp_path / "forest.onnx")
    with pytest.raises(UsageError, match=message):
        onnx(file, **parameters)


def test_onnx_with_weights_in_other_files(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    model = to_onnx(LinearRegression().fit(X, Y), X[:1].astype(np.float32))
    # As an initialiser, and in a graph within an attribute of a node.
    for tensors, within in [(model.graph.initializer, model), (None, None)]:
        if tensors is None:
            model = to_onnx(LinearRegression().fit(X, Y), X[:1].astype(np.float32))
            branch = model.graph.node[0].attribute.add(name="body", type=5).g
            tensors, within = branch.initializer, model
        tensor = tensors.add(name="w", data_type=1, dims=[1], data_location=1)
        tensor.external_data.add(key="location", value="/etc/passwd")
        file.write_bytes(within.SerializeToString())
        with pytest.raises(UsageError, match="model.onnx has its weights in other files"):
            onnx(str(file), **READS)


def test_what_is_no_onnx(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    nested = b""
    for field in [b"\x3a", *[b"\x0a", b"\x2a", b"\x32"] * 40][::-1]:  # graph: node: attribute: graph: ...
        length = bytes([len(nested) & 127 | 128, len(nested) >> 7])
        nested = field + length + nested
    for content in (b"\x00 no model", b"", b"\x3a\xff\xff\xff\xff\x7f", b"\xff" * 99, nested):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="no model that onnxruntime can load"):
            onnx(str(path), **READS)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"file": "/no/model.onnx", "fingerprint": "ecfp4"}, "no such file: /no/model.onnx"),
        ({}, "say what the model reads"),
        ({"counts": True, "descriptors": ["TPSA"]}, "counts and bits belong to a fingerprint"),
        ({"fingerprint": "maccs", "bits": 512}, "'maccs' has bits of its own"),
        ({"descriptors": ["LogP"]}, "no descriptor 'LogP'"),
    ],
)
def test_parameters_that_cannot_be(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        OnnxModelParameters.model_validate({"file": str(ROOT / "README.md")} | parameters)


def test_a_model_that_forgets_molecules_is_broken() -> None:
    reward = models.Model(Features("ecfp4", bits=256), lambda rows: rows[:1, 0], np.asarray, "")
    with pytest.raises(RewardError, match="1 values for 35 molecules"):
        reward(MOLS)


def test_the_example_trains_a_model_that_scores(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "train_onnx_model.py"), "logp.onnx"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.rsplit(maxsplit=1)[-1]) > 0.6
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    (toml,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    was = Path.cwd()
    os.chdir(tmp_path)
    try:
        objective = Objective.from_toml(toml)
    finally:
        os.chdir(was)
    known = read((tmp_path / "logp.smi").read_text().split()[0])
    strange = read("[Na+].[Na+].[O-]S(=O)(=O)[O-]")
    scores = objective.evaluate([known, strange])
    assert scores.reasons == [None, None]
    assert scores.raw["predicted_logp"][0] == pytest.approx(CalcCrippenDescriptors(known)[0], abs=1.5)
    assert scores.raw["applicability_domain"][0] == 1.0
    assert scores.shaped["applicability_domain"].tolist() == [1, 0]


# skops


def test_skops_gives_what_scikit_learn_gives(
    forest: RandomForestRegressor, classifier: RandomForestClassifier, tmp_path: Path
) -> None:
    skops.io.dump(forest, tmp_path / "forest.skops")
    skops.io.dump(classifier, tmp_path / "class.skops")
    reward = skops_model(SkopsModelParameters(file=str(tmp_path / "forest.skops"), **READS))
    np.testing.assert_allclose(reward(MOLS), forest.predict(X), atol=1e-12)
    reward = skops_model(SkopsModelParameters(file=str(tmp_path / "class.skops"), **READS))
    np.testing.assert_array_equal(reward(MOLS), classifier.predict_proba(X)[:, 1])


@pytest.fixture
def own_module(monkeypatch: pytest.MonkeyPatch) -> Callable[[np.ndarray], np.ndarray]:
    """A function that only this module knows."""
    module = types.ModuleType("my_own_module")

    def negated(x: np.ndarray) -> np.ndarray:
        return -x

    negated.__module__, negated.__qualname__ = module.__name__, "negated"
    module.negated = negated  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return negated


def test_skops_with_foreign_types_needs_trust(
    own_module: Callable[[np.ndarray], np.ndarray], tmp_path: Path
) -> None:
    path = tmp_path / "foreign.skops"
    model = sklearn.pipeline.make_pipeline(FunctionTransformer(own_module), LinearRegression()).fit(X, Y)
    skops.io.dump(model, path)
    parameters = SkopsModelParameters(file=str(path), **READS)
    with pytest.raises(UsageError, match=rf"types my_own_module.negated.* add --trust-plugin {path}"):
        skops_model(parameters)
    trust.trust([path])
    np.testing.assert_allclose(skops_model(parameters)(MOLS), model.predict(X), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("sklearn.tree._tree.Tree", True),
        ("sklearn.ensemble._forest.RandomForestClassifier", True),
        ("sklearn.utils.murmurhash3_32", False),
        ("sklearn.datasets._base.load_files", False),
        ("sklearn.utils.fixes.Path", False),
        ("sklearn.no_such_module.Tree", False),
        ("sklearn_evil.Tree", False),
        ("os.system", False),
    ],
)
def test_only_classes_that_scikit_learn_defines_need_no_trust(name: str, safe: bool) -> None:
    assert models._is_sklearn_class(name) is safe


def test_what_is_no_skops_file(tmp_path: Path) -> None:
    path = tmp_path / "x.skops"
    path.write_bytes(b"PK no zip")
    with pytest.raises(UsageError, match="no model that skops saved"):
        skops_model(SkopsModelParameters(file=str(path), **READS))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", bytes(models.SMALL + 1))
    with pytest.raises(UsageError, match=r"would unpack to 67,108,865"):
        skops_model(SkopsModelParameters(file=str(path), **READS))


# pickle


class Marker:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def test_an_untrusted_pickle_is_never_opened(tmp_path: Path) -> None:
    path, marker = tmp_path / "model.pkl", tmp_path / "it-ran"
    path.write_bytes(pickle.dumps(Marker(marker)))
    parameters = PickleModelParameters(file=str(path), **READS)
    with pytest.raises(UsageError, match=rf"'pickle_model' runs {path}: .* add --trust-plugin {path}"):
        pickle_model(parameters)
    assert not marker.exists()

    trust.trust([path])
    reward = pickle_model(parameters)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(RewardError, match="has changed since it was trusted"):
        reward(MOLS)
    assert not marker.exists()

    # What is loaded is what was looked at, even if another file takes its place in between.
    path.write_bytes(path.read_bytes()[:-1])
    read_bytes = Path.read_bytes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda one: (one == path and b"swapped") or read_bytes(one))
        with pytest.raises(RewardError, match="has changed since it was trusted"):
            reward(MOLS)
    assert not marker.exists()

    trust.trust([path])
    with pytest.raises(RewardError, match="holds a NoneType, which predicts nothing"):
        pickle_model(parameters)(MOLS)
    assert marker.exists()


@pytest.mark.parametrize("dump", [joblib.dump, lambda model, path: path.write_bytes(pickle.dumps(model))])
def test_a_trusted_pickle_predicts(
    forest: RandomForestRegressor, tmp_path: Path, dump: Callable[[Any, Path], Any]
) -> None:
    path = tmp_path / "forest.pkl"
    dump(forest, path)
    trust.trust([path])
    reward = pickle_model(PickleModelParameters(file=str(path), **READS))
    np.testing.assert_allclose(reward(MOLS), forest.predict(X), atol=1e-12)
    with pytest.raises(RewardError, match="reads 256 features, the parameters give 2048"):
        pickle_model(PickleModelParameters(file=str(path), fingerprint="ecfp4"))(MOLS)


def test_a_pickle_of_another_version_of_scikit_learn_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.pkl"
    with monkeypatch.context() as patch:
        patch.setattr(sklearn.base, "__version__", "0.22.1")
        path.write_bytes(pickle.dumps(LinearRegression().fit(X, Y)))
    trust.trust([path])
    with pytest.raises(RewardError, match=r"cannot be loaded: .*0\.22\.1"):
        pickle_model(PickleModelParameters(file=str(path), **READS))(MOLS)


def test_labels_that_are_no_numbers_are_no_values(tmp_path: Path) -> None:
    from sklearn.svm import LinearSVC

    path = tmp_path / "labels.pkl"
    path.write_bytes(pickle.dumps(LinearSVC().fit(X, np.where(CLASSES > 0, "greasy", "soluble"))))
    trust.trust([path])
    with pytest.raises(RewardError, match="not a number a molecule"):
        pickle_model(PickleModelParameters(file=str(path), **READS))(MOLS)
