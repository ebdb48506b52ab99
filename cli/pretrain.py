"""`moldesign pretrain` and `moldesign finetune`: a policy learns a corpus."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from moldesign.cli.interrupts import Interrupts
from moldesign.cli.options import JsonFlag, PriorOption, ThreadsOption, set_threads, settings_options
from moldesign.policy.settings import Architecture, PretrainSettings
from moldesign.settings import build

if TYPE_CHECKING:
    from moldesign.policy.pretraining import StepReport

_FINETUNE: dict[str, Any] = {
    "learning_rate": 0.003,
    "adamw_learning_rate": 4e-4,
    "batch_size": 64,
    "warmup_steps": 20,
}

Corpora = Annotated[
    list[str],
    typer.Argument(
        help="Corpora by name (`moldesign corpora list`) or file, cleaned by `moldesign corpora prepare`."
    ),
]
Out = Annotated[Path, typer.Option("-o", "--out", help="Folder of the training, made if need be.")]
Column = Annotated[str | None, typer.Option(help="SMILES column of a table, by name or number.")]
Name = Annotated[str | None, typer.Option(help="Name of the prior; the folder's if not given.")]
Licence = Annotated[str, typer.Option(help="Licence of the corpora, kept in the prior.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Take up the training in the folder where it stopped.")
]
Tensorboard = Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard events too.")]


@settings_options(PretrainSettings)
@settings_options(Architecture, target="shape")
def pretrain(
    settings: dict[str, Any],
    shape: dict[str, Any],
    corpora: Corpora,
    out: Out,
    column: Column = None,
    name: Name = None,
    licence: Licence = "",
    resume: Resume = False,
    tensorboard: Tensorboard = False,
    threads: ThreadsOption = None,
    json_line: JsonFlag = False,
) -> None:
    """Train a prior on corpora of molecules, from nothing.

    The folder then holds prior.safetensors, ready for --prior, beside the checkpoint and the
    metrics. Under torchrun, the processes share each batch.

    Example: moldesign pretrain zinc250k -o runs/prior --epochs 6
    """
    from moldesign.policy.training import train

    _train(
        train, settings, out, json_line, threads, tensorboard,
        corpora=corpora, architecture=build(Architecture, shape), start=None,
        column=column, name=name, licence=licence, resume=resume,
    )  # fmt: skip


@settings_options(PretrainSettings, defaults=_FINETUNE)
def finetune(
    settings: dict[str, Any],
    corpora: Corpora,
    out: Out,
    prior: PriorOption = "druglike",
    column: Column = None,
    name: Name = None,
    licence: Licence = "",
    resume: Resume = False,
    tensorboard: Tensorboard = False,
    threads: ThreadsOption = None,
    json_line: JsonFlag = False,
) -> None:
    """Train a prior further on a small set of molecules.

    Example: moldesign finetune actives.smi --prior druglike -o runs/tuned --epochs 5
    """
    from moldesign.policy.training import train

    _train(
        train, {**_FINETUNE, **settings}, out, json_line, threads, tensorboard,
        corpora=corpora, architecture=None, start=prior,
        column=column, name=name, licence=licence, resume=resume,
    )  # fmt: skip


def _train(
    train: Callable[..., dict[str, Any]],
    settings: dict[str, Any],
    out: Path,
    json_line: bool,
    threads: int | None,
    tensorboard: bool,
    **what: Any,
) -> None:
    chosen = build(PretrainSettings, settings)
    set_threads(threads)
    with Interrupts() as interrupts, _progress_bar() as on_step:
        facts = train(
            settings=chosen,
            out=out,
            on_step=on_step,
            say=lambda line: typer.echo(line, err=True),
            should_stop=interrupts,
            tensorboard=tensorboard,
            **what,
        )
    if interrupts():
        typer.echo(f"stopped and saved; go on with the same command and --resume (folder {out})", err=True)
    if facts and json_line:
        typer.echo(json.dumps(facts))
    elif facts and not interrupts():
        typer.echo(facts["prior"])
    interrupts.exit_if_received()


@contextmanager
def _progress_bar() -> Iterator[Callable[[StepReport], None]]:
    """What to call after each step: a bar with tokens/s and the time left; none unless on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    facts = TextColumn(
        "epoch {task.fields[epoch]}, loss {task.fields[loss]:.3f}, {task.fields[rate]:,.0f} tokens/s"
    )
    with Progress(BarColumn(), facts, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=None, epoch=1, loss=0.0, rate=0.0)

        def show(report: StepReport) -> None:
            bar.update(
                task, total=report.total_steps, completed=report.step,
                epoch=report.epoch, loss=report.loss, rate=report.tokens_per_second,
            )  # fmt: skip

        yield show
