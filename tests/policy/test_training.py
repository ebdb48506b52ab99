import csv
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from moldesign.errors import CheckpointError, DataError, UsageError
from moldesign.language.tokenizer import SPECIALS, Tokenizer
from moldesign.policy.checkpoint import Provenance, load_policy, read_tensors, save_policy
from moldesign.policy.policy import Policy
from moldesign.policy.settings import Architecture, PretrainSettings
from moldesign.policy.training import half_precision_difference, train

SHAPE = {"layers": 2, "hidden_size": 16, "embedding_size": 8, "dropout": 0.2}
#: Some 14 steps an epoch, and a checkpoint every 30 ms.
SETTINGS = {
    "epochs": 8,
    "batch_size": 8,
    "validation_share": 0.1,
    "checkpoint_minutes": 0.0005,
    "patience": 99,
}


@pytest.fixture(scope="session")
def corpus(chains: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "chains.smi"
    path.write_text("\n".join(chains) + "\n")
    return path


def learn(corpus: Path, out: Path, *, resume: bool = False, **changes: Any) -> dict[str, Any]:
    return train(
        corpora=[str(corpus)],
        settings=PretrainSettings.model_validate({**SETTINGS, **changes}),
        architecture=Architecture.model_validate(SHAPE),
        out=out,
        resume=resume,
    )


def command(corpus: Path, out: Path, *more: str, **changes: Any) -> list[str]:
    """The same by the real command."""
    options = [
        text
        for name, value in {**SHAPE, **SETTINGS, **changes}.items()
        for text in (
            [f"--{name.replace('_', '-')}"] if value is True else [f"--{name.replace('_', '-')}", str(value)]
        )
    ]
    return ["-m", "moldesign", "pretrain", str(corpus), "-o", str(out), *options, "--threads", "1", *more]


def state(out: Path) -> dict[str, torch.Tensor]:
    return read_tensors(out / "training.safetensors")[0]


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as handle:
        return list(csv.reader(handle))


def assert_the_same(one: Path, other: Path) -> None:
    """Weights, optimizers, generators and the history of two trainings, bit for bit."""
    mine, theirs = state(one), state(other)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []
    mine, theirs = (read_tensors(out / "prior.safetensors")[0] for out in (one, other))
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []
    first, second = rows(one / "epochs.csv"), rows(other / "epochs.csv")
    assert [row[:3] for row in first] == [row[:3] for row in second]
    assert [row[:2] for row in rows(one / "steps.csv")] == [row[:2] for row in rows(other / "steps.csv")]


def test_a_killed_command_is_taken_up_without_a_trace(corpus: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, *command(corpus, killed)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        while not (killed / "epochs.csv").exists() or len(rows(killed / "epochs.csv")) < 3:
            assert process.poll() is None, process.communicate()[1].decode()
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "prior.safetensors").exists()
    # What was written after the checkpoint comes again, and a line may be cut short.
    with (killed / "steps.csv").open("a") as handle:
        handle.write("100000,9,1.0,0.1,5\n1000")
    (killed / ".tmp-0011aabb-training.safetensors").write_bytes(b"half")
    facts = learn(corpus, killed, resume=True)
    assert facts["epochs"] == 8
    assert not list(killed.glob(".tmp-*"))
    learn(corpus, tmp_path / "straight")
    assert_the_same(killed, tmp_path / "straight")


def test_a_command_takes_up_in_a_fresh_process_what_was_stopped(corpus: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"randomise": True, "epochs": 2, "validity_weight": 3.0}
    asked = iter(range(1000))
    facts = train(
        corpora=[str(corpus)],
        settings=PretrainSettings.model_validate({**SETTINGS, **changes}),
        architecture=Architecture.model_validate(SHAPE),
        out=tmp_path / "stopped",
        should_stop=lambda: next(asked) == 6,
    )
    assert facts == {}
    done = subprocess.run(
        [sys.executable, *command(corpus, tmp_path / "stopped", "--resume", **changes)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'stopped' / 'prior.safetensors'}\n"
    assert "epoch 2: validation NLL" in done.stderr
    learn(corpus, tmp_path / "straight", **changes)
    assert_the_same(tmp_path / "stopped", tmp_path / "straight")


def test_the_command_under_torchrun_learns_as_alone(corpus: Path, tmp_path: Path) -> None:
    changes = {"epochs": 3, "dropout": 0.0}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, *command(corpus, tmp_path / "together", **changes)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("prior.safetensors") == 1
    assert done.stderr.count("epoch 3: validation NLL") == 1
    assert "destroy_process_group" not in done.stderr
    train(
        corpora=[str(corpus)],
        settings=PretrainSettings.model_validate({**SETTINGS, "epochs": 3}),
        architecture=Architecture.model_validate({**SHAPE, "dropout": 0.0}),
        out=tmp_path / "alone",
    )
    for name, column in (("steps.csv", 2), ("epochs.csv", 2)):
        alone, together = (
            [float(row[column]) for row in rows(tmp_path / out / name)[1:]] for out in ("alone", "together")
        )
        # In bfloat16, whose rounding depends on which molecules share a batch.
        assert together == pytest.approx(alone, abs=0.03)


def test_a_training_leaves_a_prior_and_its_provenance(corpus: Path, tmp_path: Path) -> None:
    said: list[str] = []
    facts = train(
        corpora=[str(corpus), str(corpus)],
        settings=PretrainSettings.model_validate({**SETTINGS, "epochs": 2}),
        architecture=Architecture.model_validate(SHAPE),
        out=tmp_path / "run",
        licence="CC0",
        say=said.append,
    )
    policy, provenance = load_policy(Path(facts["prior"]))
    assert policy.network.architecture == Architecture.model_validate(SHAPE)
    assert provenance.name == "run"
    assert provenance.corpora == [str(corpus), str(corpus)]
    assert provenance.corpus_licence == "CC0"
    assert provenance.seed == 0
    assert provenance.steps == facts["steps"]
    assert provenance.validation_nll == facts["validation_nll"]
    assert said[0] == "211 molecules to learn, 23 held out; 27 steps an epoch"
    assert [line[:24] for line in said[1:]] == ["epoch 1: validation NLL ", "epoch 2: validation NLL "]
    assert facts["precision"] == "float16"
    assert {t.dtype for t in read_tensors(Path(facts["prior"]))[0].values()} == {torch.float16}
    assert {t.dtype for t in read_tensors(tmp_path / "run" / "best.safetensors")[0].values()} == {
        torch.float32
    }


def test_half_precision_is_measured_and_refused_where_it_matters(
    corpus: Path, tmp_path: Path, tiny: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = tiny.encode(["CCO", "N"])
    with torch.no_grad():
        for parameter in tiny.network.parameters():
            parameter.copy_(parameter.half())
        assert half_precision_difference(tiny, tokens) == 0.0
        # One of 0.25 nats at 2048 is lost in float16, whose step there is 2; the others stay as probable.
        tiny.network.head.weight.zero_()
        tiny.network.head.bias.fill_(2048.0)
        tiny.network.head.bias[3] += 0.25
    # Over END, C, N and O: what was (1, e^0.25, 1, 1) / z is uniform; of six actions two are C.
    log_z = math.log(3 + math.exp(0.25))
    expected = (4 * (log_z - math.log(4)) + 2 * (0.25 - log_z + math.log(4))) / 6
    assert half_precision_difference(tiny, tokens) == pytest.approx(expected, abs=1e-4)
    monkeypatch.setattr("moldesign.policy.training.HALF_PRECISION_TOLERANCE", 0.0)
    facts = learn(corpus, tmp_path / "run", epochs=1)
    assert facts["precision"] == "float32"
    assert {t.dtype for t in read_tensors(Path(facts["prior"]))[0].values()} == {torch.float32}


def test_finetuning_goes_on_from_a_prior(corpus: Path, tmp_path: Path) -> None:
    facts = learn(corpus, tmp_path / "prior")
    series = tmp_path / "series.smi"
    series.write_text("OOOO\nOOO\nOO\nOOOOO\n" * 8)
    before, _ = load_policy(Path(facts["prior"]))
    tuned = train(
        corpora=[str(series)],
        settings=PretrainSettings(epochs=3, batch_size=4, validation_share=0.0, learning_rate=0.003),
        start=facts["prior"],
        out=tmp_path / "tuned",
    )
    after, provenance = load_policy(Path(tuned["prior"]))
    assert [stage.name for stage in provenance.lineage()] == ["prior", "tuned"]
    assert provenance.corpora == [str(series)]
    assert after.network.architecture == before.network.architecture
    assert after.tokenizer.vocabulary == before.tokenizer.vocabulary
    assert float(after.nll(["OOO"])[0]) < float(before.nll(["OOO"])[0]) - 0.5
    assert float(after.nll(["CNC"])[0]) < 30  # it has not forgotten what a chain is


def test_a_token_unknown_to_the_prior_is_named_with_file_and_line(corpus: Path, tmp_path: Path) -> None:
    prior = tmp_path / "prior.safetensors"
    shape = Architecture.model_validate(SHAPE)
    save_policy(Policy.fresh(shape, Tokenizer([*SPECIALS, "C", "N", "O"])), prior, Provenance())
    series = tmp_path / "series.csv"
    series.write_text("name,smiles\na,CCO\nb,CCF\n")
    message = r"series.csv, line 3: token 'F' of 'CCF' is not in the vocabulary of the prior"
    with pytest.raises(DataError, match=message):
        train(
            corpora=[str(corpus), str(series)],
            settings=PretrainSettings(),
            start=str(prior),
            out=tmp_path / "tuned",
        )
    assert not (tmp_path / "tuned").exists()


def test_text_that_is_no_smiles_is_named_with_file_and_line(tmp_path: Path) -> None:
    series = tmp_path / "series.smi"
    series.write_text("CCO\nCCX\n")
    with pytest.raises(DataError, match=r"series.smi, line 2: 'CCX': no SMILES token at character 3"):
        learn(series, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_will_not_do_is_refused(corpus: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(UsageError, match="file: cannot be written"):
        learn(corpus, file)
    with pytest.raises(CheckpointError, match="training.safetensors: no such file"):
        learn(corpus, tmp_path / "new", resume=True)
    assert not (tmp_path / "new").exists()
    learn(corpus, tmp_path / "run", epochs=1)
    with pytest.raises(CheckpointError, match="run: holds a training already; add --resume"):
        learn(corpus, tmp_path / "run", epochs=1)
    with pytest.raises(CheckpointError, match="its batch_size is 8, not 9"):
        learn(corpus, tmp_path / "run", epochs=1, batch_size=9, resume=True)
    one = tmp_path / "one.smi"
    one.write_text("CCO\n")
    with pytest.raises(DataError, match=r"one.smi: 1 molecule is no corpus"):
        learn(one, tmp_path / "other")


def test_tensorboard_events_are_written(corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(
        corpora=[str(corpus)],
        settings=PretrainSettings.model_validate({**SETTINGS, "epochs": 2}),
        architecture=Architecture.model_validate(SHAPE),
        out=tmp_path / "run",
        tensorboard=True,
    )
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss/nats_a_token")] == [20]
    assert [event.step for event in events.Scalars("validation/nll")] == [14, 28]
