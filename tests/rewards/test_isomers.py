from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from moldesign.chem.molecules import read
from moldesign.rewards.isomers import (
    ElementCountParameters,
    IsomerParameters,
    element_count,
    isomer,
)

#: Formula, molecule, and what guacamol 0.5.5's IsomerScoringFunction gives for either mean.
GUACAMOL = [
    ("C7H8N2O2", "CC(=O)Nc1ccc(O)cc1", 0.7225273536420722, 0.7404177763444991),
    ("C7H8N2O2", "Nc1ccc(C(=O)O)cc1N", 1.0, 1.0),
    ("C9H10N2O2PF2Cl", "CN(C)c1ccc(F)cc1P(=O)(F)Cl", 0.6065306597126334, 0.6951822402608933),
    ("C11H24", "CC(C)Cc1ccccc1", 3.160881454313696e-10, 0.2021769765568279),
    ("C11H24", "[2H]C([2H])CCCN.Cl", 6.317784080781092e-20, 7.632517717875615e-12),
]


def test_an_isomer_has_1() -> None:
    values = isomer(IsomerParameters(formula="C3H8O"))([read("CCCO"), read("CC(C)O"), read("COCC")])
    assert values.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("formula", "smiles", "parts"),
    [
        # Each part is (difference in count) of C, H, O ..., then of all atoms.
        ("C2H4O", "CCO", [(0, 1), (2, 1), (0, 1), (2, 2)]),
        # What the formula does not name counts in the total: ethanol has 9 atoms, one of them oxygen.
        ("C2H6", "CCO", [(0, 1), (0, 1), (1, 2)]),
        ("C2H6O0", "CCO", [(0, 1), (0, 1), (1, 1), (1, 2)]),
        # Without H in the formula the hydrogens still count in the total: 9 - 3.
        ("C2O", "CCO", [(0, 1), (0, 1), (6, 2)]),
        ("CHCl3", "ClC(Cl)Cl", [(0, 1), (0, 1), (0, 1), (0, 2)]),
        ("CH3Cl", "C", [(0, 1), (1, 1), (1, 1), (0, 2)]),
    ],
)
def test_closeness_by_hand(formula: str, smiles: str, parts: list[tuple[int, int]]) -> None:
    gaussians = [math.exp(-0.5 * (difference / sd) ** 2) for difference, sd in parts]
    (geometric,) = isomer(IsomerParameters(formula=formula))([read(smiles)])
    (arithmetic,) = isomer(IsomerParameters(formula=formula, mean="arithmetic"))([read(smiles)])
    assert geometric == pytest.approx(math.prod(gaussians) ** (1 / len(gaussians)), rel=1e-12)
    assert arithmetic == pytest.approx(sum(gaussians) / len(gaussians), rel=1e-12)


@pytest.mark.parametrize(
    ("formula", "smiles", "geometric", "arithmetic"),
    GUACAMOL,
)
def test_values_of_guacamol(formula: str, smiles: str, geometric: float, arithmetic: float) -> None:
    mols = [read(smiles)]
    assert isomer(IsomerParameters(formula=formula))(mols)[0] == pytest.approx(geometric, rel=1e-12)
    mean = isomer(IsomerParameters(formula=formula, mean="arithmetic"))(mols)[0]
    assert mean == pytest.approx(arithmetic, rel=1e-12)


@pytest.mark.parametrize(
    ("formula", "message"),
    [("C7H8n2", "is no molecular formula"), ("C7Xx2", "'Xx' is no element"), ("CH3CH3", "stands twice")],
)
def test_a_formula_that_is_none(formula: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        IsomerParameters(formula=formula)


def test_elements_are_counted() -> None:
    mols = [read("FC(F)(F)CO"), read("CCO"), read("[2H]C")]
    assert element_count(ElementCountParameters(element="F"))(mols).tolist() == [3, 0, 0]
    assert element_count(ElementCountParameters(element="H"))(mols).tolist() == [3, 6, 4]


def test_an_element_that_is_none() -> None:
    with pytest.raises(ValidationError, match="'f' is no element; did you mean 'F'"):
        ElementCountParameters(element="f")
