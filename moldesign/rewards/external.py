"""A scorer in another process: a command started once that answers JSON lines."""

from __future__ import annotations

import contextlib
import json
import shlex
import weakref
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NoReturn

import numpy as np

from moldesign.chem.molecules import Mol, to_smiles
from moldesign.errors import RewardError, UsageError
from moldesign.rewards.processes import Process
from moldesign.rewards.reward import Values

#: Molecules in a row, each sent alone, after which a scorer is given up: those on which it failed,
MAX_FAILURES = 32
#: those for which it took too long, which costs minutes each,
MAX_TIMEOUTS = 3
#: and those on which it failed where it has never answered yet.
MAX_UNPROVEN = 3

#: How long a scorer may take to end after it was asked to.
GRACE_S = 2.0


class ScorerError(Exception):
    """The scorer could not score what it was sent: it said so, died or was too slow."""


class ScorerTimeoutError(ScorerError):
    """It was too slow."""


class Patience:
    """Failures of single molecules since the last answer, and when they are too many.

    Those of larger batches are not counted: they are asked for again, molecule by molecule, and all but
    one of them may be fine.
    """

    def __init__(
        self, *, failures: int = MAX_FAILURES, timeouts: int = MAX_TIMEOUTS, unproven: int = MAX_UNPROVEN
    ) -> None:
        self._most, self._most_timeouts = min(failures, unproven), timeouts
        self._most_later = failures
        self._failures = self._timeouts = 0

    def answered(self) -> None:
        """There was an answer: all is forgiven."""
        self._most = self._most_later
        self._failures = self._timeouts = 0

    def failed(self, who: str, error: ScorerError, n: int) -> None:
        """There was none for n molecules. Raises RewardError if that is once too often."""
        if n > 1:
            return
        self._failures += 1
        self._timeouts += isinstance(error, ScorerTimeoutError)
        if self._failures >= self._most or self._timeouts >= self._most_timeouts:
            raise RewardError(f"{who} failed for {self._failures} molecules in a row: {error}") from error


def read_answer(answer: Any, n: int) -> Values:
    """Scores (n,) of an answer of n scores, a list or an object with `scores`; null becomes NaN.

    Raises:
        ScorerError: an object with `error`.
        ValueError: anything else; one line says what was expected.
    """
    if isinstance(answer, dict):
        if "error" in answer:
            raise ScorerError(shorten(str(answer["error"])))
        if not isinstance(answer.get("scores"), list):
            raise ValueError(f'"scores" or "error" expected, got {shorten(json.dumps(answer))}')
        answer = answer["scores"]
    if not isinstance(answer, list):
        raise ValueError(f"a list of scores expected, got {shorten(json.dumps(answer))}")
    if len(answer) != n:
        raise ValueError(f"{len(answer)} scores for {n} molecules")
    values = np.full(n, np.nan)
    for i, score in enumerate(answer):
        if score is None:
            continue
        if isinstance(score, bool) or not isinstance(score, int | float):
            raise ValueError(f"score {i + 1} is no number: {shorten(json.dumps(score))}")
        with contextlib.suppress(OverflowError):  # an integer beyond any float is no score
            values[i] = float(score)
    return values


def shorten(text: str) -> str:
    """The text in one line of at most 200 characters."""
    text = " ".join(text.split())
    return text if len(text) <= 200 else text[:197] + "..."


class ExternalScorer:
    """A reward that asks a command. The protocol is in docs/external-scorers.md.

    A scorer that dies or is too slow is killed and started again for the molecules one by one, so
    that only those that bring it down fail. One that breaks the protocol ends the run.

    Args:
        command: split as a shell would, but run without a shell; or its arguments.
        ready_s: seconds from the start to `{"ready": true}`.
        answer_s: seconds for one answer, a batch.
        patience: when so many deaths and time-outs end the run.
        check: called before each start; what it raises ends the run.
        fingerprint: what identifies the files that score, for a cache of scores.

    Raises:
        UsageError: a command that is empty or does not split.
        RewardError: it cannot be started, or broke the protocol.
    """

    def __init__(
        self,
        command: str | Sequence[str],
        *,
        ready_s: float = 300.0,
        answer_s: float = 3600.0,
        patience: Patience | None = None,
        check: Callable[[], None] = lambda: None,
        fingerprint: str = "",
    ) -> None:
        try:
            self._arguments = shlex.split(command) if isinstance(command, str) else list(command)
        except ValueError as error:
            raise UsageError(f"scorer command does not split into arguments ({error}): {command}") from None
        if not self._arguments:
            raise UsageError("scorer command is empty")
        self._ready_s = ready_s
        self._answer_s = answer_s
        self._patience = patience or Patience()
        self._check = check
        self.fingerprint = fingerprint
        self._process: Process | None = None
        #: Whether the scorer said that it wants no more calls.
        self.finished = False

    def __enter__(self) -> ExternalScorer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the command and wait until it is ready, unless it runs already."""
        if self._process is not None:
            return
        self._check()
        try:
            self._process = Process(self._arguments)
        except (OSError, ValueError) as error:
            raise RewardError(f"scorer cannot be started: {shlex.join(self._arguments)}: {error}") from None
        # Nobody closes the scorer of a component: it ends with it.
        self._end = weakref.finalize(self, self._process.kill)
        try:
            answer = self._receive(self._process, self._ready_s)
        except ScorerError as error:
            raise RewardError(f'scorer never said {{"ready": true}}: {error}') from None
        if answer.get("ready") is not True:
            self._break(f'{{"ready": true}} expected first, got {shorten(json.dumps(answer))}')

    def close(self) -> None:
        """Ask the scorer to end, then kill it and whatever it started."""
        process = self._let_go()
        if process is not None:
            process.send(_line({"cmd": "quit"}))
            process.end_input()
            process.wait(GRACE_S)
            process.kill()

    def __call__(self, mols: Sequence[Mol], /) -> Values:
        """Scores (n,), NaN where the scorer answered null.

        Raises:
            ScorerError: it answered an error, died or was too slow.
            RewardError: it broke the protocol, or died for too many molecules in a row.
        """
        if not mols:
            return np.zeros(0)
        self.start()
        process = self._process
        assert process is not None
        if (line := process.early()) is not None:
            self._break(f"it wrote what nobody asked for: {shorten(line)}")
        try:
            process.send(_line({"smiles": [to_smiles(mol) for mol in mols]}))
            answer = self._receive(process, self._answer_s)
        except ScorerError as error:
            self._patience.failed("scorer", error, len(mols))
            raise
        except BaseException:
            # An answer is still on its way and would be taken for the next one.
            self._kill()
            raise
        self._patience.answered()
        return self._scores(answer, len(mols))

    def _scores(self, answer: dict[str, Any], n: int) -> Values:
        finished = answer.get("finished", False)
        if not isinstance(finished, bool):
            self._break(f'"finished" must be true or false, got {shorten(json.dumps(finished))}')
        self.finished |= finished
        try:
            return read_answer(answer, n)
        except ValueError as error:
            self._break(str(error))

    def _receive(self, process: Process, limit_s: float) -> dict[str, Any]:
        try:
            line = process.receive(limit_s)
        except TimeoutError:
            self._kill()
            raise ScorerTimeoutError(f"no answer within {limit_s:g} s") from None
        if line is None:
            said = process.last_words()
            self._kill()
            raise ScorerError(f"scorer ended{': ' + shorten(said) if said else ''}")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            self._break(f"not a JSON line on its standard output: {shorten(line)}")
        if not isinstance(answer, dict):
            self._break(f"a JSON object expected, got {shorten(line)}")
        return answer

    def _kill(self) -> None:
        process = self._let_go()
        if process is not None:
            process.kill()

    def _let_go(self) -> Process | None:
        process, self._process = self._process, None
        if process is not None:
            self._end.detach()
        return process

    def _break(self, what: str) -> NoReturn:
        self._kill()
        raise RewardError(f"scorer broke the protocol: {what}")


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"
