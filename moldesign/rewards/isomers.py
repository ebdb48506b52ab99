"""Molecular formulas as rewards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from moldesign.chem import formulas
from moldesign.chem.molecules import Mol
from moldesign.rewards.entry import Entry
from moldesign.rewards.reward import Reward, Values, per_molecule
from moldesign.rewards.shaping import Gaussian
from moldesign.rewards.strict import Strict

_MEANS: dict[str, Callable[[NDArray[np.float64]], Any]] = {
    "geometric": lambda closeness: closeness.prod(axis=1) ** (1 / closeness.shape[1]),
    "arithmetic": lambda closeness: closeness.mean(axis=1),
}


class IsomerParameters(Strict):
    """The formula wanted, and how closeness in each element becomes one number."""

    formula: str = Field(description="molecular formula with its hydrogens, as C7H8N2O2; F0 asks for none")
    mean: Literal["geometric", "arithmetic"] = Field(
        "geometric", description="over the elements and the total number of atoms"
    )

    @field_validator("formula")
    @classmethod
    def _readable(cls, formula: str) -> str:
        formulas.parse_formula(formula)
        return formula


def isomer(parameters: IsomerParameters) -> Reward:
    """Closeness to a molecular formula, 1 for an isomer, towards 0 the more atoms differ.

    For each element of the formula exp(-(n - n_target)^2 / 2), for the number of all atoms, hydrogens
    and elements not in the formula included, exp(-(n - n_target)^2 / 8); then their mean. The isomer
    score of GuacaMol (Brown et al., J. Chem. Inf. Model. 59, 1096, 2019).
    """
    wanted = formulas.parse_formula(parameters.formula)
    of_element = {element: Gaussian(mean=count, sd=1.0) for element, count in wanted.items()}
    of_all = Gaussian(mean=sum(wanted.values()), sd=2.0)
    mean = _MEANS[parameters.mean]

    def reward(mols: Sequence[Mol], /) -> Values:
        found = [formulas.element_counts(mol) for mol in mols]
        closeness = [
            gaussian(np.array([counts[element] for counts in found], dtype=np.float64))
            for element, gaussian in of_element.items()
        ]
        closeness.append(of_all(np.array([sum(counts.values()) for counts in found], dtype=np.float64)))
        return np.asarray(mean(np.column_stack(closeness)), dtype=np.float64)

    return reward


class ElementCountParameters(Strict):
    """The element to count."""

    element: str = Field(description="symbol of the element, as F; H counts implicit hydrogens too")

    @field_validator("element")
    @classmethod
    def _known(cls, element: str) -> str:
        return formulas.element(element)


def element_count(parameters: ElementCountParameters) -> Reward:
    """Number of atoms of an element."""
    return per_molecule(lambda mol: float(formulas.element_counts(mol)[parameters.element]))


ENTRIES: dict[str, Entry] = {
    "isomer": Entry(
        "Closeness to a molecular formula, 1 for an isomer",
        "0 to 1",
        isomer,
        IsomerParameters,
        group="formula",
        direction="larger",
        example={"formula": "C7H8N2O2"},
        unit_interval=True,
        cost_us=80,
    ),
    "element_count": Entry(
        "Number of atoms of an element",
        "count",
        element_count,
        ElementCountParameters,
        group="formula",
        example={"element": "F"},
        cost_us=55,
    ),
}
