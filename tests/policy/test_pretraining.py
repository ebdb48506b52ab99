import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from moldesign.errors import CheckpointError, NonFiniteTrainingError
from moldesign.language.tokenizer import END, Tokenizer, tokenize
from moldesign.policy.checkpoint import Provenance, load_policy
from moldesign.policy.policy import Policy
from moldesign.policy.pretraining import Pretraining, StepReport, optimizers, rate, split
from moldesign.policy.settings import Architecture, PretrainSettings

SHAPE = Architecture(layers=1, hidden_size=32, embedding_size=16)
QUICK: dict[str, Any] = {"epochs": 2, "batch_size": 15, "validation_share": 0.1, "warmup_steps": 2}


def training(smiles: list[str], out: Path, shape: Architecture = SHAPE, **settings: Any) -> Pretraining:
    chosen = PretrainSettings.model_validate({**QUICK, **settings})
    policy = Policy.fresh(shape, Tokenizer.for_corpus([]), seed=chosen.seed)
    policy.half_precision = False
    return Pretraining(smiles, policy, chosen, out, Provenance(corpus_sha256=str(len(smiles))))


def weights(policy: Policy) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in policy.network.state_dict().items()}


def test_learning_rate_rises_in_a_line_and_falls_in_a_cosine() -> None:
    settings = PretrainSettings(warmup_steps=4, final_fraction=0.1)
    shares = [rate(step, 104, settings) for step in (0, 1, 3, 4, 29, 54, 79, 104, 110)]
    # A quarter, half and three quarters of the way down: cos(45°), cos(90°), cos(135°).
    quarter = 0.5 * (1 + math.sqrt(0.5))
    expected = [0.25, 0.5, 1, 1, 0.1 + 0.9 * quarter, 0.55, 0.1 + 0.9 * (1 - quarter), 0.1, 0.1]
    assert shares == pytest.approx(expected)


def test_a_short_training_warms_up_for_a_tenth_of_it() -> None:
    settings = PretrainSettings(warmup_steps=100)
    assert [rate(step, 20, settings) for step in (0, 1, 2)] == pytest.approx([0.5, 1, 1])
    assert rate(0, 5, settings) == 1
    assert rate(0, 20, PretrainSettings(warmup_steps=0)) == 1


def test_a_molecule_weighs_the_same_however_long_it_is(tmp_path: Path) -> None:
    # As many of 2 tokens as of 20, in batches of one length. Divided by its own tokens, the short
    # batch would weigh ten times as much, and the first token would be N in ten of eleven molecules.
    smiles = ["N"] * 300 + ["O" + "C" * 18] * 300
    shape = Architecture(layers=1, hidden_size=16, embedding_size=8)
    run = training(
        smiles, tmp_path, shape, epochs=6, batch_size=20, validation_share=0, optimizer="adamw",
        adamw_learning_rate=0.01,
    )  # fmt: skip
    run.run()
    first = run.policy.log_probs(run.policy.encode(["N", "O"]))[:, 0].exp()
    assert first.tolist() == pytest.approx([0.5, 0.5], abs=0.1)


def test_the_split_is_a_function_of_the_seed_and_loses_nothing() -> None:
    settings = PretrainSettings(validation_share=0.1, seed=3)
    learnt, held_out = split(1005, settings)
    assert len(held_out) == 100
    assert sorted([*learnt, *held_out]) == list(range(1005))
    assert np.array_equal(split(1005, settings)[1], held_out)
    assert not np.array_equal(split(1005, PretrainSettings(validation_share=0.1, seed=4))[1], held_out)
    assert len(split(1005, PretrainSettings(validation_share=0.1, max_validation=7))[1]) == 7
    assert len(split(9, settings)[1]) == 0


def test_muon_updates_the_recurrent_matrices_alone() -> None:
    network = Policy.fresh(SHAPE, Tokenizer.for_corpus([])).network
    muon, adamw = optimizers(network, PretrainSettings())
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    assert [names[id(p)] for p in muon.param_groups[0]["params"]] == ["rnn.weight_ih_l0", "rnn.weight_hh_l0"]
    rest = {names[id(p)] for p in adamw.param_groups[0]["params"]}
    assert rest == {"embedding.weight", "head.weight", "head.bias", "rnn.bias_ih_l0", "rnn.bias_hh_l0"}
    (alone,) = optimizers(network, PretrainSettings(optimizer="adamw"))
    assert len(alone.param_groups[0]["params"]) == 7


def test_loss_of_real_molecules_falls_well_below_the_entropy_of_single_tokens(
    short_molecules: list[str], tmp_path: Path
) -> None:
    counts = Counter(token for text in short_molecules for token in [*tokenize(text), END])
    total = counts.total()
    entropy = -sum(n / total * math.log(n / total) for n in counts.values())
    run = training(
        short_molecules,
        tmp_path / "new",
        epochs=6,
        batch_size=16,
        learning_rate=0.03,
        adamw_learning_rate=0.01,
    )
    run.policy.half_precision = True
    reports: list[StepReport] = []
    progress = run.run(on_step=reports.append)
    assert [report.step for report in reports] == list(range(1, run.total_steps + 1))
    assert reports[0].loss == pytest.approx(math.log(len(run.policy.tokenizer)), abs=0.4)
    assert sum(report.tokens for report in reports) == 6 * run.corpus.token_count
    assert float(np.mean([report.loss for report in reports[-10:]])) < 0.75 * entropy
    # As well for molecules that it has not seen.
    held_out = progress.best_validation_nll * len(run.validation) / run.validation.token_count
    assert held_out < 0.75 * entropy
    best, provenance = load_policy(tmp_path / "new" / "best.safetensors")
    assert provenance.validation_nll == progress.best_validation_nll
    assert provenance.molecules == 270
    best.half_precision = False
    tokens = run.validation.padded(range(30))
    assert -float(best.score(tokens).sum(1).mean()) == pytest.approx(progress.best_validation_nll, abs=0.05)


def test_reported_loss_is_that_of_the_batch_before_the_step(chains: list[str], tmp_path: Path) -> None:
    run = training(chains, tmp_path)
    fresh = run.policy.clone()
    rows = next(iter(run._epoch_order(0)))
    expected = -float(fresh.score(run.corpus.padded(rows)).sum()) / int(run.corpus.lengths[rows].sum())
    reports: list[StepReport] = []
    run.run(on_step=reports.append, should_stop=lambda: True)
    assert [report.loss for report in reports] == pytest.approx([expected], abs=1e-5)


def test_a_step_that_is_not_finite_is_left_out(chains: list[str], tmp_path: Path) -> None:
    run = training(chains, tmp_path)
    bias = run.policy.network.head.bias
    before: dict[str, torch.Tensor] = {}
    losses: list[float] = []

    def poison_the_fourth(report: StepReport) -> None:
        losses.append(report.loss)
        with torch.no_grad():
            if report.step == 3:
                before.update(weights(run.policy))
                bias[5] = math.nan
            if report.step == 4:
                bias[5] = before["head.bias"][5]
                assert all(torch.equal(value, before[name]) for name, value in weights(run.policy).items())

    run.run(on_step=poison_the_fourth)
    assert [i for i, loss in enumerate(losses) if math.isnan(loss)] == [3]
    assert all(torch.isfinite(value).all() for value in weights(run.policy).values())


def test_training_that_stays_not_finite_ends_with_its_own_error(chains: list[str], tmp_path: Path) -> None:
    run = training(chains, tmp_path / "run")
    with torch.no_grad():
        run.policy.network.head.bias[5] = math.inf
    losses: list[float] = []
    with pytest.raises(
        NonFiniteTrainingError, match=r"run: 5 steps in a row without a finite gradient"
    ) as caught:
        run.run(on_step=lambda report: losses.append(report.loss))
    assert caught.value.exit_code == 8
    assert len(losses) == 4


def test_training_stops_early_when_nothing_is_gained(chains: list[str], tmp_path: Path) -> None:
    still: dict[str, Any] = {"learning_rate": 1e-30, "adamw_learning_rate": 1e-30, "epochs": 9, "patience": 2}
    run = training(chains, tmp_path, **still)
    epochs: list[dict[str, float]] = []
    progress = run.run(on_epoch=epochs.append)
    assert progress.epoch == len(epochs) == 3
    assert progress.epochs_without_gain == 2
    again = training(chains, tmp_path, **still)
    again.resume()
    assert again.run().epoch == 3  # a training that stopped early has ended


def test_without_held_out_molecules_the_last_epoch_is_the_best(chains: list[str], tmp_path: Path) -> None:
    run = training(chains, tmp_path, validation_share=0.0)
    progress = run.run()
    assert progress.epoch == 2
    assert math.isnan(progress.best_validation_nll)
    best, provenance = load_policy(tmp_path / "best.safetensors")
    assert provenance.validation_nll is None
    assert all(
        torch.equal(value, best.network.state_dict()[name]) for name, value in weights(run.policy).items()
    )


@pytest.mark.parametrize("options", [{}, {"randomise": True}])
def test_a_training_taken_up_equals_one_that_was_never_stopped(
    chains: list[str], tmp_path: Path, options: dict[str, Any]
) -> None:
    shape = Architecture(layers=2, hidden_size=8, embedding_size=8, dropout=0.3)
    straight = training(chains, tmp_path / "straight", shape, **options)
    straight.run()
    steps = 0

    def one_step() -> bool:
        nonlocal steps
        steps += 1
        return steps in (5, 8)  # in the first epoch, and at the last step of it

    while True:
        run = training(chains, tmp_path / "stopped", shape, **options)
        if steps:
            with torch.no_grad():
                run.policy.network.head.weight += 1
            run.resume()
            assert run.progress.step == steps
        if run.run(should_stop=one_step).epoch == 2:
            break
    assert straight.total_steps == steps == 16
    mine = weights(run.policy)
    assert all(torch.equal(value, mine[name]) for name, value in weights(straight.policy).items())
    nll = [row["validation_nll"] for row in straight.progress.history]
    assert [row["validation_nll"] for row in run.progress.history] == nll
    if options:
        other = training(chains, tmp_path / "other", shape)
        other.run()
        assert not torch.equal(other.policy.network.head.weight, mine["head.weight"])


def test_randomised_epochs_write_the_same_molecules_otherwise(
    short_molecules: list[str], tmp_path: Path
) -> None:
    run = training(short_molecules[:60], tmp_path, randomise=True)
    tokenizer = run.policy.tokenizer

    def written(epoch: int) -> list[str]:
        corpus = run._epoch_corpus(epoch)
        return [tokenizer.decode(corpus.padded([i])[0].tolist()) for i in range(len(corpus))]

    from moldesign.chem import molecules

    first, second = written(0), written(1)
    assert written(0) == first
    originals = [tokenizer.decode(run.corpus.padded([i])[0].tolist()) for i in range(len(run.corpus))]
    assert sum(a != b for a, b in zip(first, second, strict=True)) > 40
    for text, a, b in zip(originals, first, second, strict=True):
        assert molecules.canonical(a) == molecules.canonical(b) == molecules.canonical(text)


def test_only_the_same_training_is_taken_up(chains: list[str], tmp_path: Path) -> None:
    training(chains, tmp_path).run(should_stop=lambda: True)
    for other, message in [
        (training(chains, tmp_path, batch_size=16), "its batch_size is 15, not 16"),
        (training(chains[:-1], tmp_path), "its corpus is another"),
        (
            training(chains, tmp_path, SHAPE.model_copy(update={"dropout": 0.1})),
            "its dropout is 0.0, not 0.1",
        ),
        (
            training(chains, tmp_path, SHAPE.model_copy(update={"hidden_size": 8})),
            "its hidden_size is 32, not 8",
        ),
    ]:
        with pytest.raises(
            CheckpointError, match=f"training.safetensors: belongs to another training: {message}"
        ):
            other.resume()
    wider = Policy.fresh(SHAPE, Tokenizer.for_corpus(["[Fe]"]))
    other = Pretraining(
        chains, wider, PretrainSettings.model_validate(QUICK), tmp_path, Provenance(corpus_sha256="117")
    )
    with pytest.raises(CheckpointError, match="its vocabulary is another"):
        other.resume()


def test_a_damaged_or_foreign_checkpoint_is_not_taken_up(chains: list[str], tmp_path: Path) -> None:
    run = training(chains, tmp_path)
    path = tmp_path / "training.safetensors"
    with pytest.raises(CheckpointError, match="training.safetensors: no such file"):
        run.resume()
    run.run(should_stop=lambda: True)
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    for place in (
        8,
        content.index(b"batch_in_epoch"),
        content.index(b'step\\": 1') + 8,
        header,
        len(content) - 1,
    ):
        flipped = bytearray(content)
        flipped[place] ^= 1
        path.write_bytes(flipped)
        with pytest.raises(CheckpointError, match="training.safetensors: "):
            training(chains, tmp_path).resume()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        run.resume()
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="not the checkpoint of a training"):
        run.resume()


def test_two_processes_learn_as_one(chains: list[str], tmp_path: Path) -> None:
    # 106 molecules to learn: the last batch holds one, so that one process has nothing to do.
    alone = training(chains, tmp_path / "alone", validity_weight=2.0)
    losses: list[float] = []
    alone.run(on_step=lambda report: losses.append(report.loss))
    assert int(min(len(rows) for rows in alone._epoch_order(0))) == 1
    job = {
        "architecture": SHAPE.model_dump(),
        "settings": alone.settings.model_dump(),
        "smiles": chains,
        "out": str(tmp_path / "together"),
        "result": str(tmp_path / "result.json"),
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = str(Path(__file__).with_name("train_together.py"))
    done = subprocess.run(
        [*torchrun, script, str(tmp_path / "job.json")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    together = json.loads((tmp_path / "result.json").read_text())
    assert together["losses"] == pytest.approx(losses, abs=1e-3)
    nll = [row["validation_nll"] for row in alone.progress.history]
    assert together["validation_nll"] == pytest.approx(nll, abs=1e-3)
