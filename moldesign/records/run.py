"""The run directory: where each file of a run lies, and who may write there."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import tomli_w

from moldesign.errors import CheckpointError, ResourceError
from moldesign.files import read_text
from moldesign.records.environment import environment
from moldesign.records.files import refuse_links, remove_stale, write_error, write_text

_LOCK = ".lock"
#: What config.toml holds of every run.
_CONFIG = {"prior": str, "settings": dict, "objective": dict}


class RunLocked(CheckpointError):
    """Another process works in the run directory."""

    exit_code = 7


class RunDirectory:
    """The files of one run. `create` and `open` also lock it, until `close` or the process's end.

    `RunDirectory(path)` itself touches nothing: it only names the files, for readers.

    Attributes:
        lasting: whether it stays when it is closed.
    """

    lasting = True

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock: int | None = None

    @property
    def config(self) -> Path:
        """The settings of the run, resolved."""
        return self.path / "config.toml"

    @property
    def ledger(self) -> Path:
        """Every oracle call."""
        return self.path / "ledger.sqlite"

    @property
    def steps(self) -> Path:
        """One row a step."""
        return self.path / "steps.csv"

    @property
    def candidates(self) -> Path:
        """The molecules found, best first."""
        return self.path / "candidates.csv"

    @property
    def structures(self) -> Path:
        """The same with 2D coordinates."""
        return self.path / "candidates.sdf"

    @property
    def learning_curve(self) -> Path:
        """Score against oracle calls."""
        return self.path / "learning_curve.png"

    @property
    def hypervolume(self) -> Path:
        """What the front found so far dominates, against oracle calls."""
        return self.path / "hypervolume.csv"

    @property
    def components(self) -> Path:
        """What each component cost and let through."""
        return self.path / "components.csv"

    @property
    def timeline(self) -> Path:
        """Where the time of the loop went."""
        return self.path / "timeline.csv"

    @property
    def environment(self) -> Path:
        """Versions, machine, command line, seed."""
        return self.path / "environment.json"

    @property
    def log(self) -> Path:
        """What happened and when."""
        return self.path / "log.jsonl"

    @property
    def checkpoint(self) -> Path:
        """The folder of the agent and all that a resume needs."""
        return self.path / "checkpoint"

    @classmethod
    def create(cls, path: Path | str) -> Self:
        """A new run directory, made and locked; an empty directory will do.

        Raises:
            CheckpointError: something is there already. Nothing is written then.
            RunLocked: another process is making a run there.
        """
        run = cls(path)
        run._refuse_what_is_there()
        made = not run.path.exists()
        try:
            run.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(run.path, error) from None
        try:
            run._take_lock()
        except ResourceError:
            if made:
                shutil.rmtree(run.path, ignore_errors=True)
            raise
        try:
            # Another process may have been quicker between the look and the lock.
            run._refuse_what_is_there()
        except BaseException:
            run.close()
            raise
        return run

    @classmethod
    def temporary(cls) -> Self:
        """A run directory that is gone when it is closed."""
        path = tempfile.mkdtemp(prefix="moldesign-")
        try:
            run = cls.create(path)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        run.lasting = False
        return run

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """An existing run directory, locked, and cleared of what a killed writer left half-written.

        Raises:
            CheckpointError: there is no run, or one with links in it.
            RunLocked: another process works in it.
        """
        run = cls(path)
        if not run.config.is_file():
            raise CheckpointError(f"{run.path}: there is no run here (no {run.config.name})")
        refuse_links(run.path)
        run._take_lock()
        remove_stale(run.path)
        return run

    def close(self) -> None:
        """Give the lock back, and remove a directory that is not to last."""
        if not self.lasting:
            shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def discard(self) -> None:
        """Remove the directory that `create` has made, or has found empty, and give the lock back."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write config.toml. TOML has no null: keys whose value is None are left out."""
        write_text(self.config, tomli_w.dumps(_without_none(config)))

    def read_config(self) -> dict[str, Any]:
        """What config.toml says.

        Raises:
            CheckpointError: no such file, not TOML, or not the configuration of a run.
        """
        try:
            found = tomllib.loads(read_text(self.config))
        except FileNotFoundError:
            raise CheckpointError(f"{self.path}: there is no run here (no {self.config.name})") from None
        except OSError as error:
            raise CheckpointError(f"{self.config}: cannot be read ({error.strerror})") from None
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{self.config}: not TOML ({error})") from None
        for name, kind in _CONFIG.items():
            if not isinstance(found.get(name), kind):
                raise CheckpointError(
                    f"{self.config}: not what a run has written ({name} is wrong or missing)"
                )
        return found

    def write_environment(
        self,
        *,
        seed: int | None,
        threads: int | None,
        command: Sequence[str] | None = None,
        trusted: Mapping[str, str] | None = None,
        prior: str = "",
        inputs: Any = (),
        device: Mapping[str, Any] | None = None,
    ) -> None:
        """Write environment.json: what `environment` gives, of the same arguments, and what is trusted.

        Args:
            trusted: SHA-256, by path, of the files that the user allowed to run. prior: that of the prior.
        """
        facts = environment(seed=seed, threads=threads, command=command, inputs=inputs, device=device)
        facts["trusted"] = dict(trusted or {})
        facts["prior"] = prior
        write_text(self.environment, json.dumps(facts, indent=2) + "\n")

    def read_environment(self) -> dict[str, Any]:
        """What environment.json says; nothing where it is not there or not whole: a run goes on."""
        try:
            found = json.loads(self.environment.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _refuse_what_is_there(self) -> None:
        if not self.path.exists() and not self.path.is_symlink():
            return
        if not self.path.is_dir():
            raise CheckpointError(f"{self.path}: is a file; name a new directory for the run")
        if any(entry.name != _LOCK for entry in self.path.iterdir()):
            raise CheckpointError(
                f"{self.path}: exists and is not empty; name a new directory, or remove this one"
            )

    def _take_lock(self) -> None:
        path = self.path / _LOCK
        try:
            # The lock belongs to the open file: the system frees it when the process dies, however
            # it dies. The file stays, as removing it would let two processes lock two files.
            # A link called like the lock would have another file emptied.
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            raise write_error(path, error) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
            os.close(handle)
            who = f"process {holder}" if holder else "another process"
            raise RunLocked(f"{self.path}: {who} is working in this run directory") from None
        except OSError as error:
            os.close(handle)
            raise CheckpointError(
                f"{path}: cannot be locked ({error.strerror}); use a directory on a local disk"
            ) from None
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(handle)
            raise write_error(path, error) from None
        self._lock = handle


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value]
    return value
