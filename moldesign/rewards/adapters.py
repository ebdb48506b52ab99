"""Scoring functions of other kinds and packages as rewards, in one line each.

What comes back takes molecules, and their SMILES too: it is a reward of a component, or the whole objective.

    md.optimize(of_guacamol(scoring_function), budget=1000)
    Component(reward=of_sklearn(forest), shaping=Linear(zero=5, one=8))

It is Python code in the user's process, and cannot be written to a file. A package that does not fit into
this environment is asked as a command, in an environment of its own: docs/external-scorers.md.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from moldesign.chem.features import Features
from moldesign.chem.fingerprints import CircularKind
from moldesign.chem.molecules import Mol, read, to_smiles
from moldesign.errors import RewardError, UsageError
from moldesign.rewards.models import Model, check_width, column_of
from moldesign.rewards.reward import Values, as_values, each
from moldesign.rewards.strict import known


class Adapted(Protocol):
    """A reward that takes SMILES too, and so is a function of SMILES as md.score and md.optimize take one."""

    # Values (n,). An array is no Sequence to a type checker, which functions of SMILES give.
    def __call__(self, molecules: Sequence[Mol] | Sequence[str], /) -> Any: ...


class SmilesScoringFunction(Protocol):
    """What guacamol.scoring_function.ScoringFunction offers."""

    corrupt_score: float

    def score(self, smiles: str) -> float: ...

    def score_list(self, smiles_list: list[str]) -> Sequence[float]: ...


def of_smiles(function: Callable[[str], float | None]) -> Adapted:
    """The reward of a function of one SMILES, canonical and isomeric; None, NaN or an exception: failed."""
    return _over_smiles(function, lambda texts: each(function, texts))


def of_batch(function: Callable[[list[str]], Iterable[float | None]]) -> Adapted:
    """The reward of a function from a list of SMILES to as many numbers; None or NaN: failed."""
    return _over_smiles(function, function)


def of_mol(function: Callable[[Mol], float | None]) -> Adapted:
    """The reward of a function of one RDKit molecule; None, NaN or an exception: failed."""
    return _over_mols(function, lambda mols: each(function, mols))


def of_sklearn(
    estimator: Any,
    fingerprint: CircularKind | None = "ecfp4",
    *,
    counts: bool = False,
    bits: int = 2048,
    descriptors: Sequence[str] = (),
    column: int | None = None,
) -> Adapted:
    """The reward of a fitted scikit-learn estimator: its prediction, or the probability of class 1 of two.

    Args:
        fingerprint: that it was trained on, of `bits` columns; None for none.
        counts: counts in the fingerprint; False: 0 and 1.
        descriptors: RDKit's names, in the order of training; their columns follow the fingerprint.
        column: of several values: class or target, from 0; needed where there are more than two classes.

    Raises:
        UsageError: an estimator that reads another number of features. ValueError: no such descriptor.
    """
    features = Features(fingerprint, counts=counts, bits=bits, descriptors=descriptors)
    check_width("the estimator", getattr(estimator, "n_features_in_", features.width), features)
    classes = hasattr(estimator, "predict_proba")
    predict = estimator.predict_proba if classes else estimator.predict
    return _over_mols(
        estimator, Model(features, predict, lambda values: column_of(values, column, classes), "")
    )


def of_guacamol(scoring_function: SmilesScoringFunction) -> Adapted:
    """The reward of a GuacaMol scoring function, as guacamol 0.5.5 defines them.

    GuacaMol scores what it cannot score `corrupt_score`, -1: here that is a failure. One that hides in an
    arithmetic mean of several functions cannot be told from a low score.
    """

    def values(texts: list[str]) -> Values:
        found = np.asarray(as_values(scoring_function.score_list(texts), len(texts)))
        found[found == scoring_function.corrupt_score] = np.nan
        return found

    return _over_smiles(scoring_function, values)


def of_tdc(oracle: Callable[..., Any], *, part: str | None = None) -> Adapted:
    """The reward of an oracle of the Therapeutics Data Commons, as PyTDC 1.1.14 defines them.

    The oracle `docking_score` gives a failure the value `default_property`, 0: here that is a failure.

    Args:
        part: of an oracle that answers with several named lists, such as `mpo` and `median`.

    Raises:
        UsageError: an oracle with a number of calls of its own (`num_max_call`).
    """
    if getattr(oracle, "num_max_call", None) is not None:
        raise UsageError("the oracle counts calls itself: make it without num_max_call, and give a budget")
    failed = getattr(oracle, "default_property", None)
    failed = failed if getattr(oracle, "name", "") == "docking_score" else None

    def values(texts: list[str]) -> Values:
        answer = oracle(texts)
        if isinstance(answer, Mapping):
            if part not in answer:
                raise RewardError(f"the oracle answers several lists: name one as part{known(answer)}")
            answer = answer[part]
        return _without(failed, as_values(answer, len(texts)))

    return _over_smiles(oracle, values)


def of_molscore(
    scoring_function: Callable[..., Sequence[Mapping[str, Any]]],
    metric: str | None = None,
    *,
    failed: float | None = None,
) -> Adapted:
    """The reward of one metric of a MolScore scoring function, as molscore 1.9.5 defines them.

    Args:
        metric: one of its `return_metrics`; may be left out where there is one only.
        failed: the value that stands for a failure, mostly 0.0: MolScore has none that is never a score, so
            without it every value is taken as it is.

    Raises:
        UsageError: no such metric.
    """
    metrics = list(getattr(scoring_function, "return_metrics", [metric]))
    if metric is None and len(metrics) == 1:
        metric = metrics[0]
    if metric not in metrics:
        raise UsageError(f"the scoring function has no metric '{metric}'{known(map(str, metrics))}")
    key = f"{getattr(scoring_function, 'prefix', '')}_{metric}"

    def values(texts: list[str]) -> Values:
        with tempfile.TemporaryDirectory(prefix="moldesign-", ignore_cleanup_errors=True) as directory:
            files = [f"0_{i}" for i in range(len(texts))]
            answer = scoring_function(smiles=texts, directory=directory, file_names=files)
        # By molecule, as MolScore reads them: some functions change the order.
        found = {str(row["smiles"]): row for row in answer}
        for row in found.values():
            if key not in row:
                raise RewardError(f"the scoring function answers no '{key}'{known(row)}")
        rows = [found.get(text, {}).get(key) for text in texts]
        return _without(failed, as_values(rows, len(texts)))

    return _over_smiles(scoring_function, values)


def _over_smiles(source: Any, values: Callable[[list[str]], Any]) -> Adapted:
    def reward(molecules: Sequence[Mol] | Sequence[str], /) -> Values:
        texts = [one if isinstance(one, str) else to_smiles(one) for one in molecules]
        return as_values(values(texts), len(texts)) if texts else np.zeros(0)

    return _named(reward, source)


def _over_mols(source: Any, values: Callable[[list[Mol]], Any]) -> Adapted:
    def reward(molecules: Sequence[Mol] | Sequence[str], /) -> Values:
        mols = [read(one) if isinstance(one, str) else one for one in molecules]
        return as_values(values(mols), len(mols)) if mols else np.zeros(0)

    return _named(reward, source)


def _named(reward: Adapted, source: Any) -> Adapted:
    """The reward, called like what it was made of, since a component is labelled so."""
    reward.__name__ = getattr(source, "__name__", type(source).__name__)  # type: ignore[attr-defined]
    return reward


def _without(failed: float | None, values: Values) -> Values:
    return values if failed is None else np.where(values == failed, np.nan, values)
