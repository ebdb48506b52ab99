"""Muon against AdamW: the held-out NLL after the same steps on the same batches, and the time they took.

Run as `python -m moldesign.benchmarks.optimizers --out FILE`; `make bench-optimizers` does.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from moldesign.benchmarks.results import write_result
from moldesign.language import corpus
from moldesign.language.tokenizer import Tokenizer
from moldesign.policy.checkpoint import Provenance
from moldesign.policy.policy import Policy
from moldesign.policy.pretraining import Pretraining
from moldesign.policy.settings import Architecture, PretrainSettings

#: AdamW at two rates, since its best one is not known beforehand.
VARIANTS: dict[str, dict[str, Any]] = {
    "muon": {"optimizer": "muon"},
    "adamw, rate 1e-3": {"optimizer": "adamw", "adamw_learning_rate": 1e-3},
    "adamw, rate 2e-3": {"optimizer": "adamw", "adamw_learning_rate": 2e-3},
}


def measure(smiles: list[str], variant: str, *, epochs: int, batch_size: int, seed: int) -> dict[str, object]:
    """One short training of the default network: held-out NLL in nats a molecule, steps, seconds."""
    settings = PretrainSettings(epochs=epochs, batch_size=batch_size, seed=seed, **VARIANTS[variant])
    policy = Policy.fresh(Architecture(), Tokenizer.for_corpus(smiles), seed=seed)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        progress = Pretraining(smiles, policy, settings, Path(folder), Provenance()).run()
    return {
        "variant": variant,
        "seed": seed,
        "steps": progress.step,
        "validation_nll": round(progress.history[-1]["validation_nll"], 3),
        "seconds": round(time.monotonic() - started, 1),
    }


def main() -> None:
    """Measure each variant and seed, and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--molecules", type=int, default=40_000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seeds", default="0,1")
    arguments = parser.parse_args()
    smiles = corpus.load("zinc250k")[: arguments.molecules]
    rows = []
    for seed in arguments.seeds.split(","):
        for variant in VARIANTS:
            row = measure(
                smiles, variant, epochs=arguments.epochs, batch_size=arguments.batch_size, seed=int(seed)
            )
            sys.stderr.write(f"{row}\n")
            rows.append(row)
    result = {"corpus": f"the first {len(smiles):,} molecules of zinc250k", "rows": rows}
    write_result(arguments.out, "moldesign.benchmarks.optimizers", result)


if __name__ == "__main__":
    main()
