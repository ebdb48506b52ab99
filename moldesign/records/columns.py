"""The names of the columns of the ledger and of candidates.csv."""

from __future__ import annotations

from collections.abc import Sequence

#: What the ledger knows of every oracle call, before the components.
LEDGER = ("call", "step", "time", "smiles", "status", "score", "reason", "origin")

#: candidates.csv before and after the columns of the components.
IDENTITY = ("rank", "smiles", "inchikey", "score", "front")
STRUCTURE = ("scaffold", "formula")
PROPERTIES = (
    "mw",
    "logp",
    "tpsa",
    "hbd",
    "hba",
    "rotatable_bonds",
    "rings",
    "fraction_sp3",
    "heavy_atoms",
    "qed",
    "sa",
)
PROVENANCE = ("first_step", "call", "origin", "agent_nll", "prior_nll")
NEAREST = ("nearest_training_smiles", "nearest_training_similarity")
FIXED = (*IDENTITY, *STRUCTURE, *PROPERTIES, "alerts", *PROVENANCE, *NEAREST)


def component_columns(labels: Sequence[str]) -> list[tuple[str, str]]:
    """For each component the names of its raw and its shaped column: `label` and `label_score`.

    A component may be called like a fixed column (`qed`, `logp`), which means that property in
    every table whatever the objective is; the raw column is then `label_raw`.

    Raises:
        ValueError: two components with one label.
    """
    if len(set(labels)) != len(labels):
        raise ValueError(f"two components with one label: {sorted(labels)}")
    taken = {*LEDGER, *FIXED}
    names = []
    for label in labels:
        raw = _free(label, "_raw", taken)
        shaped = _free(f"{label}_score", "_shaped", taken)
        names.append((raw, shaped))
    return names


def _free(name: str, suffix: str, taken: set[str]) -> str:
    while name in taken:
        name += suffix
    taken.add(name)
    return name
