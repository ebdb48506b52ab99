"""Predictions of a model that the user trained: ONNX or scikit-learn."""

from __future__ import annotations

import hashlib
import io
import warnings
import zipfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from moldesign.chem.features import Features
from moldesign.chem.fingerprints import Kind
from moldesign.chem.molecules import Mol
from moldesign.errors import RewardError, UsageError
from moldesign.rewards.entry import Entry
from moldesign.rewards.extras import extra
from moldesign.rewards.neighbours import NearestNeighbour, NearestNeighbourParameters
from moldesign.rewards.onnx_files import refers_to_files
from moldesign.rewards.reward import Reward, Values
from moldesign.rewards.shaping import Step
from moldesign.rewards.strict import Strict
from moldesign.rewards.trust import content

#: Rows of features (n, width) in; whatever the model gives, out.
Predict = Callable[[NDArray[np.float64]], Any]

#: How much longer than its file a model of skops may become when it is unpacked; scikit-learn's own become
#: five times as long. What stays below the other number is small enough whatever it becomes.
MAX_EXPANSION = 100
SMALL = 64 * 2**20

#: What onnxruntime calls the types of input that features can be cast to.
_ONNX_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}


class ModelFile(Strict):
    """A model's file."""

    file: str = Field(description="path of the model")

    @field_validator("file")
    @classmethod
    def _is_there(cls, file: str) -> str:
        if not Path(file).is_file():
            raise ValueError(f"no such file: {file}")
        return file


class _FeaturesParameters(ModelFile):
    fingerprint: Kind | None = Field(
        None, description="ecfp4, fcfp6, maccs, ... if the model was trained on one; it comes first"
    )
    counts: bool = Field(False, description="counts in the fingerprint (ecfp, fcfp); false: 0 and 1")
    bits: int = Field(2048, ge=1, le=1_000_000, description="width of the fingerprint (ecfp, fcfp)")
    descriptors: list[str] = Field([], description="RDKit's names of descriptors, in the order of training")
    column: int | None = Field(
        None,
        ge=0,
        description="of several values: class or target, from 0; of two classes the second if left out",
    )

    @model_validator(mode="after")
    def _some_features(self) -> _FeaturesParameters:
        if self.fingerprint is None and not self.descriptors:
            raise ValueError("say what the model reads: a fingerprint, descriptors or both")
        if self.fingerprint is None and {"counts", "bits"} & self.model_fields_set:
            raise ValueError("counts and bits belong to a fingerprint")
        self.features()
        return self

    def features(self) -> Features:
        """The features that the model reads."""
        return Features(self.fingerprint, counts=self.counts, bits=self.bits, descriptors=self.descriptors)


class OnnxModelParameters(_FeaturesParameters):
    """An ONNX file, what it reads, and which of its outputs counts."""

    output: str | None = Field(None, description="name of the output; the last one if left out")


class SkopsModelParameters(_FeaturesParameters):
    """A scikit-learn estimator that skops saved, and what it reads."""


class PickleModelParameters(_FeaturesParameters):
    """An estimator that pickle or joblib saved, and what it reads. Its file runs code: it needs trust."""


class Model:
    """The reward that predicts from features; a molecule with a feature that is not finite is failed.

    Args:
        predict: loaded where it is first needed, which may be a worker process.
        fingerprint: the SHA-256 of the model's file.
    """

    def __init__(
        self, features: Features, predict: Predict, column: Callable[[Any], Values], fingerprint: str
    ) -> None:
        self._features = features
        self._predict = predict
        self._column = column
        self.fingerprint = fingerprint

    def __call__(self, mols: Sequence[Mol], /) -> Values:
        """Predictions (n,) in the model's unit.

        Raises:
            RewardError: the model cannot be loaded or cannot predict.
        """
        values = np.full(len(mols), np.nan)
        rows = self._features(mols)
        # Beyond the range of single precision most models see infinity.
        known = (np.abs(rows) <= np.finfo(np.float32).max).all(axis=1)
        if known.any():
            try:
                predicted = self._column(self._predict(rows[known]))
            except RewardError:
                raise
            except Exception as error:
                raise RewardError(f"the model cannot predict: {one_line(error)}") from error
            if len(predicted) != known.sum():
                raise RewardError(f"the model gives {len(predicted)} values for {known.sum()} molecules")
            values[known] = predicted
        return values


def onnx_model(parameters: OnnxModelParameters) -> Reward:
    """What an ONNX model predicts: a value, or the probability of a class. No code is loaded with it.

    Raises:
        UsageError: no ONNX model, one whose weights are in other files, or one that reads something else
            than the parameters say.
        RewardError: onnxruntime is not installed.
    """
    with extra("models"):
        import onnxruntime
    options = onnxruntime.SessionOptions()
    # The molecules are spread over processes: threads of each would wait for each other.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong is raised; names that the file has are not to be printed
    file, features = parameters.file, parameters.features()
    # From memory: what is loaded is what was looked at, and what the fingerprint is of.
    model = Path(file).read_bytes()
    try:
        if refers_to_files(model):
            raise UsageError(f"{file} has its weights in other files: save the model as one file")
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"{file} is no model that onnxruntime can load: {one_line(error)}") from None
    if len(session.get_inputs()) != 1:
        raise UsageError(f"{file} has {len(session.get_inputs())} inputs; one table of features is needed")
    (table,) = session.get_inputs()
    if table.type not in _ONNX_TYPES or len(table.shape) != 2:
        raise UsageError(f"{file} reads {table.type} of shape {table.shape}, not a table of numbers")
    if isinstance(table.shape[1], int):
        check_width(file, table.shape[1], features)
    outputs = [output.name for output in session.get_outputs()]
    name = outputs[-1] if parameters.output is None else parameters.output
    if name not in outputs:
        raise UsageError(f"{file} has no output '{name}' (it has: {', '.join(outputs)})")
    # A classifier gives labels beside probabilities.
    classes = any(
        output.name != name and output.type in ("tensor(int64)", "tensor(string)")
        for output in session.get_outputs()
    )
    dtype = _ONNX_TYPES[table.type]

    def predict(rows: NDArray[np.float64]) -> Any:
        (values,) = session.run([name], {table.name: rows.astype(dtype)})
        if isinstance(values, list):  # of {class: probability}
            values = np.array([list(row.values()) for row in values])
        return values

    def column(values: Any) -> Values:
        return column_of(values, parameters.column, classes)

    return Model(features, predict, column, hashlib.sha256(model).hexdigest())


def skops_model(parameters: SkopsModelParameters) -> Reward:
    """What a scikit-learn estimator predicts: a value, or for a classifier the probability of a class.

    Raises:
        UsageError: no file of skops, one that unpacks to far more than its size, or one with other types than
            those of scikit-learn that the user does not trust.
        RewardError: skops is not installed.
    """
    with extra("models"):
        import skops.io
    file = parameters.file
    model = Path(file).read_bytes()
    try:
        _check_expansion(model)
        types = skops.io.get_untrusted_types(data=model)
    except Exception as error:
        raise UsageError(f"{file} is no model that skops saved: {one_line(error)}") from None
    foreign = sorted(name for name in types if not _is_sklearn_class(name))
    if foreign:
        model = content(file, f"reward 'skops_model' (types {', '.join(foreign)})")
    return _estimator_reward(parameters, model, lambda: skops.io.loads(model, trusted=types))


def _check_expansion(model: bytes) -> None:
    """Pass if a zip unpacks to a size that goes with its own. Raises ValueError, zipfile.BadZipFile."""
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        # No more of a member is ever read than its entry says.
        size = sum(member.file_size for member in archive.infolist())
    if size > max(SMALL, MAX_EXPANSION * len(model)):
        raise ValueError(f"its {len(model):,} bytes would unpack to {size:,}")


def pickle_model(parameters: PickleModelParameters) -> Reward:
    """What a pickled estimator predicts: a value, or for a classifier the probability of a class.

    A pickle is a program: it runs as a Python file of the user's runs, by his word and in a worker process.

    Raises:
        UsageError: the user does not trust the file.
        RewardError: joblib is not installed.
    """
    what = "reward 'pickle_model'"
    model = content(parameters.file, what)
    with extra("models"):
        import joblib
    # Looked at once more when it is opened: it is the file that was trusted, or it is not opened.
    return _estimator_reward(
        parameters, model, lambda: joblib.load(io.BytesIO(content(parameters.file, what)))
    )


def _estimator_reward(parameters: _FeaturesParameters, model: bytes, load: Callable[[], Any]) -> Reward:
    """The reward of an estimator, these bytes, that is loaded when the first molecule comes."""
    features = parameters.features()

    @cache
    def estimator() -> Any:
        from sklearn.exceptions import InconsistentVersionWarning

        with warnings.catch_warnings():
            # What another version saved may load and predict something else.
            warnings.simplefilter("error", InconsistentVersionWarning)
            try:
                loaded = load()
            except Exception as error:
                raise RewardError(f"{parameters.file} cannot be loaded: {one_line(error)}") from error
        if not hasattr(loaded, "predict"):
            raise RewardError(f"{parameters.file} holds a {type(loaded).__name__}, which predicts nothing")
        try:
            check_width(parameters.file, getattr(loaded, "n_features_in_", features.width), features)
        except UsageError as error:
            raise RewardError(str(error)) from None
        if hasattr(loaded, "get_params"):
            jobs = [name for name in loaded.get_params() if name.split("__")[-1] == "n_jobs"]
            loaded.set_params(**dict.fromkeys(jobs, 1))
        return loaded

    def predict(rows: NDArray[np.float64]) -> Any:
        loaded = estimator()
        with warnings.catch_warnings():
            # One fitted to a pandas table misses the names of the columns.
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            return loaded.predict_proba(rows) if hasattr(loaded, "predict_proba") else loaded.predict(rows)

    def column(values: Any) -> Values:
        return column_of(values, parameters.column, hasattr(estimator(), "predict_proba"))

    return Model(features, predict, column, hashlib.sha256(model).hexdigest())


def _is_sklearn_class(name: str) -> bool:
    """Whether the name is of a class that scikit-learn defines; a function of its may do anything."""
    module, _, attribute = name.rpartition(".")
    if module.split(".")[0] != "sklearn":
        return False
    import importlib

    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError):
        return False
    return isinstance(found, type) and found.__module__ == module


def check_width(model: str, width: int, features: Features) -> None:
    """Pass where a model reads as many features as there are. Raises UsageError, which names the model."""
    if width != features.width:
        raise UsageError(
            f"{model} reads {width} features, the parameters give {features.width}: "
            "give the fingerprint, bits and descriptors that it was trained on"
        )


def column_of(values: Any, column: int | None, classes: bool) -> Values:
    """One value a row (n,) of what a model gave: (n,), (n, 1) or (n, k)."""
    table = np.asarray(values)
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or not (np.issubdtype(table.dtype, np.number) or table.dtype == bool):
        raise RewardError(f"the model gives {table.dtype} of shape {table.shape}, not a number a molecule")
    if column is None:
        column = 1 if classes and table.shape[1] == 2 else 0
        if table.shape[1] > 1 and not (classes and table.shape[1] == 2):
            raise RewardError(f"the model gives {table.shape[1]} values a molecule: say which with column")
    if column >= table.shape[1]:
        raise RewardError(f"the model gives {table.shape[1]} values a molecule, no column {column} (from 0)")
    return np.asarray(table[:, column], dtype=np.float64)


def one_line(error: BaseException) -> str:
    """Kind and message of an error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


ENTRIES: dict[str, Entry] = {
    "onnx_model": Entry(
        "Prediction of a model in an ONNX file",
        "the model's",
        onnx_model,
        OnnxModelParameters,
        group="models",
        example={"file": "logp.onnx", "fingerprint": "ecfp4", "counts": True, "bits": 1024},
        cost_us=100.0,
    ),
    "skops_model": Entry(
        "Prediction of a scikit-learn estimator that skops saved",
        "the model's",
        skops_model,
        SkopsModelParameters,
        group="models",
        example={"file": "model.skops", "fingerprint": "ecfp4"},
        cost_us=100.0,
        isolated=True,
    ),
    "pickle_model": Entry(
        "Prediction of an estimator that pickle or joblib saved; needs --trust-plugin",
        "the model's",
        pickle_model,
        PickleModelParameters,
        group="models",
        example={"file": "model.joblib", "descriptors": ["MolLogP", "TPSA"]},
        cost_us=100.0,
        isolated=True,
    ),
    "applicability_domain": Entry(
        "Similarity to the nearest molecules that a model was trained on; shaped to 1 from 0.3 on, else 0",
        "0 to 1",
        NearestNeighbour,
        NearestNeighbourParameters,
        group="models",
        direction="larger",
        example={"references": ["CC(=O)Nc1ccc(O)cc1", "CC(=O)Oc1ccccc1C(=O)O"]},
        unit_interval=True,
        shaping=Step(low=0.3),
        # As nearest_neighbour.
        cost_us=4_500,
    ),
}
