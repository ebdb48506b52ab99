"""ChemProp: a small network trained on the spot, where it is installed."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moldesign.chem.molecules import read
from moldesign.errors import RewardError, UsageError
from moldesign.rewards import trust
from moldesign.rewards.chemprop import ChempropModelParameters, chemprop_model

SMILES = ["CCO", "CCN", "c1ccccc1", "CC(=O)O", "CCCCCC", "C[C@H](N)C(=O)O", "CCCl", "CCBr"]

needs_chemprop = pytest.mark.skipif(
    importlib.util.find_spec("chemprop") is None, reason="needs the extra chemprop"
)


@pytest.fixture(autouse=True)
def nothing_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_trusted", {})


@pytest.fixture
def network(tmp_path: Path) -> tuple[Path, Any]:
    """A file of a network with two targets, and the network."""
    import torch
    from chemprop import models, nn

    torch.manual_seed(0)
    scale = nn.UnscaleTransform([5.0, -3.0], [2.0, 0.5])
    predictor = nn.RegressionFFN(n_tasks=2, output_transform=scale)
    model = models.MPNN(nn.BondMessagePassing(), nn.MeanAggregation(), predictor)
    path = tmp_path / "model.pt"
    models.save_model(path, model, ["first", "second"])
    return path, model


@needs_chemprop
def test_predictions_are_chemprops(network: tuple[Path, Any]) -> None:
    from chemprop.data import MoleculeDatapoint, MoleculeDataset, build_dataloader
    from lightning.pytorch import Trainer

    path, model = network
    trust.trust([path])
    data = MoleculeDataset([MoleculeDatapoint.from_smi(one) for one in SMILES])
    trainer = Trainer(logger=False, enable_progress_bar=False, accelerator="cpu")
    batches = trainer.predict(model, build_dataloader(data, shuffle=False))
    expected = np.concatenate([batch.numpy() for batch in batches])
    for target in (0, 1):
        reward = chemprop_model(ChempropModelParameters(file=str(path), target=target))
        values = reward([read(one) for one in SMILES])
        np.testing.assert_allclose(values, expected[:, target], rtol=1e-4)
        # ChemProp's own batches drop a molecule that is left over, here the 65th.
        many = reward([read(one) for one in [*SMILES * 8, SMILES[0]]])
        np.testing.assert_allclose(many, [*np.tile(expected[:, target], 8), expected[0, target]], rtol=1e-4)
        assert reward([]).shape == (0,)
    with pytest.raises(RewardError, match=r"has 2 targets, no 2 \(from 0\)"):
        chemprop_model(ChempropModelParameters(file=str(path), target=2))([read("C")])


@needs_chemprop
def test_what_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"not a checkpoint")
    trust.trust([path])
    with pytest.raises(RewardError, match="is no ChemProp 2 model"):
        chemprop_model(ChempropModelParameters(file=str(path)))([read("C")])


def test_an_untrusted_checkpoint_is_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"anything")
    with pytest.raises(UsageError, match=f"add --trust-plugin {path}"):
        chemprop_model(ChempropModelParameters(file=str(path)))


def test_chemprop_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"anything")
    trust.trust([path])
    for module in ("chemprop", "chemprop.data"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RewardError, match=r"pip install 'moldesign-rl\[chemprop\]'"):
        chemprop_model(ChempropModelParameters(file=str(path)))([read("C")])
