"""Fréchet ChemNet Distance between two sets of molecules.

Preuer et al., J. Chem. Inf. Model. 58, 1736 (2018). The network and the way it reads SMILES are those
of the package `fcd`; the distance itself is computed here, since fcd 1.2.2 calls what newer numpy and scipy
leave out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from moldesign.errors import UsageError

_BATCH = 128


def _fcd() -> Any:
    try:
        import fcd
        import fcd.utils
    except ImportError as error:
        raise UsageError(
            f"FCD needs a package that is not installed ({error.name}): pip install 'moldesign-rl[metrics]'"
        ) from None
    return fcd


def check_installed() -> None:
    """Nothing; an error now rather than after an hour of sampling.

    Raises:
        UsageError: the package `fcd` cannot be imported.
    """
    _fcd()


@torch.no_grad()
def activations(smiles: Sequence[str]) -> np.ndarray:
    """(n, 512) float64: what the last but one layer of ChemNet makes of canonical SMILES.

    Raises:
        UsageError: the package `fcd` is not installed.
    """
    fcd = _fcd()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = fcd.load_ref_model().to(device)
    rows = []
    for start in range(0, len(smiles), _BATCH):
        # Padded to 350 tokens whatever the batch: ChemNet reads the padding too.
        dataset = fcd.utils.SmilesDataset(list(smiles[start : start + _BATCH]))
        one_hot = np.stack([dataset[i] for i in range(len(dataset))]).astype(np.float32)
        rows.append(network(torch.from_numpy(one_hot).transpose(1, 2).to(device)).cpu().double().numpy())
    return np.concatenate(rows)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """The squared Fréchet distance between the normal distributions of activations (n, d) and (m, d).

    |mu_a - mu_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^1/2); the trace of that root is the sum of the roots of
    the eigenvalues of C_a^1/2 C_b C_a^1/2, a symmetric matrix, so no complex root can come of rounding.
    """
    shift = a.mean(0) - b.mean(0)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    mixed = np.linalg.eigvalsh(root @ cov_b @ root).clip(min=0)
    return float(shift @ shift + np.trace(cov_a) + np.trace(cov_b) - 2 * np.sqrt(mixed).sum())
