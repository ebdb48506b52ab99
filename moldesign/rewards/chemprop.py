"""Predictions of a ChemProp 2 model that the user trained."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from moldesign.chem.molecules import Mol, to_smiles
from moldesign.errors import RewardError
from moldesign.rewards.entry import Entry
from moldesign.rewards.extras import extra
from moldesign.rewards.models import ModelFile, one_line
from moldesign.rewards.reward import Reward, Values
from moldesign.rewards.trust import content

_WHAT = "reward 'chemprop_model'"


class ChempropModelParameters(ModelFile):
    """A ChemProp 2 model. Its file runs code when it is loaded: it needs the user's trust."""

    target: int = Field(0, ge=0, description="which of several targets, from 0")


def chemprop_model(parameters: ChempropModelParameters) -> Reward:
    """What a ChemProp 2 model predicts for one of its targets, in the target's unit.

    Raises:
        UsageError: the user does not trust the file.
    """
    model = content(parameters.file, _WHAT)
    return ChempropModel(parameters, hashlib.sha256(model).hexdigest())


class ChempropModel:
    """The reward of a ChemProp 2 model, a directed message-passing network.

    Heid et al., J. Chem. Inf. Model. 64, 9 (2024).
    """

    def __init__(self, parameters: ChempropModelParameters, fingerprint: str) -> None:
        self._parameters = parameters
        self._model: Any = None
        self.fingerprint = fingerprint

    def __call__(self, mols: Sequence[Mol], /) -> Values:
        """Predictions (n,).

        Raises:
            RewardError: ChemProp is not installed, or the model cannot be loaded or has no such target.
        """
        if not mols:
            return np.zeros(0)
        with extra("chemprop"):
            import torch
            from chemprop.data import MoleculeDatapoint, MoleculeDataset, build_dataloader
            from chemprop.models import load_model
        if self._model is None:
            torch.set_num_threads(1)
            self._model = self._loaded(load_model)
        points = [MoleculeDatapoint.from_smi(to_smiles(mol)) for mol in mols]
        # Left to itself it drops a last batch of one molecule.
        loader = build_dataloader(MoleculeDataset(points), batch_size=64, shuffle=False, drop_last=False)
        with torch.inference_mode():
            rows = torch.cat([self._model(batch.bmg, batch.V_d, batch.X_d) for batch in loader]).numpy()
        # Beside the value there may be its uncertainty; the probabilities of classes have no first one.
        if rows.ndim == 3 and "Multiclass" in type(self._model.predictor).__name__:
            raise RewardError(f"{self._parameters.file} gives several classes; a number is needed")
        rows = rows.reshape(len(mols), rows.shape[1], -1)[:, :, 0]
        target = self._parameters.target
        if target >= rows.shape[1]:
            raise RewardError(f"{self._parameters.file} has {rows.shape[1]} targets, no {target} (from 0)")
        return np.asarray(rows[:, target], dtype=np.float64)

    def _loaded(self, load_model: Callable[[Path], Any]) -> Any:
        """The model, from a copy that nobody else can write to: the one that was trusted."""
        file = self._parameters.file
        with tempfile.TemporaryDirectory(prefix="moldesign-", ignore_cleanup_errors=True) as directory:
            copy = Path(directory, Path(file).name)
            copy.write_bytes(content(file, _WHAT))
            try:
                return load_model(copy).eval()
            except Exception as error:
                raise RewardError(f"{file} is no ChemProp 2 model: {one_line(error)}") from error


ENTRIES: dict[str, Entry] = {
    "chemprop_model": Entry(
        "Prediction of a ChemProp 2 model; needs --trust-plugin",
        "the target's",
        chemprop_model,
        ChempropModelParameters,
        group="models",
        example={"file": "model.pt"},
        cost_us=1_500.0,
        isolated=True,
        cached=True,
    ),
}
