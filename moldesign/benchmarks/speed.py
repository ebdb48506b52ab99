"""How fast this package draws, trains, optimises and starts, beside a peer and what the machine can do."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from moldesign.assets import prior_path
from moldesign.benchmarks import ceilings, peers, work
from moldesign.benchmarks.fidelity import fidelity
from moldesign.benchmarks.timing import Row, Spread, alternate, rate
from moldesign.errors import UsageError, nearest
from moldesign.language import corpus
from moldesign.policy.checkpoint import load_policy
from moldesign.policy.network import autocast_dtype
from moldesign.policy.policy import Policy
from moldesign.records.environment import processor

CORPUS = "zinc250k"
#: The batch of the peer's training script.
_PEER_TRAINING_BATCH = 128
_NAMES = {torch.bfloat16: "bf16", torch.float32: "fp32"}


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        repeats: timings of each thing.
        seconds: for which drawing is timed, at least; products for a third of it.
        steps: of a training and of a reinforcement run that are timed.
    """

    repeats: int = 5
    seconds: float = 3.0
    steps: int = 10


@dataclass(frozen=True)
class Batches:
    """Batch sizes of each part, and how many processes score in a reinforcement run."""

    ceilings: Sequence[int] = (64, 256, 1024)
    sampling: Sequence[int] = (64, 256, 1024)
    training: Sequence[int] = (128, 256)
    loop: Sequence[int] = (64, 256)
    workers: Sequence[int] = (1, 2)
    #: Molecules drawn in each precision to compare what they write.
    fidelity: int = 20_000

    @classmethod
    def of_size(cls, batch: int) -> Batches:
        """One size for all that is measured."""
        return cls(ceilings=(batch,), sampling=(batch,), training=(batch,), loop=(batch,))


@dataclass
class Report:
    """What was measured.

    Attributes:
        rows: the comparison.
        drawn: of each batch size what was written: molecules, the valid share, tokens a molecule.
        counted: of batches of each size the tokens, and the rows that the engine computed for them.
        time_line: of a reinforcement run of each kind what its phases took.
        fidelity: what half precision changes in what is drawn; empty where that is not used.
    """

    rows: list[Row] = field(default_factory=list)
    drawn: list[dict[str, Any]] = field(default_factory=list)
    counted: list[dict[str, Any]] = field(default_factory=list)
    time_line: list[dict[str, Any]] = field(default_factory=list)
    fidelity: dict[str, Any] = field(default_factory=dict)


@dataclass
class Bench:
    """What is measured, on what, and how long.

    Attributes:
        prior: the policy's file.
        peer: name and version of the peer; empty where it is left out.
        corpus: what is trained on, by name or path.
        tell: called with each row as soon as it is there.
    """

    prior: Path
    policy: Policy
    effort: Effort
    batches: Batches
    peer: str
    corpus: str | Path
    tell: Callable[[Row], None]
    report: Report = field(default_factory=Report)

    @classmethod
    def of(
        cls,
        prior: str | Path,
        effort: Effort,
        *,
        batches: Batches = Batches(),
        with_peer: bool = False,
        corpus: str | Path = CORPUS,
        device: torch.device | str = "cpu",
        tell: Callable[[Row], None] = lambda _: None,
    ) -> Bench:
        """A bench for a shipped prior by name, or for a policy file.

        Raises:
            UsageError: no such prior; the peer is not installed. CheckpointError: the prior cannot be read.
        """
        peer = peers.peer() if with_peer else ""
        path = prior_path(prior)
        policy, _ = load_policy(path, device=device)
        return cls(path, policy, effort, batches, peer, corpus, tell)

    def measure(self, parts: Iterable[str]) -> Report:
        """These parts, in the order of PARTS, added to the report.

        Raises:
            UsageError: no such part.
        """
        wanted = set(parts)
        check_parts(wanted)
        torch.manual_seed(0)  # the peer's draws
        for name, part in PARTS.items():
            if name in wanted:
                part(self)
        return self.report

    def facts(self) -> dict[str, Any]:
        """What was measured, how and on what, as JSON has it."""
        on_gpu = self.policy.device.type == "cuda"
        return {
            "prior": self.prior.stem,
            "network": self.policy.network.architecture.model_dump(),
            "tokens": len(self.policy.tokenizer),
            "corpus": str(self.corpus),
            "peer": self.peer,
            **vars(self.effort),
            "processor": processor(),
            "accelerator": torch.cuda.get_device_name(self.policy.device) if on_gpu else "",
            **vars(self.report),
            "rows": [row.facts() for row in self.report.rows],
        }

    def add(
        self,
        what: str,
        batch: int | None,
        unit: str,
        ours: Spread,
        against: str = "",
        theirs: Spread | None = None,
        *,
        bound: bool = False,
    ) -> None:
        """Report a row. Where there is nobody to compare with, `against` is empty or `theirs` None."""
        row = Row(what, batch, unit, ours, against, theirs, bound)
        self.report.rows.append(row)
        self.tell(row)

    @property
    def dtype(self) -> torch.dtype:
        """The precision in which the policy's products are computed."""
        return (autocast_dtype(self.policy.device) if self.policy.half_precision else None) or torch.float32

    @property
    def ceiling_name(self) -> str:
        return f"{_NAMES[self.dtype]} products"

    def ceiling(self, batch: int, dtype: torch.dtype | None = None) -> Callable[[], float]:
        """What gives the GFLOP/s of matrix products."""
        shape = self.policy.network.architecture
        products = ceilings.products(batch, shape, dtype or self.dtype, self.policy.device)
        return partial(rate, products, self.effort.seconds / 3)


def check_parts(parts: Iterable[str]) -> None:
    """Pass if each is a part. Raises UsageError for one that is not."""
    for name in sorted(parts):
        if name not in PARTS:
            raise UsageError(f"unknown part {name!r}{nearest(name, PARTS)} (there are {', '.join(PARTS)})")


def _ceilings(bench: Bench) -> None:
    """The matrix products of the network, apart from it."""
    for dtype in dict.fromkeys([torch.float32, bench.dtype]):
        for batch in bench.batches.ceilings:
            (ours,) = alternate(bench.ceiling(batch, dtype), repeats=bench.effort.repeats)
            bench.add(f"{_NAMES[dtype]} products", batch, "GFLOP/s", ours)


def _sampling(bench: Bench) -> None:
    """Molecules drawn and written as SMILES."""
    policy, effort = bench.policy, bench.effort
    flops = ceilings.drawing_flops(policy.network.architecture, len(policy.tokenizer))
    for batch in bench.batches.sampling:
        counted = work.count_drawing(policy, batch)
        bench.report.counted.append({"batch": batch, **counted})
        drawings = {"moldesign": work.drawing(policy, batch)}
        if bench.peer:
            drawings[bench.peer] = peers.drawing(policy, batch)
        if policy.device.type == "cuda":
            drawings["step by step"] = work.drawing(policy, batch, captured=False)
        for drawing in drawings.values():
            drawing.draw()  # what the first call prepares is no part of it
        timed = [partial(drawing.rate, effort.seconds) for drawing in drawings.values()]
        ceiling, ours, *theirs = alternate(bench.ceiling(batch), *timed, repeats=effort.repeats)
        bench.report.drawn.append(
            {"batch": batch, **{name: drawing.facts() for name, drawing in drawings.items()}}
        )
        if not theirs:
            bench.add("sampling", batch, "molecules/s", ours)
        for name, spread in zip(list(drawings)[1:], theirs, strict=True):
            bench.add("sampling", batch, "molecules/s", ours, name, spread)
        gigaflops = 1e-9 * flops * counted["tokens"] / counted["molecules"]
        what = "sampling, products needed"
        bench.add(what, batch, "GFLOP/s", ours.times(gigaflops), bench.ceiling_name, ceiling, bound=True)


def _training(bench: Bench) -> None:
    """Gradient steps of the likelihood of a corpus."""
    policy, steps = bench.policy, bench.effort.steps
    smiles = corpus.load(bench.corpus)
    gigaflops = 1e-9 * ceilings.training_flops(policy.network.architecture, len(policy.tokenizer))
    for batch in bench.batches.training:
        training = work.Training(policy, smiles, batch, steps=steps)
        timed = [training.rate, training.bare_rate, bench.ceiling(batch)]
        if bench.peer:
            peer = peers.Training(policy, training.smiles, _PEER_TRAINING_BATCH, steps=steps)
            timed.append(peer.rate)
        ours, bare, ceiling, *theirs = alternate(*timed, repeats=bench.effort.repeats)
        if theirs:
            against = f"{bench.peer}, batch {_PEER_TRAINING_BATCH}"
            bench.add("training", batch, "tokens/s", ours, against, *theirs)
        bench.add("training", batch, "tokens/s", ours, "nn.GRU alone", bare, bound=True)
        what = "training, products needed"
        bench.add(what, batch, "GFLOP/s", ours.times(gigaflops), bench.ceiling_name, ceiling, bound=True)


def _loop(bench: Bench) -> None:
    """REINVENT towards QED."""
    steps, repeats = bench.effort.steps, bench.effort.repeats
    for batch in bench.batches.loop:
        runs = [
            work.Reinforcement(bench.prior, batch, workers=workers, steps=steps)
            for workers in bench.batches.workers
        ]
        timed: list[Callable[[], float]] = [run.rate for run in runs]
        with tempfile.TemporaryDirectory() as folder:
            if bench.peer:
                timed.append(partial(peers.reinforce, bench.policy, batch, steps=steps, folder=Path(folder)))
            spreads = alternate(*timed, repeats=repeats)
        for run, ours in zip(runs, spreads, strict=False):
            what = f"REINVENT, {run.workers} worker{'s' if run.workers > 1 else ''}"
            bench.add(what, batch, "steps/s", ours, bench.peer, *spreads[len(runs) :])
            bench.report.time_line.append({"batch": batch, "workers": run.workers, "phases": run.time_line})


def _start_up(bench: Bench) -> None:
    """Commands, from their start to their end, each a process of its own."""
    commands = {
        "moldesign --help": ["--help"],
        "moldesign sample -n 10": ["sample", "-n", "10", "--prior", str(bench.prior)],
    }
    for arguments in commands.values():
        work.command_seconds(*arguments)  # the first reads its files from the disk
    timed = [partial(work.command_seconds, *arguments) for arguments in commands.values()]
    spreads = alternate(*timed, repeats=bench.effort.repeats)
    for command, seconds in zip(commands, spreads, strict=True):
        bench.add(command, None, "s", seconds)


def _fidelity(bench: Bench) -> None:
    """What half precision changes: counted, not timed."""
    if bench.dtype != torch.float32:
        bench.report.fidelity = fidelity(bench.policy, bench.batches.fidelity)


PARTS: dict[str, Callable[[Bench], None]] = {
    "ceilings": _ceilings,
    "sampling": _sampling,
    "training": _training,
    "loop": _loop,
    "start-up": _start_up,
    "fidelity": _fidelity,
}
