"""The checkpoints of a run: its last few states, each whole, with a list of their SHA-256."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from moldesign.files import sha256
from moldesign.policy.states import load_state, save_state
from moldesign.records.files import make_folder, write_text

#: States that are kept: should the last one be damaged, the one before it is there.
KEPT = 2
_NAME = re.compile(r"step-(\d{8})\.safetensors")


class Checkpoints:
    """The states of a run in a folder.

    `SHA256SUMS` is the manifest, in the format of `sha256sum -c`: written after a state, it makes the state
    one to take up; what is not in it, or is not what it says, is passed over.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    @property
    def manifest(self) -> Path:
        return self.folder / "SHA256SUMS"

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Keep a state, and forget all but the last KEPT.

        Raises:
            ResourceError: the disk is full.
        """
        make_folder(self.folder)
        path = self.folder / f"step-{step:08d}.safetensors"
        # Of a run that was taken up at an earlier state the later ones are no past.
        sums = {n: value for n, value in self._sums().items() if _NAME.fullmatch(n) and n < path.name}
        sums[path.name] = save_state(path, state)
        kept = dict(sorted(sums.items())[-KEPT:])
        write_text(self.manifest, "".join(f"{value}  {name}\n" for name, value in kept.items()))
        for old in self.folder.glob("step-*.safetensors"):
            if old.name not in kept:
                old.unlink()

    def newest(self, tell: Callable[[str], None]) -> dict[str, Any] | None:
        """The last state that is whole; None where there is none.

        Args:
            tell: gets a sentence for each that had to be passed over.

        Raises:
            CheckpointError: of another version of the program.
        """
        sums = self._sums()
        for path in sorted(self.folder.glob("step-*.safetensors"), reverse=True):
            if path.name not in sums or sha256(path) != sums[path.name]:
                tell(f"{path}: not what was saved; passed over")
                continue
            return load_state(path)
        return None

    def _sums(self) -> dict[str, str]:
        """Name -> SHA-256 by the manifest; empty where there is none, or one that says nothing."""
        try:
            lines = self.manifest.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return {}
        pairs = (line.split("  ", 1) for line in lines)
        return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}
