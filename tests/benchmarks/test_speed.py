from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from moldesign.benchmarks import ceilings, work
from moldesign.benchmarks.ratios import draw_ratios
from moldesign.benchmarks.speed import PARTS, Batches, Bench, Effort
from moldesign.benchmarks.timing import Row, Spread, alternate, rate
from moldesign.benchmarks.work import Drawing, Training, by_median_step
from moldesign.cli.app import app
from moldesign.errors import DataError, MoldesignError, UsageError
from moldesign.language.tokenizer import SPECIALS, Tokenizer
from moldesign.policy.checkpoint import load_policy
from moldesign.policy.policy import Policy
from moldesign.policy.settings import Architecture

SHIPPED = Architecture(cell="gru", layers=3, hidden_size=512, embedding_size=256)
ROW = Row("sampling", 64, "molecules/s", Spread(6.0, 5.0, 9.0), "peer", Spread(2.0, 1.0, 4.0))
ALONE = Row("help", None, "s", Spread(0.3, 0.3, 0.3))


@pytest.fixture
def policy(small_prior: Path) -> Policy:
    return load_policy(small_prior)[0]


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Makes the clock of a module go on by a second each time it is read."""

    def tick(module: object) -> None:
        ticks = count()
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))

    return tick


def test_a_spread_is_median_smallest_and_largest() -> None:
    assert Spread.of([5.0, 1.0, 2.0]) == Spread(2.0, 1.0, 5.0)
    assert Spread.of([4.0, 1.0]) == Spread(2.5, 1.0, 4.0)
    assert Spread(2.0, 1.0, 5.0).times(3) == Spread(6.0, 3.0, 15.0)
    assert Spread(1234.56, 0.0123456, 7.0).facts() == {"median": 1235.0, "min": 0.01235, "max": 7.0}


def test_a_ratio_is_that_of_the_medians() -> None:
    assert ROW.ratio == 3.0
    assert ROW.facts() == {
        "measurement": "sampling",
        "batch": 64,
        "unit": "molecules/s",
        "ours": {"median": 6.0, "min": 5.0, "max": 9.0},
        "against": "peer",
        "theirs": {"median": 2.0, "min": 1.0, "max": 4.0},
        "bound": False,
        "ratio": 3.0,
    }
    assert ALONE.ratio is None
    assert ALONE.facts()["theirs"] is None


def test_timings_are_taken_in_turns() -> None:
    asked: list[str] = []

    def timed(name: str, value: float) -> Callable[[], float]:
        def one() -> float:
            asked.append(name)
            return value * len(asked)

        return one

    # Answers 1, 3, 5 of the first and 20, 40, 60 of the second.
    spreads = alternate(timed("ours", 1.0), timed("theirs", 10.0), repeats=3)
    assert asked == ["ours", "theirs"] * 3
    assert spreads == [Spread(3.0, 1.0, 5.0), Spread(40.0, 20.0, 60.0)]


def test_work_is_repeated_until_the_time_is_over(ticking: Callable[[object], None]) -> None:
    from moldesign.benchmarks import timing

    ticking(timing)  # a call a second
    assert rate(lambda: 7.0, 0.0) == 7.0
    calls = count(1)
    assert rate(lambda: float(next(calls)), 3.0) == (1 + 2 + 3) / 3


def test_the_operations_of_a_token_are_those_of_its_products() -> None:
    # 512 x 1,536 five times and 512 x 26: 7.9 MFLOP, as the engine computes with a table for the first layer.
    assert ceilings.drawing_flops(SHIPPED, 26) == 2 * (5 * 512 * 1536 + 512 * 26) == 7_890_944
    lstm = Architecture(cell="lstm", layers=1, hidden_size=2, embedding_size=3)
    assert ceilings.drawing_flops(lstm, 5) == 2 * (2 * 8 + 2 * 5)
    assert ceilings.training_flops(lstm, 5) == 3 * 2 * (3 * 8 + 2 * 8 + 2 * 5)


def test_ten_products_are_counted() -> None:
    shape = Architecture(hidden_size=8)
    multiply = ceilings.products(4, shape, torch.float32, torch.device("cpu"))
    assert multiply() == pytest.approx(10 * 2 * 4 * 8 * 24 * 1e-9)


def test_the_median_step_counts_and_the_first_do_not() -> None:
    # Steps of 10, 1, 4 and 2 s, the first two of them warm-up.
    assert by_median_step([5.0, 10.0, 11.0, 15.0, 17.0]) == 1 / 2


def test_what_was_drawn_is_judged_from_its_smiles() -> None:
    # The last has not ended; the others have an end token more than their SMILES.
    batch = ["CCO", "C(", "c1ccccc1Cl", ""]
    drawing = Drawing(lambda: batch)
    assert drawing.rate(0.0) > 0
    assert drawing.facts() == {"molecules": 4, "valid": 0.5, "mean_tokens": round((4 + 3 + 10) / 3, 2)}


def test_each_batch_is_drawn_anew(policy: Policy) -> None:
    drawing = work.drawing(policy, 16, seed=3)
    both = [*drawing.draw(), *drawing.draw()]
    assert both == policy.decode(policy.draw(32, seed=3))
    assert work.drawing(policy, 32, seed=3, captured=False).draw() == both


def test_the_engine_computes_equal_beginnings_once(policy: Policy) -> None:
    counted = work.count_drawing(policy, 512, seed=1)
    assert counted["molecules"] == 1024
    assert counted["tokens"] == int(policy.draw(1024, seed=1).valid_steps.sum())
    assert counted["steps"] <= counted["rows"] < counted["tokens"]


def test_a_training_and_its_bare_kernel_are_timed_on_the_same_tokens(
    policy: Policy, ticking: Callable[[object], None]
) -> None:
    before = {name: tensor.clone() for name, tensor in policy.network.state_dict().items()}
    smiles = [letter * n for n in range(1, 20) for letter in "CNO"]
    training = Training(policy, smiles, 4, steps=3)
    ticking(work)  # a second from the first timed step to the last
    tokens = training.rate()
    assert tokens == training.bare_rate()
    # Twelve molecules of one to nineteen atoms, and an end token each.
    assert 12 * 2 <= tokens <= 12 * 20
    assert all(torch.equal(before[name], tensor) for name, tensor in policy.network.state_dict().items())


def test_the_tokens_of_a_training_are_those_timed(policy: Policy, ticking: Callable[[object], None]) -> None:
    training = Training(policy, ["CCC", "NCO"], 2, steps=5)
    ticking(work)
    assert training.rate() == 5 * 2 * 4


def test_a_corpus_in_other_tokens_is_refused(policy: Policy) -> None:
    with pytest.raises(DataError, match="no molecule of the corpus"):
        Training(policy, ["c1ccccc1", "Br"], 4, steps=1)


def test_every_part_on_a_small_prior(small_prior: Path, tmp_path: Path) -> None:
    # What a GPU is measured by, here on the processor.
    corpus = tmp_path / "chains.smi"
    corpus.write_text("".join(f"{letter * n}\n" for n in range(1, 9) for letter in "CNO"))
    batches = Batches(ceilings=(4,), sampling=(8,), training=(4,), loop=(8,), workers=(1,), fidelity=20)
    told: list[Row] = []
    bench = Bench.of(small_prior, Effort(2, 0.0, 1), batches=batches, corpus=corpus, tell=told.append)
    report = bench.measure([name for name in PARTS if name != "start-up"])
    assert report.rows == told
    compared = [(row.what, row.batch, row.against) for row in report.rows if row.what[-8:] != "products"]
    ceiling = bench.ceiling_name
    assert compared == [
        ("sampling", 8, ""),
        ("sampling, products needed", 8, ceiling),
        ("training", 4, "nn.GRU alone"),
        ("training, products needed", 4, ceiling),
        ("REINVENT, 1 worker", 8, ""),
    ]
    assert all(0 < row.ours.min <= row.ours.median <= row.ours.max for row in report.rows)
    sampled, needed = (row.ours.median for row in report.rows if row.what.startswith("sampling"))
    tokens = report.counted[0]["tokens"] / report.counted[0]["molecules"]
    flops = ceilings.drawing_flops(bench.policy.network.architecture, len(bench.policy.tokenizer))
    assert needed == pytest.approx(1e-9 * sampled * tokens * flops)
    phases = report.time_line[0]["phases"]
    # Each share is written to five decimals.
    shares = [phase["share"] for phase in phases if phase["phase"] != "workers"]
    assert sum(shares) == pytest.approx(1, abs=len(shares) * 1e-5)
    assert report.fidelity == {} or report.fidelity["molecules"] == 20
    assert json.loads(json.dumps(bench.facts()))["rows"] == [row.facts() for row in report.rows]


def test_the_figure_shows_ratios(tmp_path: Path) -> None:
    share = replace(ROW, bound=True)
    draw_ratios([row.facts() for row in (ROW, share, ALONE)], tmp_path / "both.png")
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="nothing was compared"):
        draw_ratios([ALONE.facts()], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_a_command_is_timed_and_one_that_fails_is_not() -> None:
    assert 0 < work.command_seconds("--version") < 60
    with pytest.raises(MoldesignError, match="(?s)moldesign smaple: .*No such command"):
        work.command_seconds("smaple")


def test_the_command_measures_writes_and_draws(small_prior: Path, tmp_path: Path) -> None:
    words = (
        "benchmark speed --only sampling --repeats 2 --seconds 0 --threads 1 --json -o s.json --plot s.png"
    )
    done = subprocess.run(
        [sys.executable, "-m", "moldesign", *words.split(), "--prior", str(small_prior)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    printed, written = json.loads(done.stdout), json.loads((tmp_path / "s.json").read_text())
    environment = written.pop("environment")
    assert printed == written
    assert environment["command"].startswith("moldesign benchmark speed --only sampling")
    assert environment["threads"] == 1
    assert [(row["batch"], row["bound"]) for row in written["rows"]] == [
        (batch, bound) for batch in (64, 256, 1024) for bound in (False, True)
    ]
    assert [drawn["moldesign"]["molecules"] for drawn in written["drawn"]] == [2 * 64, 2 * 256, 2 * 1024]
    assert len(done.stderr.splitlines()) == 6  # each row as soon as it was there
    assert (tmp_path / "s.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("speed --only samling", "unknown part 'samling'; did you mean 'sampling'?"),
        ("speed --plot ratios.txt", "ratios.txt: unknown kind of figure"),
        ("speed -o here.json", "here.json: exists already"),
        ("speed --prior drglike", "did you mean 'druglike'"),
    ],
)
def test_wrong_usage_is_found_before_anything_is_measured(
    line: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here.json").write_text("mine")
    result = CliRunner().invoke(app, ["benchmark", *line.split()])
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)
    assert result.stdout == ""
    assert Path("here.json").read_text() == "mine"


def test_without_the_peer_the_extra_is_named(small_prior: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smilesrnn", None)  # as if it were not installed
    with pytest.raises(UsageError, match=r"--peers needs .* pip install 'moldesign-rl\[peers\]'"):
        Bench.of(small_prior, Effort(), with_peer=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_there_is_nothing_to_measure(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "moldesign", "benchmark", "gpu", "-o", "gpu.json"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "moldesign: no CUDA device here: `moldesign benchmark speed` measures the processor"
    ]
    assert not list(tmp_path.iterdir())


def test_a_table_of_the_first_layer_costs_nothing() -> None:
    one_layer = Policy.fresh(SHIPPED.model_copy(update={"layers": 1}), Tokenizer([*SPECIALS, "C"]))
    shape = one_layer.network.architecture
    # The state's product and the head are what is left of a single layer.
    assert ceilings.drawing_flops(shape, 4) == 2 * 512 * (1536 + 4)


def test_one_size_for_every_part() -> None:
    one, usual = Batches.of_size(32), Batches()
    assert one.ceilings == one.sampling == one.training == one.loop == (32,)
    assert (one.workers, one.fidelity) == (usual.workers, usual.fidelity)
