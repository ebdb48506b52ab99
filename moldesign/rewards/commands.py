"""A command as a reward: it reads SMILES and writes a number for each."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from moldesign.chem.molecules import Mol, to_smiles
from moldesign.errors import RewardError
from moldesign.files import sha256
from moldesign.rewards.entry import Entry
from moldesign.rewards.external import (
    ExternalScorer,
    Patience,
    ScorerError,
    ScorerTimeoutError,
    read_answer,
    shorten,
)
from moldesign.rewards.processes import Process
from moldesign.rewards.reward import Reward, Values
from moldesign.rewards.strict import Strict
from moldesign.rewards.trust import require, require_command

INPUT = "{input}"
OUTPUT = "{output}"

#: The longest answer, in characters. A longer one is a program gone wild.
MAX_ANSWER = 64_000_000

#: How often a command that has ended, but whose output something still holds open, is looked at.
_LOOK_S = 0.2

#: Cells of a CSV answer that say that there is no value.
_NO_VALUE = frozenset({"", "na", "n/a", "nan", "none", "null"})


class CommandParameters(Strict):
    """A command and what it reads and writes."""

    command: list[str] = Field(
        min_length=1, description="program and arguments; no shell reads them, and no SMILES is among them"
    )
    mode: Literal["json_lines", "stdin", "file"] = Field(
        "json_lines",
        description="json_lines: started once, answers batch after batch; stdin or file: started for each "
        f"batch, SMILES one a line on its standard input, or in a file whose path replaces {INPUT}",
    )
    answer: Literal["json", "csv"] = Field("json", description="json: scores; csv: a table with a header")
    column: str = Field("score", description="of the table, where the answer is csv")
    timeout_s: float = Field(600.0, gt=0, description="seconds that a batch may take")

    @field_validator("command")
    @classmethod
    def _program(cls, command: list[str]) -> list[str]:
        if not command[0].strip():
            raise ValueError("the first word of a command is its program, and is empty")
        for word in command:
            if "\0" in word:
                raise ValueError("a command holds no null character")
        return command

    @model_validator(mode="after")
    def _coherent(self) -> CommandParameters:
        words = " ".join(self.command)
        if self.mode == "file" and INPUT not in words:
            raise ValueError(f'mode file needs "{INPUT}" among the arguments, for the path of the SMILES')
        if self.mode != "file" and (INPUT in words or OUTPUT in words):
            raise ValueError(f'"{INPUT}" and "{OUTPUT}" belong to mode file, not {self.mode}')
        if self.mode == "json_lines" and self.answer != "json":
            raise ValueError("mode json_lines answers with json")
        if self.answer != "csv" and "column" in self.model_fields_set:
            raise ValueError("column belongs to answer csv")
        return self


def command(parameters: CommandParameters) -> Reward:
    """What the command answers, whatever its unit.

    Raises:
        UsageError: the user does not trust the program and the files among its arguments.
    """
    require_command(parameters.command, "reward 'command'")
    fingerprint = _fingerprint(parameters.command)
    check = _Unchanged(parameters.command)
    if parameters.mode == "json_lines":
        return ExternalScorer(
            parameters.command, answer_s=parameters.timeout_s, check=check, fingerprint=fingerprint
        )
    return BatchCommand(parameters, check, fingerprint)


class BatchCommand:
    """The reward of a command that is started for each batch.

    Args:
        check: called before each start; what it raises ends the run.
        fingerprint: what identifies the command's files, for a cache of scores.
    """

    def __init__(self, parameters: CommandParameters, check: Callable[[], None], fingerprint: str) -> None:
        self._parameters = parameters
        self._check = check
        self._patience = Patience()
        self._read: Callable[[str, int], Values] = _from_json
        if parameters.answer == "csv":
            self._read = lambda text, n: _from_csv(text, parameters.column, n)
        self.fingerprint = fingerprint

    def __call__(self, mols: Sequence[Mol], /) -> Values:
        """Values (n,), NaN where the command gave none.

        Raises:
            ScorerError: it failed, said that it could not score, or was too slow.
            RewardError: it cannot be started, failed for too many molecules in a row, or its answer is
                not in the format.
            UsageError: the program or one of its files has changed since it was trusted.
        """
        if not mols:
            return np.zeros(0)
        self._check()
        smiles = "".join(f"{to_smiles(mol)}\n" for mol in mols).encode()
        try:
            if self._parameters.mode == "stdin":
                text = run(self._parameters.command, smiles, self._parameters.timeout_s)
            else:
                text = self._through_files(smiles)
        except ScorerError as error:
            self._patience.failed("command", error, len(mols))
            raise
        self._patience.answered()
        try:
            return self._read(text, len(mols))
        except ValueError as error:
            raise RewardError(f"command answered in another format: {error}") from None

    def _through_files(self, smiles: bytes) -> str:
        with tempfile.TemporaryDirectory(prefix="moldesign-", ignore_cleanup_errors=True) as directory:
            source, target = Path(directory, "molecules.smi"), Path(directory, "scores")
            source.write_bytes(smiles)
            words = [
                word.replace(INPUT, str(source)).replace(OUTPUT, str(target))
                for word in self._parameters.command
            ]
            said = run(words, b"", self._parameters.timeout_s)
            if not any(OUTPUT in word for word in self._parameters.command):
                return said
            try:
                with target.open(encoding="utf-8", errors="replace") as handle:
                    text = handle.read(MAX_ANSWER + 1)
            except OSError:
                raise ScorerError(f"command wrote no file where {OUTPUT} stands") from None
            if len(text) > MAX_ANSWER:
                raise RewardError(f"command answered more than {MAX_ANSWER} characters")
            return text


def run(arguments: Sequence[str], standard_input: bytes, timeout_s: float) -> str:
    """What a command writes to its standard output. All that it started is killed when it returns.

    Raises:
        ScorerError: it ends with an exit code other than 0, or not within `timeout_s`.
        RewardError: it cannot be started, or writes more than MAX_ANSWER characters.
    """
    deadline = time.monotonic() + timeout_s
    try:
        process = Process(arguments)
    except (OSError, ValueError) as error:
        raise RewardError(f"command cannot be started: {shlex.join(arguments)}: {error}") from None
    try:
        process.send(standard_input)
        process.end_input()
        text = _output(process, deadline)
        in_time = process.wait(deadline - time.monotonic())
        said = process.last_words() if in_time else ""
    except TimeoutError:
        in_time = False
    finally:
        code = process.kill()
    if not in_time:
        raise ScorerTimeoutError(f"command did not end within {timeout_s:g} s")
    if code != 0:
        raise ScorerError(f"command ended with exit code {code}{': ' + shorten(said) if said else ''}")
    return text


def _output(process: Process, deadline: float) -> str:
    """All that it writes; TimeoutError at the deadline."""
    lines: list[str] = []
    size = 0
    while True:
        ended = process.ended
        left = deadline - time.monotonic()
        try:
            line = process.receive(min(left, _LOOK_S))
        except TimeoutError:
            if ended:  # something that it left behind holds the output open: nothing more is coming
                break
            if left <= _LOOK_S:
                raise
            continue
        if line is None:
            break
        size += len(line)
        if size > MAX_ANSWER:
            raise RewardError(f"command answered more than {MAX_ANSWER} characters")
        lines.append(line)
    return "".join(lines)


def _from_json(text: str, n: int) -> Values:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"not JSON: {shorten(text)!r}") from None
    return read_answer(answer, n)


def _from_csv(text: str, column: str, n: int) -> Values:
    """The column of a table; ValueError where it is not there or does not fit."""
    try:
        header, *rows = [row for row in csv.reader(io.StringIO(text), strict=True) if row]
    except (csv.Error, ValueError) as error:
        raise ValueError(f"not a CSV table with a header ({error}): {shorten(text)!r}") from None
    names = [name.strip() for name in header]
    if names.count(column) != 1:
        raise ValueError(f"one column '{column}' expected, got the header {shorten(', '.join(names))!r}")
    place = names.index(column)
    if len(rows) != n:
        raise ValueError(f"{len(rows)} rows for {n} molecules")
    values = np.full(n, np.nan)
    for i, row in enumerate(rows):
        if len(row) != len(names):
            raise ValueError(f"row {i + 1} has {len(row)} cells, the header {len(names)}")
        cell = row[place].strip()
        if cell.lower() in _NO_VALUE:
            continue
        try:
            values[i] = float(cell)
        except ValueError:
            raise ValueError(f"row {i + 1}, column '{column}' is no number: {shorten(cell)!r}") from None
    return values


def _files(arguments: Sequence[str]) -> list[str]:
    """The program and every file among the arguments."""
    program = shutil.which(arguments[0]) or arguments[0]
    return [program, *(word for word in arguments[1:] if os.path.isfile(word))]  # noqa: PTH113 never raises


def _fingerprint(arguments: Sequence[str]) -> str:
    """The SHA-256 of the files, as one."""
    return hashlib.sha256("".join(sha256(Path(file)) for file in _files(arguments)).encode()).hexdigest()


class _Unchanged:
    """Passes while the files of a command are those that the user trusted; UsageError then."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = arguments
        self._files = _files(arguments)
        self._seen: object = None

    def __call__(self) -> None:
        # A model of gigabytes is not read again for each batch: nobody sets the time of its last change.
        states = [(file, _state(file)) for file in {*self._files, *_files(self._arguments)}]
        if sorted(states) != self._seen:
            for file in self._files:
                require(file, "reward 'command'")
            require_command(self._arguments, "reward 'command'")
            self._seen = sorted(states)


def _state(file: str) -> tuple[int, ...]:
    try:
        state = os.stat(file)  # noqa: PTH116 - as the program will find it
    except OSError:
        return ()
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


ENTRIES: dict[str, Entry] = {
    "command": Entry(
        "What a command of your own says of each molecule",
        "the command's",
        command,
        CommandParameters,
        group="external",
        example={"command": ["python", "examples/stdin_scorer.py"], "mode": "stdin"},
        cost_us=10_000.0,
        limit_s=3_600.0,
    ),
}
