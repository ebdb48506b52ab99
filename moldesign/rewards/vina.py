"""The process that docks: SMILES in, docking scores out, as JSON lines."""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main() -> None:
    """Dock until the input ends. The only argument: target, directory, seed and cpus as a JSON object."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What dockstring, Open Babel and Vina print must not stand among the answers.
    os.dup2(2, 1)

    from dockstring import load_target

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
