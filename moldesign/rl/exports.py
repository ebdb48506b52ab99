"""What a run leaves behind for its reader: tables, structures, figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from moldesign.assets import corpus_path, home, shipped
from moldesign.chem.neighbours import NearestNeighbours
from moldesign.errors import MoldesignError
from moldesign.language import corpus
from moldesign.policy.checkpoint import Provenance
from moldesign.policy.policy import Policy
from moldesign.records import figures, structures
from moldesign.records.candidates import (
    NEAREST_FOR,
    Kept,
    Nearest,
    best_first,
    candidates_table,
    with_nearest,
    write_csv,
)
from moldesign.records.columns import component_columns
from moldesign.records.journal import EventLog
from moldesign.records.run import RunDirectory
from moldesign.rewards.component import front_points
from moldesign.rewards.fronts import hypervolume_curve, on_front
from moldesign.rewards.objective import Objective
from moldesign.rewards.tally import ComponentTally
from moldesign.text import tell


@dataclass(frozen=True)
class Exports:
    """Makes the tables of a run, and writes them where its directory lasts."""

    directory: RunDirectory
    objective: Objective
    agent: Policy
    prior: Policy
    provenance: Provenance
    log: EventLog

    def hypervolume(self, ledger: pd.DataFrame) -> pd.DataFrame:
        """Calls, size of the front found by then, what it dominates; empty for one objective."""
        curve = []
        if self.objective.several:
            scored = ledger[ledger["score"] > 0]
            curve = hypervolume_curve(self._desirabilities(scored), scored["call"])
        table = pd.DataFrame(curve, columns=["calls", "front", "hypervolume"])
        if self.objective.several and self.directory.lasting:
            write_csv(table, self.directory.hypervolume)
        return table

    def candidates(
        self,
        ledger: pd.DataFrame,
        *,
        sdf: bool = False,
        nearest_for: int | None = NEAREST_FOR,
        best: int | None = None,
    ) -> pd.DataFrame:
        """Every scored molecule of a ledger, best first (docs/candidates.md), and its learning curve.

        Args:
            sdf: write candidates.sdf too.
            nearest_for: how many of the best get their nearest training molecule; None for all.
            best: how many of the best there are rows of; None for all.
        """
        lasting = self.directory.lasting
        ranked = best_first(ledger)
        front = self._on_front(ranked)
        ranked, front = ranked[:best], None if front is None else front[:best]
        smiles = ranked["smiles"].tolist()
        kept = Kept(nearest_for, drawings=sdf and lasting)
        table = candidates_table(
            ranked,
            self.objective.labels,
            agent_nll=self.agent.nll(smiles),
            prior_nll=self.prior.nll(smiles),
            front=front,
            kept=kept,
        )
        if lasting:
            # The search takes up to a minute: what was found is on the disk before it.
            write_csv(table, self.directory.candidates)
        if nearest_for != 0 and len(table):
            search, missing = training_search(self.provenance)
            if missing:
                self.log.write("nearest training molecules incomplete", missing=missing)
                tell(f"nearest training molecules: {missing}")
            if search is not None:
                table = with_nearest(table, search, kept.fingerprints)
                if lasting:
                    write_csv(table, self.directory.candidates)
        if sdf and lasting:
            structures.write_sdf(table, self.directory.structures, kept.blocks)
        if lasting and len(table):
            figures.draw_learning_curve(ledger, self.directory.learning_curve)
        return table

    def components(self, costs: Sequence[ComponentTally]) -> None:
        """What each component cost and let through."""
        if self.directory.lasting:
            table = pd.DataFrame(
                {
                    "component": one.label,
                    "valued": one.valued,
                    "asked": one.asked,
                    "failed": one.failed,
                    "hit_rate": one.hit_rate,
                    "milliseconds": one.milliseconds,
                }
                for one in costs
            )
            write_csv(table, self.directory.components)

    def _on_front(self, rows: pd.DataFrame) -> np.ndarray | None:
        """Which rows (n,) are on the Pareto front; None for one objective. A score of 0 is not on it."""
        if not self.objective.several:
            return None
        member = (rows["score"] > 0).to_numpy(copy=True)
        member[member] = on_front(self._desirabilities(rows[member]))
        return member

    def _desirabilities(self, rows: pd.DataFrame) -> np.ndarray:
        """(n, k) of the k components of role score, penalties and filters in them."""
        labels = self.objective.labels
        columns = component_columns(labels)
        shaped = {
            label: rows[name].to_numpy(dtype=np.float64)
            for label, (_, name) in zip(labels, columns, strict=True)
        }
        return front_points(self.objective.components, shaped)


def training_search(provenance: Provenance) -> tuple[Nearest | None, str]:
    """The search for the nearest of the molecules that a prior and its ancestors were trained on.

    Returns:
        the search, None if no such molecule is here; and what is missing, in words, empty if nothing is.
    """
    sources = {(name, stage.column): None for stage in provenance.lineage() for name in stage.corpora}
    if not sources:
        return None, "the prior does not say what it was trained on"
    smiles: list[str] = []
    missing: list[str] = []
    # RDKit wrote the shipped corpora; others are taken for training as they stand.
    canonical = True
    for name, column in sources:
        try:
            path = corpus_path(name)
            smiles.extend(corpus.load(path, column))
            canonical &= shipped(path)
        except MoldesignError as error:
            missing.append(str(error))
    search = NearestNeighbours(smiles, canonical=canonical, cache=home() / "fingerprints") if smiles else None
    return search, "; ".join(missing)
