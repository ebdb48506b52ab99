"""The process that docks: SMILES in, docking scores out, as JSON lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any


class _NoShell(subprocess.Popen):  # type: ignore[type-arg]
    """A process that is started without a shell, or not at all."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        if options.get("shell"):
            raise ValueError("dockstring asks for a shell, which it is not given")
        super().__init__(*arguments, **options)


def protonate(smiles: str, pH: float) -> str:
    """The SMILES as it is at a pH by Open Babel; what dockstring has for it, without its shell.

    Raises:
        ValueError: Open Babel cannot.
    """
    words = ["obabel", f"-:{smiles}", "-ismi", "-ocan", f"-p{pH}"]
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode != 0 or not done.stdout.strip():
        raise ValueError("Open Babel cannot protonate the ligand")
    return done.stdout.decode("utf-8").strip()


def main() -> None:
    """Dock until the input ends. The only argument: target, directory, seed and cpus as a JSON object."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What dockstring, Open Babel and Vina print must not stand among the answers.
    os.dup2(2, 1)

    import dockstring.utils
    from dockstring import load_target

    # dockstring writes the SMILES into a line for a shell, which would read `$` in it.
    dockstring.utils.protonate_smiles = protonate
    subprocess.Popen = _NoShell  # type: ignore[misc]

    target = load_target(
        settings["target"], working_dir=settings["directory"], targets_dir=settings["directory"]
    )

    def dock(smiles: str) -> float:
        score, _ = target.dock(smiles, num_cpus=settings["cpus"], seed=settings["seed"])
        if score is None:
            raise ValueError("Vina found no pose")
        return float(score)

    def say(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    say({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        if "smiles" not in request:
            break
        try:
            say({"scores": [dock(smiles) for smiles in request["smiles"]]})
        except Exception as error:
            say({"error": f"{type(error).__name__}: {error}"})
