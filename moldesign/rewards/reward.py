"""What a reward is: a callable over molecules. A function of SMILES becomes one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from moldesign.chem.molecules import Mol, to_smiles

Values = NDArray[np.float64]


class Reward(Protocol):
    """Values (n,) of n molecules, in any unit; NaN or inf where a molecule could not be valued.

    May raise: the molecules of the batch are then valued one by one, and those that raise are
    failed. A RewardError says that the reward itself is broken, and ends the run.
    """

    def __call__(self, mols: Sequence[Mol], /) -> Values: ...


def per_molecule(value: Callable[[Mol], float]) -> Reward:
    """The reward that values molecules one after the other."""

    def reward(mols: Sequence[Mol], /) -> Values:
        return np.array([value(mol) for mol in mols], dtype=np.float64)

    return reward


def from_smiles_function(function: Callable[[list[str]], Sequence[Any]]) -> Reward:
    """The reward of a function from canonical isomeric SMILES to numbers; None or NaN: failed."""

    def reward(mols: Sequence[Mol], /) -> Values:
        return as_values(function([to_smiles(mol) for mol in mols]), len(mols))

    return reward


def as_values(values: Any, n: int) -> Values:
    """Values (n,) as float64 from what a user's code gave; None becomes NaN.

    Raises:
        ValueError: not one value a molecule. TypeError: a value that is no number, such as text.
    """
    if isinstance(values, str | bytes | dict) or not hasattr(values, "__iter__"):
        raise ValueError(f"needs one value a molecule, {n} in all; gave {type(values).__name__}")
    values = list(values)
    if len(values) != n:
        raise ValueError(f"gave {len(values)} values for {n} molecules")
    for value in values:
        if isinstance(value, str | bytes):
            raise TypeError(f"gave text where a number belongs: {value[:40]!r}")
    return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)
