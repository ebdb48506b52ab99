"""The three tasks of PMO that are classifiers: drd2, gsk3b and jnk3, converted by `make pmo-classifiers`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from moldesign.assets import home
from moldesign.chem.molecules import read
from moldesign.errors import UsageError
from moldesign.rewards.objective import Objective

#: Task -> what its classifier reads. Olivecrona et al. 2017 (drd2); Li et al. 2018 (gsk3b, jnk3).
CLASSIFIERS: dict[str, dict[str, Any]] = {
    "drd2": {"fingerprint": "fcfp6", "counts": True},
    "gsk3b": {"fingerprint": "ecfp4", "counts": False},
    "jnk3": {"fingerprint": "ecfp4", "counts": False},
}
#: ONNX counts in single precision, where the originals have double.
_CLOSE = 1e-4


def classifier(name: str, folder: Path | None = None) -> Objective:
    """The objective of one of CLASSIFIERS: the probability of being active.

    Args:
        folder: of the converted files; by default `pmo` in the cache folder.

    Raises:
        UsageError: it has not been converted, or says something else than the original does.
    """
    folder = folder or home() / "pmo"
    file = folder / f"{name}.onnx"
    if not file.is_file():
        raise UsageError(
            f"{file}: the classifier of '{name}' is not there; `make pmo-classifiers` converts it, "
            "or leave it out with --tasks rdkit"
        )
    parameters = {"file": str(file), "column": 1, "bits": 2048, **CLASSIFIERS[name]}
    component = {
        "reward": "onnx_model",
        "label": name,
        "parameters": parameters,
        "shaping": {"kind": "clip"},
    }
    objective = Objective.model_validate({"name": name, "components": [component]})
    _check(objective, folder / f"{name}.csv")
    return objective


@cache
def _known(path: Path) -> pd.DataFrame:
    return pd.read_csv(path)


def _check(objective: Objective, path: Path) -> None:
    """Raise UsageError unless an objective says of molecules what a file says that the original does."""
    try:
        table = _known(path)
        mols = [read(smiles) for smiles in table["smiles"]]
        off = np.abs(objective.evaluate(mols).score - table["probability"].to_numpy())
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{path}: not what `make pmo-classifiers` writes ({error}); run it again") from None
    if not (off < _CLOSE).all():
        raise UsageError(
            f"{path.with_suffix('.onnx')}: off the original by {off.max():.2g} "
            f"for {table['smiles'][off.argmax()]}; run `make pmo-classifiers` again"
        )
