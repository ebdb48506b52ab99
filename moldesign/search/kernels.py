"""How alike molecules are, all to all: by what they are made of, and by a few of their properties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from moldesign.chem.fingerprints import Kind, unary_columns
from moldesign.chem.molecules import Mol
from moldesign.chem.profile import PROPERTIES, properties

#: Columns of a row. Two features of a hundred molecules in a thousand share one.
WIDTH = 4096


@dataclass(frozen=True)
class Features:
    """What a kernel sees of n molecules.

    Attributes:
        bits: (n, WIDTH) of 0 and 1 in bfloat16, which takes a fourth of the time.
        sizes: (n,) how many are 1, which to count takes longer than to compare.
        properties: (n, PROPERTIES), in standard deviations of ZINC250k.
    """

    bits: Tensor
    sizes: Tensor
    properties: Tensor

    def __len__(self) -> int:
        return len(self.bits)

    def rows(self, places: Tensor) -> Features:
        """Those of some of the molecules."""
        return Features(self.bits[places], self.sizes[places], self.properties[places])

    def joined(self, others: Features) -> Features:
        """Those of these molecules and of others."""
        return Features(
            torch.cat([self.bits, others.bits]),
            torch.cat([self.sizes, others.sizes]),
            torch.cat([self.properties, others.properties]),
        )


def features(mols: Sequence[Mol], kind: Kind) -> Features:
    """What a kernel over one kind of fingerprints sees of molecules."""
    bits = torch.zeros((len(mols), WIDTH), dtype=torch.bfloat16)
    for row, mol in zip(bits, mols, strict=True):
        row[torch.from_numpy(unary_columns(mol, kind, WIDTH))] = 1
    values = torch.tensor([properties(mol) for mol in mols], dtype=torch.float32)
    return Features(bits, bits.float().sum(1), values.reshape(len(mols), PROPERTIES))


def kernels(first: Features, second: Features, shares: Sequence[float]) -> list[Tensor]:
    """(n, m) float32 each, 0 to 1: the similarities of molecules, as often as there are shares.

    Args:
        shares: what `likeness` of their properties has of each; the rest is `tanimoto`.
    """
    none = torch.zeros(len(first), len(second))
    similar = none if all(share == 1 for share in shares) else tanimoto(first, second)
    alike = likeness(first.properties, second.properties) if any(shares) else none
    # Neither is multiplied in where it has no share: what is 1 on the diagonal stays so.
    return [(1 - share) * similar + share * alike if share else similar for share in shares]


def likeness(first: Tensor, second: Tensor) -> Tensor:
    """(n, m) exp(-|x - y|^2 / 2 D): the squared-exponential kernel over D properties, of length sqrt D."""
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1)[None, :] - 2 * first @ second.T
    return torch.exp(-squares.clamp(min=0.0) / (2 * first.shape[1]))


def tanimoto(first: Features, second: Features) -> Tensor:
    """(n, m) float32, 0 to 1: the similarities of rows of bits; 0 where both are empty.

    Of counts the sum of the smaller over the sum of the larger (MinMax; Ralaivola et al. 2005, Graph kernels
    for chemical informatics).
    """
    # In half precision whole numbers end at 256, and a similarity that is rounded is no kernel any more.
    small = all(float(seen.sizes.amax()) <= 256 for seen in (first, second) if len(seen))
    a, b = first.bits, second.bits
    common = (a @ b.T).float() if small else a.float() @ b.float().T
    sizes = first.sizes[:, None] + second.sizes[None, :]
    return common / (sizes - common).clamp(min=1.0)
