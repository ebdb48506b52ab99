"""The oracle: an objective with a memory and a budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from moldesign.chem.molecules import InvalidMolecule, Mol, read, to_smiles
from moldesign.errors import RewardError
from moldesign.rewards.objective import Evaluator

Status = Literal["scored", "repeat", "invalid", "failed", "unpaid"]

#: When that many calls have been made and every one failed, the objective is broken, not the molecules.
FAILURES_BEFORE_STOP = 32


@dataclass(frozen=True)
class Evaluation:
    """What the oracle says of one SMILES.

    Status: `scored`; `failed`, paid but without a score; `repeat`, known from memory and free, a
    remembered failure included; `invalid`, no molecule; `unpaid`, new when the budget was spent.
    """

    #: Canonical isomeric SMILES; the raw text where invalid.
    smiles: str
    status: Status
    #: NaN where invalid, failed, unpaid or a repeat of a failure.
    score: float
    #: Values of the components, in the order of the oracle's labels; empty where invalid or unpaid.
    raw: tuple[float, ...] = ()
    shaped: tuple[float, ...] = ()
    reason: str | None = None
    #: The call, from 1, at which it was paid.
    call: int | None = None


class Oracle:
    """Scores SMILES and counts calls: one call is one new canonical isomeric SMILES that is a molecule.

    Args:
        objective: what scores molecules.
        budget: the largest number of calls, never exceeded; None for no limit.
        record: gets the newly paid evaluations the moment they are scored.
    """

    def __init__(
        self,
        objective: Evaluator,
        *,
        budget: int | None = None,
        record: Callable[[Sequence[Evaluation]], None] | None = None,
    ) -> None:
        if budget is not None and budget < 0:
            raise ValueError(f"a budget is not negative: {budget}")
        self._objective = objective
        self._record = record
        self._memory: dict[str, Evaluation] = {}
        self._any_scored = False
        self.budget = budget

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the objective's components."""
        return self._objective.labels

    @property
    def calls(self) -> int:
        """Calls made, those that failed included."""
        return len(self._memory)

    @property
    def remaining(self) -> int | None:
        """Calls left; None without a budget."""
        if self._objective.finished:
            return 0
        return None if self.budget is None else max(0, self.budget - self.calls)

    @property
    def spent(self) -> bool:
        """Whether no new molecule can be paid for any more."""
        return self.remaining == 0

    def __call__(self, smiles: Sequence[str]) -> list[Evaluation]:
        """An evaluation each, in order.

        The same molecule twice: the first is paid, the second is a repeat. New molecules are paid
        in order until the budget is spent.

        Raises:
            RewardError: the objective is broken; nothing of the batch is then paid or remembered.
        """
        answers: list[Evaluation | None] = [None] * len(smiles)
        names: list[str] = [""] * len(smiles)
        new: dict[str, Mol] = {}
        first: dict[str, int] = {}
        remaining = self.remaining
        for i, text in enumerate(smiles):
            try:
                mol = read(text)
                names[i] = to_smiles(mol)
            except InvalidMolecule as error:
                answers[i] = Evaluation(text, "invalid", math.nan, reason=str(error))
                continue
            except Exception as error:
                reason = f"RDKit cannot write it: {' '.join(str(error).split())}"
                answers[i] = Evaluation(text, "invalid", math.nan, reason=reason)
                continue
            if names[i] in self._memory or names[i] in new:
                continue
            if remaining is None or len(new) < remaining:
                new[names[i]], first[names[i]] = mol, i
            else:
                answers[i] = Evaluation(names[i], "unpaid", math.nan, reason="the budget is spent")
        paid = self._pay(new)
        for i, answer in enumerate(answers):
            if answer is None:
                known = self._memory[names[i]]
                answers[i] = known if first.get(names[i]) == i else replace(known, status="repeat")
        self._stop_if_broken(paid)
        return [answer for answer in answers if answer is not None]

    def _pay(self, new: dict[str, Mol]) -> list[Evaluation]:
        if not new:
            return []
        scores = self._objective.evaluate(list(new.values()))
        paid = []
        for i, name in enumerate(new):
            score = float(scores.score[i])
            paid.append(
                Evaluation(
                    smiles=name,
                    status="failed" if math.isnan(score) else "scored",
                    score=score,
                    raw=tuple(float(scores.raw[label][i]) for label in self.labels),
                    shaped=tuple(float(scores.shaped[label][i]) for label in self.labels),
                    reason=scores.reasons[i],
                    call=self.calls + 1 + i,
                )
            )
        # Remembered before it is recorded: what was paid stays paid whatever becomes of the record.
        self.restore(paid)
        if self._record is not None:
            self._record(paid)
        return paid

    def _stop_if_broken(self, paid: Sequence[Evaluation]) -> None:
        if paid and not self._any_scored and self.calls >= FAILURES_BEFORE_STOP:
            raise RewardError(
                f"the objective failed for each of the first {self.calls} molecules, "
                f"as for {paid[0].smiles}: {paid[0].reason}"
            )

    def state(self) -> list[Evaluation]:
        """Everything paid, in the order of the calls."""
        return list(self._memory.values())

    def restore(self, evaluations: Iterable[Evaluation]) -> None:
        """Remember what was paid before, in the order of the calls: it is free from now on.

        Raises:
            ValueError: an evaluation that was never paid, or calls that do not follow each other.
        """
        for evaluation in evaluations:
            if evaluation.status not in ("scored", "failed") or evaluation.call != self.calls + 1:
                raise ValueError(f"call {self.calls + 1} expected, got {evaluation}")
            if evaluation.smiles in self._memory:
                raise ValueError(f"paid twice: {evaluation.smiles}")
            self._memory[evaluation.smiles] = evaluation
            self._any_scored |= evaluation.status == "scored"
