"""Molecules drawn from a prior, as a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from moldesign.assets import prior_path
from moldesign.chem import molecules
from moldesign.policy.checkpoint import load_policy
from moldesign.policy.threads import settle_threads

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("smiles", "valid", "canonical_smiles", "nll")

# Large, so that most of it is drawn with a full batch.
_CHUNK = 8192
_LEAST = 256
# A prior that writes nothing new for so long never will.
_BARREN = 20_000


def sample(
    prior: str | Path = "druglike",
    n: int = 1000,
    *,
    seed: int = 0,
    temperature: float = 1.0,
    top_p: float = 1.0,
    unique: bool = False,
    valid_only: bool = False,
    progress: Callable[[int], None] | None = None,
) -> pd.DataFrame:
    """n rows with columns smiles, valid, canonical_smiles and nll, in the order they were drawn.

    Row i depends on the prior, the seed, the temperature and i alone. Invalid and repeated molecules
    are in it, unless asked otherwise; then drawing goes on until there are n.

    Args:
        prior: a shipped name, or a path to a policy file.
        unique: leave out what has the canonical SMILES (or, if invalid, the text) of an earlier row.
        valid_only: leave out what RDKit cannot read.
        progress: called with the number of rows so far.

    Returns:
        smiles as written, '' where the sequence never ended; nll in nats at temperature 1. Fewer than n
        rows only if 20,000 molecules in a row brought nothing that was asked for.

    Raises:
        UsageError: no such prior. CheckpointError: it cannot be read. ValueError: see Policy.sample.
    """
    import pandas as pd

    rows = sampled_rows(
        prior,
        n,
        seed=seed,
        temperature=temperature,
        top_p=top_p,
        unique=unique,
        valid_only=valid_only,
        progress=progress,
    )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def sampled_rows(
    prior: str | Path,
    n: int,
    *,
    seed: int,
    temperature: float,
    top_p: float,
    unique: bool,
    valid_only: bool,
    progress: Callable[[int], None] | None,
) -> list[tuple[str, bool, str, float]]:
    """The rows of `sample`: for who does without pandas, which takes long to load."""
    settle_threads()
    policy, _ = load_policy(
        prior_path(prior), device=torch.device("cuda" if torch.cuda.is_available() else "cpu")
    )
    rows: list[tuple[str, bool, str, float]] = []
    seen: set[str] = set()
    drawn = barren = 0
    while len(rows) < n and barren < _BARREN:
        missing = n - len(rows)
        # Of molecules that may be left out, not a few at a time.
        size = min(_CHUNK, max(missing, _LEAST) if unique or valid_only else missing)
        batch = policy.sample(size, seed=seed, first_index=drawn, temperature=temperature, top_p=top_p)
        drawn += size
        before = len(rows)
        for text, nll in zip(policy.decode(batch), batch.nll.tolist(), strict=True):
            canonical = molecules.canonical(text)
            if valid_only and canonical is None:
                continue
            key = canonical or text
            if unique and key in seen:
                continue
            seen.add(key)
            rows.append((text, canonical is not None, canonical or "", nll))
        barren = barren + size if len(rows) == before else 0
        if progress is not None:
            progress(min(len(rows), n))
    return rows[:n]
