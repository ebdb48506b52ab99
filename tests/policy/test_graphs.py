import math
import warnings
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from moldesign.language.tokenizer import END_INDEX, PAD_INDEX, SPECIALS, Tokenizer
from moldesign.policy import products, sampler
from moldesign.policy.graphs import SIZES, Capture, Ladder, Work, _Batch, cuda_graphs
from moldesign.policy.inference import InferenceNetwork
from moldesign.policy.network import Network
from moldesign.policy.policy import Policy
from moldesign.policy.settings import Architecture

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=NO_GPU)]


@pytest.fixture
def long(tiny: Policy) -> Policy:
    """A policy whose molecules have one token, dozens, or any number between."""
    if tiny.network.architecture.cell == "lstm":
        with torch.no_grad():
            tiny.network.head.bias[END_INDEX] -= 2.5
    return tiny


def exact(policy: Policy) -> InferenceNetwork:
    return InferenceNetwork(policy.network, half_precision=False)


class Captures:
    """Stands for what captures: notes what it captured and counts how often that was launched."""

    def __init__(self, replay: Capture = lambda work: work) -> None:
        self.made: list[Work] = []
        self.launched = 0
        self._replay = replay

    def __call__(self, work: Work) -> Work:
        work()  # as a warm-up does
        replay = self._replay(work)
        self.made.append(work)

        def launch() -> None:
            self.launched += 1
            replay()

        return launch


def assert_same(found: Any, expected: Any) -> None:
    assert torch.equal(found.tokens, expected.tokens)
    if expected.reshaped_log_probs is None:
        assert found.reshaped_log_probs is None
    else:
        assert torch.equal(found.reshaped_log_probs, expected.reshaped_log_probs)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (1.3, 1.0), (1.0, 0.9), (0.8, 0.95)])
@pytest.mark.parametrize("max_length", [5, 8, 30])
def test_a_ladder_draws_what_the_sampler_draws(
    long: Policy, max_length: int, temperature: float, top_p: float
) -> None:
    network = exact(long)
    ladder = Ladder(network, sizes=(4, 16, 64))
    options: dict[str, Any] = {"max_length": max_length, "temperature": temperature, "top_p": top_p}
    for n in (0, 1, 4, 17, 150):
        expected = sampler.draw(network, n, seed=6, first_index=3, **options)
        assert_same(ladder.draw(n, seed=6, first_index=3, **options), expected)
    lengths = (expected.tokens != PAD_INDEX).sum(1)
    assert int(lengths.min()) < max_length
    assert not expected.finished.all()


def test_a_batch_shrinks_with_the_sequences_that_are_left(long: Policy) -> None:
    network = exact(long)
    drawn = Ladder(network, sizes=(4, 16, 64)).draw(60, seed=1, max_length=200)
    lengths = (drawn.tokens != PAD_INDEX).sum(1)
    left = [int((lengths > done).sum()) for done in range(0, int(lengths.max()), 8)]
    assert {size for n in left for size in (4, 16, 64) if n <= size < 4 * n} == {4, 16, 64}
    assert network.rows == sum(8 * next(size for size in (4, 16, 64) if size >= n) for n in left)


def test_a_batch_is_filled_up_until_all_have_begun(long: Policy) -> None:
    network = exact(long)
    drawn = Ladder(network, sizes=(64,)).draw(1000, seed=1, max_length=200)
    # One batch after the other would take as many steps as the longest of each has.
    lengths = (drawn.tokens != PAD_INDEX).sum(1)
    alone = sum(8 * math.ceil(int(part.max()) / 8) for part in lengths.split(64))
    used = (8 * torch.ceil(lengths / 8)).sum() / 64
    assert used <= network.steps < used + int(lengths.max()) + 8 < 0.7 * alone


class Watch(TorchDispatchMode):
    """Raises where a tensor of another device takes part."""

    def __init__(self, device: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device, self.seen = device, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, out)):
            if isinstance(leaf, Tensor):
                assert leaf.device.type == self.device, f"{func} copies from or to the host"
        self.seen += 1
        return out


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_advancing_asks_for_no_value_and_copies_none(cell: Any, top_p: float) -> None:
    # Tensors of the device meta have a shape and no values: whatever depends on one raises.
    with torch.device("meta"):
        network = Network(Architecture(cell=cell, layers=2, hidden_size=8, embedding_size=4), 6)
    inference = InferenceNetwork(network, half_precision=False)
    batch = _Batch(inference, 16)
    with Watch("meta") as watch:
        batch.advance(inference, 1.0, top_p)
    assert watch.seen > 100
    for asks in (lambda: int(batch.last[0]), lambda: batch.alive.nonzero(), lambda: batch.last.unique()):
        with pytest.raises((RuntimeError, NotImplementedError)):
            asks()
    with pytest.raises(AssertionError, match="copies from or to the host"), Watch("meta"):
        batch.last.fill_(torch.tensor(3))


def test_what_was_captured_is_launched_from_then_on(long: Policy) -> None:
    network, captures = exact(long), Captures()
    ladder = Ladder(network, sizes=(4, 16, 64), capture=captures)
    options: dict[str, Any] = {"seed": 2, "max_length": 200}
    expected = sampler.draw(network, 150, **options)
    assert_same(ladder.draw(150, **options), expected)
    assert len(captures.made) == 3  # one of each size
    first = captures.launched
    assert_same(ladder.draw(150, **options), expected)
    assert len(captures.made) == 3
    assert captures.launched == 2 * first
    ladder.draw(3, temperature=1.5, **options)  # another distribution is other work
    assert len(captures.made) == 4


def unlike(work: Work) -> Work:
    return lambda: None


def broken(work: Work) -> Work:
    raise RuntimeError("operation not permitted when stream is capturing")


@pytest.mark.parametrize(
    ("replay", "reason"), [(unlike, "a replay differs"), (broken, "not permitted when stream is capturing")]
)
def test_a_capture_that_fails_costs_a_warning_and_no_molecule(
    long: Policy, replay: Capture, reason: str
) -> None:
    network = exact(long)
    ladder = Ladder(network, sizes=(4, 16, 64), capture=Captures(replay))
    options: dict[str, Any] = {"seed": 2, "max_length": 30, "temperature": 1.2}
    expected = sampler.draw(network, 150, **options)
    with pytest.warns(RuntimeWarning, match=f"without CUDA graphs.*{reason}") as warned:
        assert_same(ladder.draw(150, **options), expected)
    assert len(warned) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(ladder.draw(150, **options), expected)


def test_one_failure_ends_what_was_captured_before(long: Policy) -> None:
    network = exact(long)
    captures = Captures(lambda work: broken(work) if captures.made else work)
    ladder = Ladder(network, sizes=(4, 16, 64), capture=captures)
    with pytest.warns(RuntimeWarning, match="without CUDA graphs"):
        ladder.draw(64, seed=0, max_length=200)
    launched = captures.launched
    assert launched > 0
    ladder.draw(64, seed=0, max_length=200)
    assert captures.launched == launched


def test_a_policy_keeps_what_it_captured_as_its_weights_change(
    long: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    captures = Captures()
    monkeypatch.setattr("moldesign.policy.policy.cuda_graphs", lambda device: captures)
    monkeypatch.setattr(products, "_packs", lambda _: False)  # as on a GPU
    ladder = long._captured()
    places = [tensor.data_ptr() for tensor in ladder.network._tensors()]
    options: dict[str, Any] = {"seed": 2, "max_length": 30}
    before = ladder.draw(50, **options)
    with torch.no_grad():
        for parameter in long.network.parameters():
            parameter.mul_(0.8)
    assert torch.equal(ladder.draw(50, **options).tokens, before.tokens)
    made = len(captures.made)
    assert long._captured() is ladder
    after = ladder.draw(50, **options)
    assert len(captures.made) == made > 0
    assert [tensor.data_ptr() for tensor in ladder.network._tensors()] == places
    assert_same(after, sampler.draw(exact(long), 50, **options))
    assert not torch.equal(after.tokens, before.tokens)
    # Of another precision, or on another device, there are other tensors to capture.
    monkeypatch.setattr(Policy, "_dtype", torch.bfloat16)
    assert long._captured() is not ladder


def test_packed_weights_are_not_refreshed(tiny: Policy) -> None:
    if not products._packs(torch.float32):
        pytest.skip("this build of torch has no packed products")
    with pytest.raises(TypeError, match="cannot be refreshed"):
        exact(tiny).refresh(tiny.network)


def test_a_ladder_may_be_drawn_from_in_and_out_of_inference_mode(tiny: Policy) -> None:
    with torch.inference_mode():
        ladder = Ladder(exact(tiny), sizes=(16,))
        inside = ladder.draw(10, seed=0, max_length=20)
    assert_same(ladder.draw(10, seed=0, max_length=20), inside)


def test_compiled_gates_draw_the_same(tiny: Policy) -> None:
    # Traced, but left to torch's own kernels: those that a compiler makes round otherwise.
    compiled = Ladder(exact(tiny).compile(backend="eager"), sizes=(4, 16))
    options: dict[str, Any] = {"seed": 3, "max_length": 20}
    assert_same(compiled.draw(40, **options), sampler.draw(exact(tiny), 40, **options))


@pytest.mark.parametrize("device", DEVICES)
def test_a_policy_s_samples_are_as_frequent_as_they_are_probable(tiny: Policy, device: str) -> None:
    n = 4000
    ended = [[*atoms, END_INDEX] for length in (0, 1) for atoms in product((3, 4, 5), repeat=length)]
    language = ended + [list(atoms) for atoms in product((3, 4, 5), repeat=2)]
    tiny.to(device)
    drawn = tiny.draw(n, seed=5, max_length=2).tokens.tolist()
    padded = torch.tensor([[*row, PAD_INDEX][:2] for row in language], device=device)
    expected = n * tiny.score(padded).double().sum(1).exp().cpu().numpy()
    counts = np.array([drawn.count(row) for row in padded.tolist()])
    assert counts.sum() == n
    usual = expected >= 5
    chi_square = float(((counts - expected)[usual] ** 2 / expected[usual]).sum())
    assert chi_square < usual.sum() + 4 * math.sqrt(2 * usual.sum())


@NO_GPU
@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("half_precision", [True, False])
def test_a_gpu_launches_graphs_that_equal_their_steps(cell: Any, half_precision: bool) -> None:
    shape = Architecture(cell=cell, layers=3, hidden_size=128, embedding_size=32)
    tokenizer = Tokenizer([*SPECIALS, "C", "N", "O"])
    policy = Policy.fresh(shape, tokenizer, seed=0).to("cuda")
    policy.half_precision = half_precision
    drawings: list[tuple[int, dict[str, float]]] = [(n, {}) for n in (3, 200, 1000, 2000, 3000, 9000)]
    for seed in range(2):
        steps = Ladder(InferenceNetwork(policy.network, half_precision=half_precision))
        for n, options in [*drawings, (500, {"temperature": 1.2, "top_p": 0.9})]:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a capture that fails warns
                drawn = policy.draw(n, seed=seed, max_length=60, **options)  # type: ignore[arg-type]
            assert_same(drawn, steps.draw(n, seed=seed, max_length=60, **options))  # type: ignore[arg-type]
        assert {size for size, *_ in policy._captured()._captured} == set(SIZES)
        with torch.no_grad():
            for parameter in policy.network.parameters():
                parameter.mul_(1.1)


@NO_GPU
def test_on_a_gpu_compiled_gates_write_as_likely_molecules(tiny: Policy) -> None:
    tiny.to("cuda")
    network = InferenceNetwork(tiny.network, half_precision=False).compile()
    drawn = Ladder(network, sizes=(4096,), capture=cuda_graphs(tiny.device)).draw(4000, seed=0, max_length=9)
    plain = tiny.draw(4000, seed=0, max_length=9)
    assert drawn.tokens.shape == plain.tokens.shape
    assert float((drawn.tokens == plain.tokens).all(1).double().mean()) > 0.99
