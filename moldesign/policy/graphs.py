"""Drawing on a GPU: several steps of a batch at a time, captured once and then launched as one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from moldesign.language.tokenizer import END_INDEX, PAD_INDEX, START_INDEX
from moldesign.policy.inference import InferenceNetwork
from moldesign.policy.philox import uniforms
from moldesign.policy.sampler import choose, drawing_distribution
from moldesign.policy.trajectories import Sequences

#: Batch sizes. Few, since each is captured once; below the first one a step takes no less time.
SIZES = (64, 256, 1024, 2048, 4096, 8192)
# Steps between two looks at what has ended. More wait for the device less often; fewer compute less for
# sequences that have ended, half as many steps of each.
_STEPS = 8

Work = Callable[[], None]
#: Work on tensors that stay where they are -> the same work, launched as one.
Capture = Callable[[Work], Work]


def cuda_graphs(device: torch.device) -> Capture:
    """What captures work as CUDA graphs. One is launched at a time: they share their intermediate memory."""
    stream, pool = torch.cuda.Stream(device), torch.cuda.graph_pool_handle()

    def capture(work: Work) -> Work:
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream(device)
        stream.wait_stream(current)
        try:
            # Of torch.cuda.graph alone a capture that fails would leave its stream the current one.
            with torch.cuda.stream(stream):
                work()  # libraries make their handles and workspaces at the first call on a stream
                # What other threads do meanwhile, as that which watches over NCCL, does not break it off.
                with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
                    work()
        finally:
            current.wait_stream(stream)
        return graph.replay

    return capture


class Ladder:
    """Draws from a network in batches of a few sizes, going down to a smaller one as sequences end.

    Args:
        network: refreshed in place where the weights change: what is captured reads its tensors.
        sizes: of a batch, ascending.
        capture: of the steps of a batch. Should it fail, or its result not equal that of the steps, they are
            computed one by one from then on, after a warning. None: so they are from the beginning.
    """

    def __init__(
        self, network: InferenceNetwork, *, sizes: Sequence[int] = SIZES, capture: Capture | None = None
    ) -> None:
        self.network, self.sizes = network, sizes
        self._capture = capture
        self._batches: dict[int, _Batch] = {}
        self._captured: dict[tuple[int, float, float], Work] = {}

    # Tensors made in inference mode could not be written to outside of it, at the next draw.
    @torch.inference_mode(mode=False)
    @torch.no_grad()
    def draw(
        self,
        n: int,
        *,
        seed: int,
        max_length: int,
        first_index: int = 0,
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> Sequences:
        """n sequences, as sampler.draw has them. The device is waited for once in 8 steps."""
        device, blocks = self.network.device, -(-max_length // _STEPS)
        tokens = torch.full((n, blocks, _STEPS), PAD_INDEX, dtype=torch.int64, device=device)
        plain = temperature == 1.0 and top_p == 1.0
        log_probs = None if plain else torch.zeros(tokens.shape, dtype=torch.float64, device=device)
        numbers = uniforms(seed, first_index, n, blocks * _STEPS, device).view(tokens.shape)

        # Of each sequence in the batch: its row, and which of its blocks of steps is written. `kept` are
        # the places of those that go on; others begin behind them until all have begun, so that nothing
        # favours those that end early.
        rows, at, kept = (torch.empty(0, dtype=torch.int64, device=device) for _ in range(3))
        batch = self._batch(0)
        begun = 0
        while len(kept) or begun < n:
            new = min(n - begun, self.sizes[-1] - len(kept))
            before, batch = batch, self._batch(len(kept) + new)
            batch.take(before, kept, new)
            rows = torch.cat([rows[kept], torch.arange(begun, begun + new, device=device)])
            at = F.pad(at[kept] + 1, (0, new))
            begun += new
            batch.numbers[: len(rows)] = numbers[rows, at]
            self._advance(batch, temperature, top_p)
            tokens[rows, at] = batch.tokens[: len(rows)]
            if log_probs is not None:
                log_probs[rows, at] = batch.log_probs[: len(rows)]
            kept = (batch.alive[: len(rows)] & (at + 1 < blocks)).nonzero()[:, 0]

        written = tokens.flatten(1)[:, :max_length]
        length = int((written != PAD_INDEX).sum(1).max()) if n else 1
        return Sequences(
            tokens=written[:, :length].clone(),
            reshaped_log_probs=None if log_probs is None else log_probs.flatten(1)[:, :length].clone(),
        )

    def _batch(self, n: int) -> _Batch:
        """The smallest batch that holds n sequences."""
        size = next(size for size in self.sizes if size >= n)
        if size not in self._batches:
            self._batches[size] = _Batch(self.network, size)
        return self._batches[size]

    def _advance(self, batch: _Batch, temperature: float, top_p: float) -> None:
        """Advance a batch, by what was captured if it was."""
        key = (len(batch.last), temperature, top_p)
        work = partial(batch.advance, self.network, temperature, top_p)
        if key in self._captured:
            self._captured[key]()
        elif self._capture is None:
            work()
        else:
            before = batch.copies()
            work()
            after = batch.copies()
            try:
                replay = self._capture(work)
                batch.restore(before)
                replay()
                if not all(map(torch.equal, batch.tensors, after)):
                    raise RuntimeError("a replay differs from the steps that were captured")
                self._captured[key] = replay
            except Exception as error:
                batch.restore(after)
                self._capture = None
                self._captured.clear()
                warnings.warn(
                    f"drawing without CUDA graphs, which is slower: {error}", RuntimeWarning, stacklevel=2
                )


class _Batch:
    """Sequences that are written side by side, in tensors that stay where they are.

    Attributes:
        last: (B,) int64; the token that is read next.
        alive: (B,) bool; whether it is being written.
        numbers: (B, steps) float64 in [0, 1); those that choose the tokens of a block.
        tokens: (B, steps) int64; the block that was written, PAD_INDEX after the end.
        log_probs: (B, steps) float64; theirs where temperature or top-p reshape the distribution.
    """

    def __init__(self, network: InferenceNetwork, size: int) -> None:
        self.last = torch.full((size,), PAD_INDEX, dtype=torch.int64, device=network.device)
        self.alive = torch.zeros((size,), dtype=torch.bool, device=network.device)
        self.numbers = torch.zeros((size, _STEPS), dtype=torch.float64, device=network.device)
        self.tokens = torch.zeros((size, _STEPS), dtype=torch.int64, device=network.device)
        self.log_probs = torch.zeros((size, _STEPS), dtype=torch.float64, device=network.device)
        self.states = network.start(size)

    @property
    def tensors(self) -> list[Tensor]:
        """All that advancing writes to."""
        return [self.last, self.alive, self.tokens, self.log_probs, *self._parts]

    @property
    def _parts(self) -> list[Tensor]:
        return [part for state in self.states for part in state]

    def copies(self) -> list[Tensor]:
        return [tensor.clone() for tensor in self.tensors]

    def restore(self, copies: list[Tensor]) -> None:
        for tensor, copy in zip(self.tensors, copies, strict=True):
            tensor.copy_(copy)

    def take(self, other: _Batch, kept: Tensor, new: int) -> None:
        """Hold these of the sequences of a batch, which may be this one, and behind them as many new ones."""
        old, count = len(kept), len(kept) + new
        self.last[:old] = other.last[kept]
        self.last[old:count] = START_INDEX
        self.alive[:count] = True
        self.alive[count:] = False
        for mine, theirs in zip(self._parts, other._parts, strict=True):
            mine[:old] = theirs[kept]
            mine[old:count] = 0

    def advance(self, network: InferenceNetwork, temperature: float, top_p: float) -> None:
        """Write the next block.

        Of fixed shapes and without a look at a value, so that it can be captured: what has ended is
        computed with the rest.
        """
        last, alive, states = self.last, self.alive, self.states
        for step in range(_STEPS):
            logits, states = network.step(last, states)
            probabilities = drawing_distribution(logits.float(), temperature, top_p)
            chosen = choose(probabilities.cumsum(-1), self.numbers[:, step])
            if temperature != 1.0 or top_p != 1.0:
                log_probs = probabilities.gather(1, chosen[:, None])[:, 0].log()
                self.log_probs[:, step] = log_probs.masked_fill(~alive, 0.0)
            last = chosen.masked_fill(~alive, PAD_INDEX)
            self.tokens[:, step] = last
            alive = alive & (last != END_INDEX)
        self.last.copy_(last)
        self.alive.copy_(alive)
        for mine, part in zip(self._parts, (part for state in states for part in state), strict=True):
            mine.copy_(part)
