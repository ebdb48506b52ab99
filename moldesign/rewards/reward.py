"""What a reward is: a callable over molecules. A function of SMILES becomes one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Sized
from itertools import islice
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from moldesign.chem.molecules import Mol, to_smiles
from moldesign.errors import MoldesignError

Values = NDArray[np.float64]

T = TypeVar("T")


class Reward(Protocol):
    """Values (n,) of n molecules, in any unit; NaN or inf where a molecule could not be valued.

    May raise: the molecules of the batch are then valued one by one, and those that raise are
    failed; with SomeFailed it has done so already. A RewardError says that the reward itself is
    broken, and ends the run.
    """

    def __call__(self, mols: Sequence[Mol], /) -> Values: ...


class SomeFailed(Exception):
    """Some molecules of a batch could not be valued. The values (n,) of the others, and why, by index."""

    def __init__(self, values: Values, why: Mapping[int, str]) -> None:
        super().__init__(f"{len(why)} of {len(values)} failed, the first: {next(iter(why.values()))}")
        self.values, self.why = values, why


def reason_of(error: BaseException) -> str:
    """An error as the reason of a failure, in one line."""
    if isinstance(error, SystemExit):
        return f"RuntimeError: called sys.exit({error.code!r})"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__


def each(value: Callable[[T], Any], items: Sequence[T]) -> Values:
    """Values (n,) of n items, computed one after the other.

    Raises:
        SomeFailed: some raised; the others need not be computed again.
    """
    values = np.full(len(items), np.nan)
    why: dict[int, str] = {}
    for i, item in enumerate(items):
        try:
            values[i] = _number(value(item))
        except MoldesignError:
            raise
        except (Exception, SystemExit) as error:
            why[i] = reason_of(error)
    if why:
        raise SomeFailed(values, why)
    return values


def per_molecule(value: Callable[[Mol], float]) -> Reward:
    """The reward that values molecules one after the other."""

    def reward(mols: Sequence[Mol], /) -> Values:
        return each(value, mols)

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
    # One more than there may be, and no more: a generator may have no end.
    taken = list(islice(values, n + 1))
    if len(taken) != n:
        endless = len(taken) > n and not isinstance(values, Sized)
        gave = f"more than {n}" if endless else len(values) if len(taken) > n else len(taken)
        raise ValueError(f"gave {gave} values for {n} molecules")
    return np.array([_number(value) for value in taken], dtype=np.float64)


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, str | bytes):
        raise TypeError(f"gave text where a number belongs: {value[:40]!r}")
    if isinstance(value, complex | np.complexfloating):  # of numpy's, float() would take the real part
        raise TypeError(f"gave a complex number: {value}")
    return float(value)
