"""The oracle: an objective with a memory and a budget."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent import futures
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol

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
    #: What proposed the molecule when it was paid; empty where nobody said.
    origin: str = ""


class Book(Protocol):
    """Where the calls of an oracle are written down: before they are made, and once they are."""

    def reserve(self, smiles: Sequence[str]) -> None:
        """These molecules are about to be scored."""

    def record(self, paid: Sequence[Evaluation]) -> None:
        """These were, and are paid; whatever of them was reserved is not any more."""

    def release(self, smiles: Sequence[str]) -> None:
        """These will not be scored after all."""


class Oracle:
    """Scores SMILES and counts calls: one call is one new canonical isomeric SMILES that is a molecule.

    Args:
        objective: what scores molecules.
        budget: the largest number of calls, never exceeded; None for no limit.
        book: where the calls are written down; None for nowhere.
    """

    def __init__(
        self,
        objective: Evaluator,
        *,
        budget: int | None = None,
        book: Book | None = None,
    ) -> None:
        if budget is not None and budget < 0:
            raise ValueError(f"a budget is not negative: {budget}")
        self._objective = objective
        self._book = book
        self._memory: dict[str, Evaluation] = {}
        #: Paid by a run that this one takes up, and not met again yet.
        self._ahead: dict[str, Evaluation] = {}
        self._failing = _Failing()
        #: Batches without a result yet, in the order in which they were asked for.
        self._flight: deque[Asked] = deque()
        #: Paid, and refused by the book.
        self._unrecorded: list[Evaluation] = []
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
        """New molecules that were asked for and are no calls yet."""
        return sum(len(asked.first) for asked in self._flight)

    @property
    def in_hand(self) -> int:
        """Those of them that workers have."""
        return sum(len(asked.new) for asked in self._flight if asked.in_hand)

    @property
    def paid(self) -> int:
        """Calls that the book holds: those made, and those that are ahead."""
        return len(self._memory) + len(self._ahead) + sum(len(asked.met) for asked in self._flight)

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
                self._forget(asked)
            raise

    def submit(self, smiles: Sequence[str], origins: Sequence[str] = ()) -> Asked:
        """As a call, without waiting where workers score.

        Several batches may be in flight: a molecule of one is a repeat in those after it. Each result is
        to be asked for once, in the order of the batches, which is that of the calls.

        Args:
            origins: what proposed each; none, or one a SMILES.
        """
        answers: list[Evaluation | None] = [None] * len(smiles)
        names: list[str] = [""] * len(smiles)
        mols: dict[int, Mol] = {}
        first: dict[str, int] = {}
        met: dict[str, Evaluation] = {}
        new: dict[str, str] = {}
        to_score: list[Mol] = []
        room = self._room
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
            if names[i] in first or self._knows(names[i]):
                continue
            if names[i] in self._ahead:
                first[names[i]] = i
                met[names[i]] = self._ahead[names[i]]
            elif room is None or len(new) < room:
                first[names[i]] = i
                new[names[i]] = origins[i] if origins else ""
                to_score.append(mol)
            else:
                answers[i] = Evaluation(names[i], "unpaid", math.nan, reason="the budget is spent")
        pending: Pending | None = None
        if new:
            if self._book is not None:
                self._book.reserve([*new])
            try:
                pending = self._objective.submit(to_score, [*new])
            except BaseException:
                self._release([*new])
                raise
        for name in met:
            del self._ahead[name]
        asked = Asked(self, [*smiles], [*origins], answers, names, first, met, new, mols, pending)
        self._flight.append(asked)
        return asked

    @property
    def _room(self) -> int | None:
        """How many more molecules may be scored; None without a budget."""
        if self._objective.finished:
            return 0
        promised = self.paid + sum(len(asked.new) for asked in self._flight)
        return None if self.budget is None else max(0, self.budget - promised)

    def collect(self) -> None:
        """Take the result of every batch in flight, as far as workers have it in hand; forget the others.

        Raises:
            RewardError: as a call; what was behind the batch that failed stays in flight.
        """
        while self._flight:
            if self._flight[0].in_hand:
                self._flight[0].result()
            else:
                self._forget(self._flight.popleft())

    def _knows(self, name: str) -> bool:
        return name in self._memory or any(name in asked.first for asked in self._flight)

    def _release(self, names: Sequence[str]) -> None:
        if self._book is not None and names:
            self._book.release(names)

    def _forget(self, asked: Asked) -> None:
        """What a batch had that will not be scored is nobody's; what was paid before stays so."""
        self._ahead |= asked.met
        self._release([*asked.new])

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
                    self._forget(asked)
                raise
        self._flight.popleft()
        self._meet(asked.met.values())
        paid = [*asked.met.values()]
        if scores is None:
            self._release([*asked.new])
        else:
            paid += self._pay(asked.new, scores)
        answers = []
        for i, answer in enumerate(asked.answers):
            if answer is None:
                name = asked.names[i]
                known = self._memory.get(name)
                if known is None:
                    # Its batch, this one or one before it, ended with an error or came after the last call.
                    answer = Evaluation(name, "unpaid", math.nan, reason="it was never scored")
                else:
                    answer = known if asked.first.get(name) == i else replace(known, status="repeat")
            answers.append(answer)
        return answers, paid

    def _pay(self, names: Mapping[str, str], scores: Scores) -> list[Evaluation]:
        self.tally.add(scores)
        before = self.paid
        paid = []
        for i, (name, origin) in enumerate(names.items()):
            score = float(scores.score[i])
            paid.append(
                Evaluation(
                    smiles=name,
                    status="failed" if math.isnan(score) else "scored",
                    score=score,
                    raw=tuple(float(scores.raw[label][i]) for label in self.labels),
                    shaped=tuple(float(scores.shaped[label][i]) for label in self.labels),
                    reason=scores.reasons[i],
                    call=before + 1 + i,
                    origin=origin,
                )
            )
        # Remembered before it is recorded: what was paid stays paid whatever becomes of the record. And what
        # could not be recorded is recorded with the next: calls follow each other without a gap.
        self._memory |= {one.smiles: one for one in paid}
        self._unrecorded += paid
        if self._book is not None:
            self._book.record(self._unrecorded)
        self._unrecorded = []
        return paid

    def _meet(self, evaluations: Iterable[Evaluation]) -> None:
        """Calls that were paid before are made again, for nothing."""
        for one in evaluations:
            self._memory[one.smiles] = one
            self.tally.recount(one.shaped, one.reason)

    def _stop_if_broken(self, paid: Sequence[Evaluation], *, newly: bool) -> None:
        """Raise RewardError if a component has failed for all of late; what is met again was said before."""
        if not paid:
            return
        failing = self._failing = self._failing.after(paid)
        often = failing.batches >= BATCHES_BEFORE_STOP or failing.molecules == self.calls
        if newly and often and failing.molecules >= FAILURES_BEFORE_STOP:
            raise RewardError(
                f"'{failing.component}' failed for each of the last {failing.molecules} molecules, "
                f"as for {paid[-1].smiles}: {paid[-1].reason}"
            )

    def state(self) -> dict[str, Any]:
        """What `restore` needs beside the evaluations that were paid: which of them are calls made."""
        flying = [one for asked in self._flight for one in asked.met.values()]
        return {
            "calls": self.calls,
            "ahead": [one.call for one in (*flying, *self._ahead.values())],
            "failing": asdict(self._failing),
            "tally": self.tally.state(),
        }

    def restore(self, paid: Iterable[Evaluation], state: Mapping[str, Any] | None = None) -> None:
        """Remember what was paid before: none of it is paid again.

        Args:
            paid: in the order of the calls, from the first.
            state: as it was at some moment: what was no call made by then is ahead, and becomes one, for
                nothing, when its molecule is asked for. None: all are calls made.

        Raises:
            ValueError: an evaluation that was never paid, or calls that do not follow each other.
        """
        known = [*paid]
        ahead = set() if state is None else {*state["ahead"]}
        upto = len(known) if state is None else state["calls"] + len(ahead)
        for number, one in enumerate(known, self.paid + 1):
            if one.status not in ("scored", "failed") or one.call != number:
                raise ValueError(f"call {number} expected, got {one}")
            if one.smiles in self._memory or one.smiles in self._ahead:
                raise ValueError(f"paid twice: {one.smiles}")
            place = self._ahead if one.call > upto or one.call in ahead else self._memory
            place[one.smiles] = one
        if state is not None:
            self._failing = _Failing(**state["failing"])
            self.tally.restore(state["tally"])

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
        written: the SMILES as they were given. origins: what proposed each; or none.
        mols: by row, of those that are molecules: whoever needs them need not read them again.
        first: row of the first mention of each molecule that was no call before, by its canonical SMILES.
        met: those of them that are paid already. new: those that are to be scored, and what proposed each.
    """

    oracle: Oracle
    written: list[str]
    origins: list[str]
    #: What needs no scores, and None where an answer does.
    answers: list[Evaluation | None]
    names: list[str]
    first: dict[str, int]
    met: dict[str, Evaluation]
    new: dict[str, str]
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
        self.oracle._stop_if_broken(paid, newly=len(paid) > len(self.met))
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
