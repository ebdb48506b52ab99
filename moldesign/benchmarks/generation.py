"""How good generated molecules are: valid, unique, novel, and like the corpus in their properties."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

import numpy as np

from moldesign.chem import descriptors
from moldesign.chem.molecules import InvalidMolecule, Mol, parse, read, to_smiles

#: Name and unit of what is compared with the corpus.
PROPERTIES: dict[str, Callable[[Mol], float]] = {
    "molecular weight (g/mol)": descriptors.mw,
    "logP": descriptors.logp,
    "QED": descriptors.qed,
    "SA score": descriptors.sa_score,
    "rings": descriptors.rings,
}


@dataclass(frozen=True)
class Quality:
    """Counts of generated SMILES and the shares that the literature compares.

    Validity is over all samples, uniqueness over the valid ones, novelty over the unique ones (Brown
    et al., GuacaMol, J. Chem. Inf. Model. 59, 1096, 2019, section 3.1). Two samples are one molecule
    if their canonical isomeric SMILES are equal; novel is what the training split does not hold.
    """

    sampled: int
    valid: int
    unique: int
    novel: int
    #: Why samples are no molecules: reason -> how many, the commonest first.
    invalid: dict[str, int]

    @property
    def validity(self) -> float:
        return _share(self.valid, self.sampled)

    @property
    def uniqueness(self) -> float:
        return _share(self.unique, self.valid)

    @property
    def novelty(self) -> float:
        return _share(self.novel, self.unique)


def _share(part: int, whole: int) -> float:
    """NaN where there is nothing to be a share of."""
    return part / whole if whole else float("nan")


def canonical_or_reason(smiles: str) -> tuple[str | None, str]:
    """(canonical SMILES, ""), or (None, why it is no molecule)."""
    if not smiles:
        return None, "without an end, or empty"
    try:
        return to_smiles(read(smiles)), ""
    except InvalidMolecule as error:
        return None, str(error).split(": ")[0]


def assess(smiles: Sequence[str], training: Set[str]) -> tuple[Quality, list[str]]:
    """The quality of samples, and the canonical SMILES of the valid ones in order, repeats included.

    Args:
        smiles: as drawn; the empty string for a sample that never ended.
        training: canonical SMILES of the training split.
    """
    answers = [canonical_or_reason(text) for text in smiles]
    valid = [text for text, _ in answers if text is not None]
    reasons = Counter(reason for text, reason in answers if text is None)
    unique = set(valid)
    quality = Quality(
        len(smiles), len(valid), len(unique), len(unique - training), dict(reasons.most_common())
    )
    return quality, valid


def properties(smiles: Sequence[str]) -> dict[str, np.ndarray]:
    """Property name -> (n,) values of the molecules, without those that cannot be read back."""
    mols = [mol for mol in map(parse, smiles) if mol is not None]
    return {name: np.array([value(mol) for mol in mols]) for name, value in PROPERTIES.items()}


def wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    """The distance by which values a must move on average to be distributed as b, in their unit.

    W1 = integral |F_a(x) - F_b(x)| dx over the empirical distribution functions.
    """
    points = np.sort(np.concatenate([a, b]))
    below_a = np.searchsorted(np.sort(a), points[:-1], side="right") / len(a)
    below_b = np.searchsorted(np.sort(b), points[:-1], side="right") / len(b)
    return float(np.sum(np.abs(below_a - below_b) * np.diff(points)))
