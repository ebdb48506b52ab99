"""How alike molecules are, all to all: the Tanimoto similarity of counted features, as matrix products."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moldesign.chem.fingerprints import Kind, unary_columns
from moldesign.chem.molecules import Mol

#: Columns of a row. Two features of a hundred molecules in a thousand share one.
WIDTH = 4096


def features(mols: Sequence[Mol], kind: Kind) -> Tensor:
    """(n, WIDTH) of 0 and 1 in bfloat16, which takes a fourth of the time."""
    rows = torch.zeros((len(mols), WIDTH), dtype=torch.bfloat16)
    for row, mol in zip(rows, mols, strict=True):
        row[torch.from_numpy(unary_columns(mol, kind, WIDTH))] = 1
    return rows


def tanimoto(first: Tensor, second: Tensor) -> Tensor:
    """(n, m) float32, 0 to 1: the similarities of rows of `features`; 0 where both are empty.

    Of counts the sum of the smaller over the sum of the larger (MinMax; Ralaivola et al. 2005, Graph kernels
    for chemical informatics).
    """
    ones = [rows.float().sum(1) for rows in (first, second)]
    # In half precision whole numbers end at 256, and a similarity that is rounded is no kernel any more.
    small = all(float(sums.amax()) <= 256 for sums in ones if len(sums))
    common = (first @ second.T).float() if small else first.float() @ second.float().T
    sizes = ones[0][:, None] + ones[1][None, :]
    return common / (sizes - common).clamp(min=1.0)
