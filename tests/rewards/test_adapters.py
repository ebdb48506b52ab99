"""Other kinds of scoring functions give what they give by themselves, and their failures are no scores.

scikit-learn is the real one. GuacaMol 0.5.5 and PyTDC 1.1.14 cannot be installed beside moldesign, and
MolScore 1.9.5 would bring forty packages: small classes stand for them, with exactly the interface that
those packages document and have. examples/adapters/prove.sh runs the packages themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rdkit.Chem import rdFingerprintGenerator
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge

import moldesign as md
from moldesign.chem.molecules import Mol, read
from moldesign.errors import RewardError, UsageError
from moldesign.rewards.adapters import (
    of_batch,
    of_guacamol,
    of_mol,
    of_molscore,
    of_sklearn,
    of_smiles,
    of_tdc,
)
from moldesign.rewards.component import Component
from moldesign.rewards.objective import Objective
from moldesign.rewards.shaping import Linear

SMILES = ["OCC", "c1ccccc1", "N[C@@H](C)C(=O)O"]
CANONICAL = ["CCO", "c1ccccc1", "C[C@H](N)C(=O)O"]
MOLS = [read(smiles) for smiles in SMILES]


def length(smiles: str) -> float | None:
    """Characters, none for benzene."""
    if "[nH]" in smiles:
        raise ArithmeticError("no pyrroles")
    return None if smiles == "c1ccccc1" else float(len(smiles))


def test_a_function_of_one_smiles_gets_canonical_isomeric_ones() -> None:
    places = of_smiles(lambda smiles: float(CANONICAL.index(smiles)))(MOLS)
    assert places.tolist() == [0.0, 1.0, 2.0]


def test_what_a_function_cannot_value_is_failed_and_the_others_are_not() -> None:
    scores = Objective.of(of_smiles(length)).evaluate([*MOLS, read("c1cc[nH]c1")])
    np.testing.assert_array_equal(scores.score, [3.0, math.nan, 15.0, math.nan])
    assert [reason or "" for reason in scores.reasons] == [
        "",
        "score: gave no value",
        "",
        "score: ArithmeticError: no pyrroles",
    ]


@pytest.mark.parametrize("adapt", [of_smiles, of_mol])
def test_one_that_raises_does_not_make_the_others_be_asked_again(adapt: Any) -> None:
    asked: list[int] = []

    def value(molecule: Any) -> float:
        asked.append(len(asked))
        if len(asked) == 2:
            raise ArithmeticError("the second")
        return 1.0

    raw, reasons = Component(reward=adapt(value), label="x").raw(MOLS)
    np.testing.assert_array_equal(raw, [1.0, math.nan, 1.0])
    assert len(asked) == len(MOLS)
    assert "ArithmeticError: the second" in str(reasons)


def test_a_component_is_called_like_the_function() -> None:
    component = Component(reward=of_smiles(length), shaping=Linear(zero=0, one=30))
    assert component.label == "length"
    assert Objective(components=[component]).evaluate(MOLS[:1]).score.tolist() == pytest.approx([0.1])


def test_an_adapted_function_is_an_objective_by_itself() -> None:
    table = md.score(of_mol(Mol.GetNumAtoms), SMILES)
    assert table["score"].tolist() == [3.0, 6.0, 6.0]


def test_a_function_of_a_batch_is_called_once() -> None:
    sizes: list[int] = []

    def function(smiles: list[str]) -> list[float]:
        sizes.append(len(smiles))
        return [1.0] * (3 if len(smiles) == 3 else 7)

    reward = of_batch(function)
    assert reward(MOLS).tolist() == [1.0, 1.0, 1.0]
    assert sizes == [3]
    with pytest.raises(ValueError, match="gave 7 values for 2 molecules"):
        reward(MOLS[:2])
    assert reward([]).shape == (0,)


TRAINED_ON = [read("C" * n + end) for n in range(1, 9) for end in ("O", "N", "Cl", "c1ccccc1")]
GENERATOR = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=512)
X = np.array([GENERATOR.GetFingerprintAsNumPy(mol) for mol in TRAINED_ON], dtype=np.float64)
COUNTS = np.array([GENERATOR.GetCountFingerprintAsNumPy(mol) for mol in TRAINED_ON], dtype=np.float64)
HEAVY = np.array([mol.GetNumAtoms() for mol in TRAINED_ON], dtype=np.float64)


def test_a_regressor_predicts_values() -> None:
    ridge = Ridge().fit(COUNTS, HEAVY)
    reward = of_sklearn(ridge, "ecfp4", counts=True, bits=512)
    np.testing.assert_allclose(reward(TRAINED_ON), ridge.predict(COUNTS), rtol=0, atol=1e-12)


def test_a_classifier_predicts_the_probability_of_class_1() -> None:
    forest = RandomForestClassifier(10, random_state=0).fit(X, HEAVY > 6)
    reward = of_sklearn(forest, bits=512)
    np.testing.assert_array_equal(reward(TRAINED_ON), forest.predict_proba(X)[:, 1])
    three = RandomForestClassifier(10, random_state=0).fit(X, np.digitize(HEAVY, [4, 8]))
    np.testing.assert_array_equal(
        of_sklearn(three, bits=512, column=2)(TRAINED_ON), three.predict_proba(X)[:, 2]
    )
    with pytest.raises(RewardError, match="gives 3 values a molecule: say which with column"):
        of_sklearn(three, bits=512)(TRAINED_ON)


def test_an_estimator_is_given_what_it_was_trained_on() -> None:
    descriptors = ["MolLogP", "TPSA"]
    ridge = Ridge().fit(np.array([[1.0, 2.0], [2.0, 3.0]]), [0.0, 1.0])
    assert of_sklearn(ridge, None, descriptors=descriptors)(MOLS).shape == (3,)
    with pytest.raises(UsageError, match="the estimator reads 2 features, the parameters give 2048"):
        of_sklearn(ridge)


class GuacaMolFunction:
    """The interface of guacamol.scoring_function.ScoringFunction: a failure is corrupt_score."""

    corrupt_score = -1.0

    def score(self, smiles: str) -> float:
        return self.score_list([smiles])[0]

    def score_list(self, smiles_list: list[str]) -> list[float]:
        return [self.corrupt_score if "@" in smiles else 1 / len(smiles) for smiles in smiles_list]


def test_what_guacamol_could_not_score_is_failed() -> None:
    reward = of_guacamol(GuacaMolFunction())
    np.testing.assert_array_equal(reward(MOLS), [1 / 3, 1 / 8, math.nan])
    assert md.score(reward, SMILES)["status"].tolist() == ["scored", "scored", "failed"]


class TdcOracle:
    """The interface of tdc.Oracle: called with a list, it answers a list, or several by name."""

    default_property = 0.0

    def __init__(self, name: str, num_max_call: int | None = None) -> None:
        self.name = name
        self.num_max_call = num_max_call

    def __call__(self, smiles: list[str]) -> Any:
        assert type(smiles) is list  # as tdc.Oracle tells a list from one SMILES
        if self.name == "median":
            return {"Median 1": [0.1] * len(smiles), "Median 2": [0.2] * len(smiles)}
        return [0.0 if "@" in one else float(len(one)) for one in smiles]


def test_a_tdc_oracle() -> None:
    assert of_tdc(TdcOracle("qed"))(MOLS).tolist() == [3.0, 8.0, 0.0]
    assert of_tdc(TdcOracle("median"), part="Median 2")(MOLS).tolist() == [0.2] * 3
    with pytest.raises(RewardError, match=r"name one as part \(known: Median 1, Median 2\)"):
        of_tdc(TdcOracle("median"))(MOLS)


def test_a_docking_that_failed_in_tdc_is_no_score_of_0() -> None:
    np.testing.assert_array_equal(of_tdc(TdcOracle("docking_score"))(MOLS), [3.0, 8.0, math.nan])


def test_tdc_does_not_count_calls_besides_moldesign() -> None:
    with pytest.raises(UsageError, match="make it without num_max_call"):
        of_tdc(TdcOracle("qed", num_max_call=100))


class MolScoreFunction:
    """The interface that molscore/scoring_functions/README.MD asks for; the order is another one."""

    return_metrics = ("size", "name")

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix.strip().replace(" ", "_")

    def __call__(
        self, smiles: list[str], file_names: list[str], directory: str, **kwargs: Any
    ) -> list[dict[str, Any]]:
        assert len(file_names) == len(smiles) == len(set(file_names))
        return [
            {
                "smiles": one,
                f"{self.prefix}_size": 0.0 if "@" in one else len(one),
                f"{self.prefix}_name": one,
            }
            for one in reversed(smiles)
        ]


def test_a_metric_of_molscore() -> None:
    function = MolScoreFunction("my docking")
    assert of_molscore(function, "size")(MOLS).tolist() == [3.0, 8.0, 0.0]
    np.testing.assert_array_equal(of_molscore(function, "size", failed=0.0)(MOLS), [3.0, 8.0, math.nan])


@pytest.mark.parametrize("metric", [None, "mass"])
def test_a_metric_that_molscore_has_not(metric: str | None) -> None:
    with pytest.raises(UsageError, match=rf"no metric '{metric}' \(known: size, name\)"):
        of_molscore(MolScoreFunction("x"), metric)


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (lambda one: {"smiles": one, "y_size": 1.0}, RewardError, "answers no 'x_size'"),
        (lambda one: {"smiles": one, "x_size": "C6"}, TypeError, "gave text where a number belongs"),
    ],
)
def test_a_molscore_function_that_is_wrong(
    answer: Callable[[str], dict[str, Any]], error: type[Exception], said: str
) -> None:
    class Wrong(MolScoreFunction):
        def __call__(
            self, smiles: list[str], file_names: list[str], directory: str, **kwargs: Any
        ) -> list[dict[str, Any]]:
            return [answer(one) for one in smiles]

    with pytest.raises(error, match=said):
        of_molscore(Wrong("x"), "size")(MOLS)


def test_a_molecule_that_molscore_leaves_out_is_failed() -> None:
    class Short(MolScoreFunction):
        def __call__(
            self, smiles: list[str], file_names: list[str], directory: str, **kwargs: Any
        ) -> list[dict[str, Any]]:
            return super().__call__(smiles, file_names, directory, **kwargs)[1:]

    np.testing.assert_array_equal(of_molscore(Short("x"), "size")(MOLS[:2]), [3.0, math.nan])
