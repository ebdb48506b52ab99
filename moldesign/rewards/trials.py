"""A reward tried on a few molecules, in a process of its own: what it gives, and what is wrong with it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from moldesign.chem.molecules import read
from moldesign.errors import MoldesignError, RewardError, UsageError
from moldesign.rewards import catalogue
from moldesign.rewards.crew import START_S
from moldesign.rewards.entry import Entry
from moldesign.rewards.external import shorten
from moldesign.rewards.interpreters import call
from moldesign.rewards.processes import Process
from moldesign.rewards.reward import Reward, as_values
from moldesign.rewards.strict import Strict, explain
from moldesign.rewards.trust import trust, trusted
from moldesign.rewards.workers import MEMORY_MB
from moldesign.rewards.workers import limit_memory as limit_memory

#: Molecules to try a reward on: name, SMILES.
DRUGS = {
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
    "ibuprofen": "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
    "caffeine": "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "celecoxib": "Cc1ccc(cc1)-c1cc(nn1-c1ccc(cc1)S(N)(=O)=O)C(F)(F)F",
    "sitagliptin": "N[C@@H](CC(=O)N1CCn2c(C1)nnc2C(F)(F)F)Cc1cc(F)c(F)cc1F",
    "imatinib": "CN1CCN(CC1)Cc1ccc(cc1)C(=O)Nc1ccc(C)c(c1)Nc1nccc(n1)-c1cccnc1",
}

#: Molecules that a policy writes now and then, and that many scoring functions did not expect.
ODD = {
    "a salt": "CC(=O)[O-].[Na+]",
    "a single atom": "C",
    "a ring of 30": "O=C1CN" + 8 * "C(=O)CN" + "C(=O)CN1",
    "a charge": "C[N+](C)(C)CCO",
}

#: Processes that may be lost before the rest is left untried.
MAX_LOSSES = 2

#: Two values are the same up to this share of them: another order of summing may do as much.
SAME = 1e-6

Fault = Literal["", "raised", "count", "type", "lost"]
Verdict = Literal["ok", "warning", "broken", "unknown"]


@dataclass(frozen=True)
class Facts:
    """What the catalogue says of the reward that is tried, and the parameters that it was given."""

    description: str
    unit: str
    direction: str
    unit_interval: bool
    limit_s: float
    #: All of them, defaults included.
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """Values of molecules asked for in one call; or what went wrong."""

    smiles: Sequence[str]
    values: list[float]
    seconds: float = math.nan
    fault: Fault = ""
    problem: str = ""


#: SMILES in, valued in one call.
Ask = Callable[[Sequence[str]], Answer]


@dataclass(frozen=True)
class Row:
    """A molecule, alone. `value` is NaN where there is none, and `problem` says why."""

    smiles: str
    what: str
    odd: bool
    value: float
    seconds: float
    problem: str


@dataclass(frozen=True)
class Check:
    """Something that a reward has to be, and whether it is."""

    what: str
    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True)
class Trial:
    """What came out."""

    facts: Facts
    rows: list[Row]
    checks: list[Check]

    @property
    def verdict(self) -> Verdict:
        """That of the worst check."""
        verdicts = {check.verdict for check in self.checks}
        return "broken" if "broken" in verdicts else "warning" if "warning" in verdicts else "ok"


def try_reward(
    name: str,
    molecules: Mapping[str, str],
    parameters: Mapping[str, str] | None = None,
    *,
    limit_s: float | None = None,
    start_s: float = START_S,
) -> Trial:
    """What a reward of the catalogue, or in a trusted file, gives for the molecules and for odd ones.

    It runs in processes of its own: one that crashes or hangs is killed, and that is reported.

    Args:
        molecules: canonical SMILES and what they are called.
        parameters: as text, numbers and lists as TOML has them; those of the reward's example if left out.
        limit_s: seconds that one molecule may take; the reward's own limit if left out.
        start_s: seconds that it may take to be built.

    Raises:
        UsageError: no such reward, wrong parameters, or a file that the user does not trust.
        RewardError: it cannot be loaded or built.
    """
    setup = {
        "name": name,
        "parameters": parameters,
        "files": trusted(),
        "molecule_s": limit_s,
        "limit_s": start_s,
    }
    subject, again = _Subject(setup), _Subject(setup)
    try:
        facts = subject.start()
        rows, checks = examine(molecules, subject.ask, again.ask)
    finally:
        printed = [subject.close(), again.close()]
    return Trial(facts, rows, [*checks, _interval(facts, rows), _silent(printed[0] or printed[1])])


def examine(molecules: Mapping[str, str], ask: Ask, ask_again: Ask) -> tuple[list[Row], list[Check]]:
    """What a reward gives for molecules (SMILES and names) and for odd ones, and what is wrong with that.

    Args:
        ask: molecules in, values out, in one call.
        ask_again: the same in another process, that remembers nothing of the first.
    """
    alone = {smiles: ask([smiles]) for smiles in molecules}
    good = [smiles for smiles, answer in alone.items() if _fine(answer)]
    batch = good if len(good) > 1 else good * 2
    together = ask(batch) if batch else None
    odd = {smiles: ask([smiles]) for smiles in ODD.values()}
    # In another order: nothing that a reward remembers of a call may count.
    repeated = ask_again(batch[::-1]) if batch else None
    rows = [
        *(_row(smiles, what, False, alone[smiles]) for smiles, what in molecules.items()),
        *(_row(smiles, what, True, odd[smiles]) for what, smiles in ODD.items()),
    ]
    answers = [*alone.values(), *odd.values(), *(one for one in (together, repeated) if one is not None)]
    return rows, [
        _survives(answers),
        _of_kind("one value a molecule", "count", answers),
        _of_kind("numbers", "type", answers),
        _finite(rows),
        _again(together, repeated),
        _batch([alone[smiles].values[0] for smiles in batch], together, repeated),
        _odd(rows),
    ]


def _row(smiles: str, what: str, odd: bool, answer: Answer) -> Row:
    value = answer.values[0] if answer.values else math.nan
    problem = answer.problem
    if not problem and not math.isfinite(value):
        problem = "no value" if math.isnan(value) else "an infinite value"
    return Row(smiles, what, odd, value if math.isfinite(value) else math.nan, answer.seconds, problem)


def _fine(answer: Answer) -> bool:
    return not answer.fault and math.isfinite(answer.values[0])


def _of_kind(what: str, fault: Fault, answers: Sequence[Answer]) -> Check:
    for answer in answers:
        if answer.fault == fault:
            return Check(what, "broken", answer.problem)
    if all(answer.fault for answer in answers):
        return Check(what, "unknown", "it gave nothing")
    return Check(what, "ok")


def _finite(rows: Sequence[Row]) -> Check:
    rows = [row for row in rows if not row.odd]
    failed = [row for row in rows if row.problem]
    if not failed:
        return Check("a value for each molecule", "ok")
    detail = f"none for {len(failed)} of {len(rows)}, as {failed[0].smiles}: {failed[0].problem}"
    return Check("a value for each molecule", "broken" if len(failed) == len(rows) else "warning", detail)


def _again(first: Answer | None, second: Answer | None) -> Check:
    what = "the same values again"
    if first is None or second is None or first.fault or second.fault:
        return Check(what, "unknown", "no values to compare")
    return _compared(what, first.values, second.values[::-1], "in another process and order")


def _batch(alone: Sequence[float], first: Answer | None, second: Answer | None) -> Check:
    what = "the same value alone and in a batch"
    if first is None or first.fault == "lost":
        return Check(what, "unknown", "no values to compare")
    if first.fault:
        return Check(what, "broken", f"a batch of {len(alone)}: {first.problem}")
    if second is not None and _again(first, second).verdict == "broken":
        return Check(what, "unknown", "the values change anyway")
    return _compared(what, alone, first.values, "in a batch")


def _compared(what: str, one: Sequence[float], other: Sequence[float], where: str) -> Check:
    for a, b in zip(one, other, strict=True):
        # Written so that NaN differs from everything.
        if not abs(a - b) <= SAME * max(1.0, abs(a)):
            return Check(what, "broken", f"{a:.6g}, {where} {b:.6g}")
    return Check(what, "ok")


def _survives(answers: Sequence[Answer]) -> Check:
    for answer in answers:
        if answer.fault == "lost":
            what = answer.smiles[0] if len(answer.smiles) == 1 else f"a batch of {len(answer.smiles)}"
            return Check("neither crashes nor hangs", "broken", f"{what}: {answer.problem}")
    return Check("neither crashes nor hangs", "ok")


def _silent(printed: str) -> Check:
    what = "prints nothing"
    if not printed:
        return Check(what, "ok")
    return Check(what, "warning", f"to standard output, where tables go: {printed!a}; use standard error")


def _interval(facts: Facts, rows: Sequence[Row]) -> Check:
    what = "between 0 and 1, or shaped"
    outside = [row.value for row in rows if not math.isnan(row.value) and not 0 <= row.value <= 1]
    if facts.unit_interval and outside:
        return Check(what, "warning", f"{outside[0]:.6g}: with other components it needs a shaping")
    return Check(what, "ok")


def _odd(rows: Sequence[Row]) -> Check:
    what = "a value for odd molecules"
    if all(row.problem for row in rows):
        return Check(what, "unknown", "there are none for others")
    failed = [row for row in rows if row.odd and row.problem]
    if not failed:
        return Check(what, "ok")
    names = ", ".join(row.what for row in failed)
    return Check(what, "warning", f"none for {names}: such molecules fail, which is not a score of 0")


class _Subject:
    """The reward in a process that is started anew when it is lost."""

    def __init__(self, setup: dict[str, Any]) -> None:
        self._setup = setup
        self._process: Process | None = None
        self._facts: Facts | None = None
        self._losses = 0
        self._printed = ""

    def start(self) -> Facts:
        """Start the process, if it is not running. Errors as `try_reward`."""
        if self._process is None or self._facts is None:
            self._process = Process(call("moldesign.rewards.trials", "serve"))
            answer = self._exchange(self._setup, self._setup["limit_s"])
            if isinstance(answer, str):
                raise RewardError(f"reward '{self._setup['name']}' cannot be loaded: {answer}")
            if "error" in answer:
                raise (UsageError if answer["exit_code"] == 2 else RewardError)(answer["error"])
            self._facts = Facts(**answer["facts"])
        return self._facts

    def ask(self, smiles: Sequence[str]) -> Answer:
        """Values of the molecules, asked for in one call."""
        if self._losses >= MAX_LOSSES:
            return Answer(smiles, [], fault="lost", problem="not tried: too many processes were lost")
        facts = self.start()
        limit_s = facts.limit_s * len(smiles)
        answer = self._exchange({"smiles": list(smiles), "limit_s": limit_s}, limit_s)
        if isinstance(answer, str):
            self._losses += 1
            return Answer(smiles, [], fault="lost", problem=answer)
        return Answer(**answer)

    def close(self) -> str:
        """The first line that it printed, if any."""
        if self._process is not None:
            self._exchange({"quit": True}, 1.0, slack_s=0.0)
            if self._process is not None:
                self._process.kill()
                self._process = None
        return self._printed

    def _exchange(
        self, request: dict[str, Any], limit_s: float, slack_s: float = 5.0
    ) -> dict[str, Any] | str:
        """The answer; or how the process was lost."""
        process = self._process
        assert process is not None
        process.send(json.dumps(request).encode() + b"\n")
        try:
            # It ends by itself at the limit; this is for one that does not.
            line = process.receive(limit_s + slack_s)
        except TimeoutError:
            line = None
        if line is not None:
            answer: dict[str, Any] = json.loads(line)
            printed = answer.pop("printed")
            self._printed = self._printed or printed
            return answer
        said = process.last_words() if process.ended else ""
        in_time = process.wait(1.0)
        code = process.kill()
        self._process = None
        if not in_time or code == -signal.SIGALRM:
            return f"took longer than {limit_s:g} s"
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        return f"ended its process ({how}){': ' + shorten(said) if said else ''}"


def serve() -> None:
    """Build a reward and value molecules as requests on standard input say: the life of a trial's process."""
    # What the reward reads and prints must not get among requests and answers.
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with tempfile.TemporaryFile() as printed:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(printed.fileno(), 1)
        # What takes too long is ended by the kernel, also within C code and where the parent is gone.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        limit_memory(MEMORY_MB * 2**20)
        reward: Reward | None = None
        for line in requests:
            request = json.loads(line)
            signal.setitimer(signal.ITIMER_REAL, request.get("limit_s", 0.0))
            if "name" in request:
                answer, reward = _built(request)
            elif "smiles" in request and reward is not None:
                answer = vars(value(reward, request["smiles"]))
            else:
                answer = {}
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            answers.write(json.dumps({**answer, "printed": _first_line(printed)}) + "\n")
            answers.flush()


def _built(request: dict[str, Any]) -> tuple[dict[str, Any], Reward | None]:
    """Facts of the reward and the reward itself; or the error and None."""
    try:
        trust(request["files"])
        if trusted() != request["files"]:
            raise UsageError("a file has changed since it was trusted; start again")
        entry = catalogue.find(request["name"])
        parameters = _parameters(entry, request["parameters"])
        reward = entry.build(parameters)
    except ValidationError as error:
        return {"error": f"reward '{request['name']}': {explain(error)}", "exit_code": 2}, None
    except MoldesignError as error:
        return {"error": str(error), "exit_code": error.exit_code}, None
    except (Exception, SystemExit) as error:
        what = f"reward '{request['name']}' cannot be built: {type(error).__name__}: {error}"
        return {"error": what, "exit_code": RewardError.exit_code}, None
    facts = {
        "description": entry.description,
        "unit": entry.unit,
        "direction": entry.direction,
        "unit_interval": entry.unit_interval and entry.shaping is None,
        "limit_s": request["molecule_s"] or entry.limit_s,
        "parameters": parameters.model_dump(mode="json", exclude_none=True),
    }
    return {"facts": facts}, reward


def _parameters(entry: Entry, texts: Mapping[str, str] | None) -> Strict:
    if texts is None:
        return entry.parameters.model_validate(dict(entry.example))
    return entry.parameters.model_validate(
        {key: read_value(text, entry.parameters.model_fields.get(key)) for key, text in texts.items()}
    )


def read_value(text: str, field: FieldInfo | None) -> Any:
    """What a text means as the value of a parameter: as TOML has it, and text where it is no TOML."""
    if field is not None and field.annotation is str:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def value(reward: Reward, smiles: Sequence[str]) -> Answer:
    """What the reward gives for the molecules in one call; never raises, whatever it does."""
    mols = [read(one) for one in smiles]
    values: list[float] = []
    fault: Fault = ""
    problem = ""
    started = time.perf_counter()
    try:
        values = as_values(reward(mols), len(mols)).tolist()
    except BaseException as error:
        fault = _fault(error)
        text = shorten(str(error))
        problem = text if fault != "raised" else f"{type(error).__name__}{': ' if text else ''}{text}"
    return Answer(smiles, values, (time.perf_counter() - started) / len(mols), fault, problem)


def _fault(error: BaseException) -> Fault:
    """Whether the reward raised, or gave what cannot be read."""
    frame = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code is as_values.__code__:
            return "count" if isinstance(error, ValueError) else "type"
        frame = frame.tb_next
    return "raised"


def _first_line(printed: IO[bytes]) -> str:
    """The first line of what was printed since the last time."""
    sys.stdout.flush()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).fflush(None)  # what libraries in C print waits in a buffer of their own
    size = os.fstat(printed.fileno()).st_size
    text = os.pread(printed.fileno(), size, 0).decode("utf-8", errors="replace").strip()
    return shorten(text.splitlines()[0]) if text else ""
