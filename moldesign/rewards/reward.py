"""What a reward is: a callable over molecules. A function of SMILES becomes one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from moldesign.chem.molecules import Mol, to_smiles
from moldesign.errors import RewardError

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
        RewardError: not one value a molecule.
        ValueError, TypeError: something that is no number.
    """
    if not hasattr(values, "__len__") or isinstance(values, str | bytes | dict):
        if not (hasattr(values, "__iter__") and not isinstance(values, str | bytes | dict)):
            raise RewardError(f"needs one value a molecule, {n} in all; got {type(values).__name__}")
        values = list(values)
    array = np.asarray([np.nan if value is None else float(value) for value in values], dtype=np.float64)
    if array.shape != (n,):
        raise RewardError(f"gave {len(array)} values for {n} molecules")
    return array
