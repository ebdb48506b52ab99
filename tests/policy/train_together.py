"""Run by torchrun in test_pretraining.py: train, stop when the last process says so, resume."""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from moldesign.language.tokenizer import Tokenizer
from moldesign.policy.checkpoint import Provenance
from moldesign.policy.policy import Policy
from moldesign.policy.pretraining import Pretraining, StepReport, join_processes
from moldesign.policy.settings import Architecture, PretrainSettings

STOP_AFTER = 10


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(1)
    join_processes()
    losses: list[float] = []

    def training() -> Pretraining:
        policy = Policy.fresh(
            Architecture.model_validate(job["architecture"]), Tokenizer.for_corpus([]), seed=0
        )
        policy.half_precision = False
        settings = PretrainSettings.model_validate(job["settings"])
        return Pretraining(job["smiles"], policy, settings, Path(job["out"]), Provenance())

    def on_step(report: StepReport) -> None:
        losses.append(report.loss)

    last = dist.get_rank() == dist.get_world_size() - 1
    progress = training().run(on_step=on_step, should_stop=lambda: last and len(losses) == STOP_AFTER)
    assert progress.step == STOP_AFTER
    second = training()
    second.resume()
    second.run(on_step=on_step)
    if dist.get_rank() == 0:
        nll = [row["validation_nll"] for row in second.progress.history]
        Path(job["result"]).write_text(json.dumps({"losses": losses, "validation_nll": nll}))
    dist.destroy_process_group()
    # Threads of the process group that outlive it abort the process now and then, when it ends.
    assert not [name for name in threads() if "gloo" in name]


def threads() -> list[str]:
    return [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]


main()
