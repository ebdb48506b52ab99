import dataclasses
import json
import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from moldesign.benchmarks import frechet
from moldesign.benchmarks.generation import assess, properties, wasserstein
from moldesign.benchmarks.metrics import read_metrics
from moldesign.benchmarks.prior import draw, draw_valid, main, measure, read_curve
from moldesign.policy.checkpoint import load_policy, read_tensors, save_policy
from moldesign.policy.settings import Architecture, PretrainSettings
from moldesign.policy.training import train


def test_shares_are_of_samples_of_valid_and_of_unique() -> None:
    # Five are molecules (ethanol three times, once written from the other end); of three different ones,
    # the training split holds ethanol.
    drawn = ["CCO", "OCC", "CCO", "CCN", "c1ccccc1", "C1CC", "CO(C)C", ""]
    quality, valid = assess(drawn, {"CCO", "CCCC"})
    assert (quality.sampled, quality.valid, quality.unique, quality.novel) == (8, 5, 3, 2)
    assert (quality.validity, quality.uniqueness, quality.novelty) == (5 / 8, 3 / 5, 2 / 3)
    assert valid == ["CCO", "CCO", "CCO", "CCN", "c1ccccc1"]
    assert sum(quality.invalid.values()) == 3
    assert quality.invalid["impossible valence"] == quality.invalid["without an end, or empty"] == 1


def test_enantiomers_are_two_molecules() -> None:
    quality, _ = assess(["C[C@H](N)O", "C[C@@H](N)O", "CC(N)O"], {"CC(N)O"})
    assert (quality.unique, quality.novel) == (3, 2)


def test_shares_of_nothing_are_nan() -> None:
    quality, _ = assess(["C(", "C1"], set())
    assert quality.validity == 0
    assert math.isnan(quality.uniqueness)
    assert math.isnan(quality.novelty)


def test_properties_are_the_molecules_own() -> None:
    values = properties(["C1CCCCC1", "c1ccc2ccccc2c1"])
    assert values["rings"].tolist() == [1, 2]
    assert values["molecular weight (g/mol)"] == pytest.approx([84.16, 128.17], abs=0.01)


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ([0, 1], [1, 0], 0),
        ([0, 1, 5], [2, 3, 7], 2),  # a shift
        ([0, 0, 0, 4], [0, 0], 1),  # a quarter of the mass moves by four
        ([0, 2], [1], 1),
    ],
)
def test_wasserstein_is_how_far_the_mass_moves(a: list[float], b: list[float], distance: float) -> None:
    assert wasserstein(np.array(a), np.array(b)) == pytest.approx(distance)


def test_frechet_distance_equals_the_closed_form_of_two_dimensions() -> None:
    generator = np.random.default_rng(0)
    a = generator.normal(size=(50, 2)) @ np.array([[1.0, 0.4], [0.0, 0.3]])
    b = generator.normal(size=(40, 2)) @ np.array([[0.2, 0.0], [0.7, 2.0]]) + [3.0, -1.0]
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    # The eigenvalues x, y of a 2 x 2 matrix M: (sqrt x + sqrt y)^2 = tr M + 2 sqrt(det M).
    mixed = cov_a @ cov_b
    root_trace = math.sqrt(np.trace(mixed) + 2 * math.sqrt(np.linalg.det(mixed)))
    shift = a.mean(0) - b.mean(0)
    expected = shift @ shift + np.trace(cov_a + cov_b) - 2 * root_trace
    assert frechet.distance(a, b) == pytest.approx(expected)
    assert frechet.distance(b, a) == pytest.approx(expected)
    assert frechet.distance(a, a) == pytest.approx(0, abs=1e-9)


def test_chemnet_reads_a_molecule_alike_in_any_batch() -> None:
    pytest.importorskip("fcd")
    smiles = ["C" * (1 + i % 9) + "O" for i in range(130)]
    together = frechet.activations(smiles)
    assert together.shape == (130, 512)
    assert np.allclose(frechet.activations(smiles[-2:]), together[-2:], atol=1e-5)


def test_curve_takes_the_later_row_of_a_step_and_averages_long_ones(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    path.write_text("step,epoch,nats_a_token\n20,1,3.0\n40,1,9.0\n40,1,2.0\n")
    assert read_curve(path) == [(20, 3.0), (40, 2.0)]
    path.write_text("".join(f"{step},0.5,{step % 2}\n" for step in range(1, 401)))
    curve = read_curve(path)
    assert len(curve) == 200
    assert curve[-1] == (400, 0.5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real training on chains of carbon, nitrogen and oxygen, and of its corpus."""
    folder = tmp_path_factory.mktemp("training")
    chains = ["".join(atoms) for n in (3, 4, 5) for atoms in product("CNO", repeat=n)]
    (folder / "chains.smi").write_text("\n".join(chains) + "\n")
    torch.set_num_threads(1)
    train(
        corpora=[str(folder / "chains.smi")],
        settings=PretrainSettings(epochs=6, batch_size=16, warmup_steps=10, validation_share=0.1),
        out=folder / "run",
        architecture=Architecture(layers=1, hidden_size=48, embedding_size=16),
        name="chains",
        licence="CC0",
    )
    return folder


def test_draws_are_a_function_of_seed_and_index(trained: Path) -> None:
    policy, _ = load_policy(trained / "run/best.safetensors")
    smiles, nll = draw(policy, 40, seed=1)
    later, _ = draw(policy, 10, seed=1, first_index=30)
    assert smiles[30:] == later
    assert nll.shape == (40,)
    _, valid = assess(smiles, set())
    more = draw_valid(policy, 45, seed=1, first_index=40, valid=valid)
    assert len(more) == 45
    assert more[: len(valid)] == valid


def test_card_figure_metrics_and_prior_of_a_tiny_policy(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "models"
    options = ["--samples", "120", "--threads", "1"]
    prior = str(trained / "run/best.safetensors")
    assert main(["--prior", prior, "--training-dir", str(trained / "run"), "--out", str(out), *options]) == 0
    metrics = read_metrics(out / "chains.json")
    card = (out / "chains.md").read_text()
    assert capsys.readouterr().out == card
    assert (out / "chains.png").read_bytes().startswith(b"\x89PNG")

    assert metrics.storage.precision == "float16"
    assert 0 < metrics.storage.difference < 1e-3
    assert {t.dtype for t in read_tensors(out / "chains.safetensors")[0].values()} == {torch.float16}
    assert metrics.held_out + metrics.provenance.molecules == 351
    assert metrics.quality.sampled == 120
    assert metrics.quality.validity > 0.5
    # Real samples of that size differ less from each other than a constant does.
    assert all(s.distance < 4 * s.corpus_deviation + 1 for s in metrics.properties.values())
    assert metrics.likelihood.held_out == pytest.approx(metrics.provenance.validation_nll, abs=0.02)
    assert [epoch.epoch for epoch in metrics.training.epochs] == [1, 2, 3, 4, 5, 6]
    assert metrics.training.finished
    assert str(trained) not in card
    assert f"{100 * metrics.quality.validity:.2f}%" in card
    assert "CC0" in card

    # The stored prior with its JSON is enough to measure it again, and gives the same.
    again = ["--prior", str(out / "chains.safetensors"), "--corpus", str(trained / "chains.smi")]
    assert main([*again, "--out", str(tmp_path / "again"), *options]) == 0
    second = read_metrics(tmp_path / "again" / "chains.json")
    assert dataclasses.asdict(second.quality) == dataclasses.asdict(metrics.quality)
    assert second.model_dump(exclude={"seconds", "environment"}) == metrics.model_dump(
        exclude={"seconds", "environment"}
    )
    assert json.loads((out / "chains.json").read_text())["seed"] == 12_345


def test_card_names_every_training_of_a_prior(trained: Path, tmp_path: Path) -> None:
    policy, provenance = load_policy(trained / "run/best.safetensors")
    stages = {"moldesign pretrain first": 700, "moldesign finetune second": 1_300}
    parent = None
    for command, steps in stages.items():
        parent = provenance.model_copy(update={"command": command, "steps": steps, "parent": parent})
    last = provenance.model_copy(update={"command": "moldesign finetune third", "parent": parent})
    save_policy(policy, tmp_path / "best.safetensors", last)
    metrics = measure(
        tmp_path / "best.safetensors", tmp_path / "card", training_dir=trained / "run", samples=50
    )
    assert metrics.provenance == last
    card = (tmp_path / "card" / "chains.md").read_text()
    rows = [line for line in card.splitlines() if line.startswith(("| trained before by", "| command"))]
    assert [row.split("`")[1] for row in rows] == [*stages, "moldesign finetune third"]
    assert "; 700 steps; " in rows[0]
    assert "; 1,300 steps; " in rows[1]


def test_seed_of_the_training_and_another_corpus_are_refused(
    trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = ["--prior", str(trained / "run/best.safetensors"), "--training-dir", str(trained / "run")]
    arguments += ["--out", str(tmp_path / "out")]
    assert main([*arguments, "--seed", "0"]) == 2
    assert "seed 0 is that of the training" in caplog.text
    (tmp_path / "other.smi").write_text("CCO\nCCN\n")
    assert main([*arguments, "--corpus", str(tmp_path / "other.smi")]) == 3
    assert "trained on other molecules" in caplog.text
    assert not (tmp_path / "out").exists()
