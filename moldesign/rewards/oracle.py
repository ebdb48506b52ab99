"""The oracle: an objective with a memory and a budget."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures
from dataclasses import dataclass, replace
from typing import Literal

from moldesign.chem.molecules import InvalidMolecule, Mol, read, to_smiles
from moldesign.errors import RewardError
from moldesign.rewards.scores import Evaluator, Pending, Scores
from moldesign.rewards.tally import Tally

Status = Literal["scored", "repeat", "invalid", "failed", "unpaid"]

#: When one component failed for so many new molecules in a row, in whole batches, and in so many of these or
#: from the first on, then it is broken, not the molecules.
BATCHES_BEFORE_STOP = 3
FAILURES_BEFORE_STOP = 32


@dataclass(frozen=True)
class Evaluation:
    """What the oracle says of one SMILES.

    Status: `scored`; `failed`, paid but without a score; `repeat`, known from memory and free, a
    remembered failure included; `invalid`, no molecule; `unpaid`, new when the budget was spent, or never
    scored.
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
        self._failing = _Failing()
        #: Batches without a result yet, in the order in which they were asked for.
        self._flight: deque[Asked] = deque()
        self.budget = budget
        #: What each component did so far.
        self.tally = Tally(objective.labels)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the objective's components."""
        return self._objective.labels

    @property
    def calls(self) -> int:
        """Calls made, those that failed included."""
        return len(self._memory)

    @property
    def in_flight(self) -> int:
        """New molecules that were asked for and are not paid yet."""
        return sum(len(asked.new) for asked in self._flight)

    @property
    def in_hand(self) -> int:
        """Those of them that workers have."""
        return sum(len(asked.new) for asked in self._flight if asked.in_hand)

    @property
    def remaining(self) -> int | None:
        """Calls left, those in flight counted as made; None without a budget."""
        if self._objective.finished:
            return 0
        return None if self.budget is None else max(0, self.budget - self.calls - self.in_flight)

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
        asked = self.submit(smiles)
        try:
            return asked.result()
        except BaseException:
            if asked in self._flight:  # nobody else can ask for it
                self._flight.remove(asked)
            raise

    def submit(self, smiles: Sequence[str]) -> Asked:
        """As a call, without waiting where workers score.

        Several batches may be in flight: a molecule of one is a repeat in those after it. Each result is
        to be asked for once, in the order of the batches, which is that of the calls.
        """
        answers: list[Evaluation | None] = [None] * len(smiles)
        names: list[str] = [""] * len(smiles)
        mols: dict[int, Mol] = {}
        new: dict[str, int] = {}
        to_score: list[Mol] = []
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
            mols[i] = mol
            if names[i] in new or self._knows(names[i]):
                continue
            if remaining is None or len(new) < remaining:
                new[names[i]] = i
                to_score.append(mol)
            else:
                answers[i] = Evaluation(names[i], "unpaid", math.nan, reason="the budget is spent")
        pending = self._objective.submit(to_score, list(new)) if new else None
        asked = Asked(self, answers, names, new, mols, pending)
        self._flight.append(asked)
        return asked

    def collect(self) -> None:
        """Take the result of every batch in flight, as far as workers have it in hand; forget the others.

        Raises:
            RewardError: as a call; what was behind the batch that failed stays in flight.
        """
        while self._flight:
            if self._flight[0].in_hand:
                self._flight[0].result()
            else:
                self._flight.popleft()

    def _knows(self, name: str) -> bool:
        return name in self._memory or any(name in asked.new for asked in self._flight)

    def _result(self, asked: Asked) -> tuple[list[Evaluation], list[Evaluation]]:
        """The answers to a batch, and which of them were newly paid, in order."""
        if not self._flight or self._flight[0] is not asked:
            raise RuntimeError("results are asked for once each, in the order of the batches")
        scores: Scores | None = None
        if asked.pending is not None and (asked.in_hand or not self._objective.finished):
            try:
                scores = asked.pending.result()
            except BaseException as error:
                # After Ctrl-C workers go on, and `collect` may still have what they score.
                if isinstance(error, Exception) or not asked.in_hand:
                    self._flight.popleft()
                raise
        self._flight.popleft()
        paid = self._pay(asked.new, scores) if scores is not None else []
        answers = []
        for i, answer in enumerate(asked.answers):
            if answer is None:
                name = asked.names[i]
                known = self._memory.get(name)
                if known is None:
                    # Its batch, this one or one before it, ended with an error or came after the last call.
                    answer = Evaluation(name, "unpaid", math.nan, reason="it was never scored")
                else:
                    answer = known if asked.new.get(name) == i else replace(known, status="repeat")
            answers.append(answer)
        return answers, paid

    def _pay(self, names: Iterable[str], scores: Scores) -> list[Evaluation]:
        self.tally.add(scores)
        paid = []
        for i, name in enumerate(names):
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
        if not paid:
            return
        failing = self._failing = self._failing.after(paid)
        often = failing.batches >= BATCHES_BEFORE_STOP or failing.molecules == self.calls
        if often and failing.molecules >= FAILURES_BEFORE_STOP:
            raise RewardError(
                f"'{failing.component}' failed for each of the last {failing.molecules} molecules, "
                f"as for {paid[-1].smiles}: {paid[-1].reason}"
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

    def recall(self, smiles: str) -> Evaluation:
        """What was paid for this canonical isomeric SMILES.

        Raises:
            KeyError: nothing was.
        """
        return self._memory[smiles]


@dataclass(frozen=True, eq=False)
class Asked:
    """A batch that an oracle was asked for.

    Attributes:
        mols: by row, of those that are molecules: whoever needs them need not read them again.
        new: row of the first mention of each new molecule, by its canonical SMILES.
    """

    oracle: Oracle
    #: What needs no scores, and None where an answer does.
    answers: list[Evaluation | None]
    names: list[str]
    new: dict[str, int]
    mols: dict[int, Mol]
    pending: Pending | None

    @property
    def in_hand(self) -> bool:
        """Whether workers have it; what is scored in this process begins when its result is asked for."""
        return isinstance(self.pending, futures.Future)

    def wait(self) -> None:
        """Return when workers have scored it; at once where nobody has it in hand."""
        if isinstance(self.pending, futures.Future):
            futures.wait([self.pending])

    def result(self) -> list[Evaluation]:
        """An evaluation each, in order. Raises RewardError, as a call of the oracle."""
        answers, paid = self.oracle._result(self)
        self.oracle._stop_if_broken(paid)
        return answers


@dataclass(frozen=True)
class _Failing:
    """The component that failed for every molecule of the last batches, and how many there were."""

    component: str = ""
    batches: int = 0
    molecules: int = 0

    def after(self, paid: Sequence[Evaluation]) -> _Failing:
        # A reason begins with the label of its component.
        components = {(e.reason or "").split(":")[0] if e.status == "failed" else "" for e in paid}
        if len(components) > 1 or "" in components:
            return _Failing()
        (component,) = components
        if component != self.component:
            return _Failing(component, 1, len(paid))
        return _Failing(component, self.batches + 1, self.molecules + len(paid))
