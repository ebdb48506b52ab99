"""The stochastic policy: writes SMILES and knows how likely each one was."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from moldesign.language.batches import pad
from moldesign.language.tokenizer import PAD_INDEX, START_INDEX, Tokenizer
from moldesign.policy import sampler
from moldesign.policy.allocation import give_back_memory, keep_freed_memory
from moldesign.policy.graphs import Ladder, cuda_graphs
from moldesign.policy.inference import InferenceNetwork
from moldesign.policy.network import Network, autocast_dtype, mask_unspeakable
from moldesign.policy.prefixes import PrefixTree
from moldesign.policy.reading import Reading, fingerprint
from moldesign.policy.recurrence import tree_logits
from moldesign.policy.settings import Architecture
from moldesign.policy.trajectories import Forward, Sequences, Trajectories

MAX_LENGTH = 140  # tokens; the longest molecule of the shipped corpora has 106
_SCORE_BATCH = 1024
# Stands for the log-probability of what is never written.
_NEVER = -1e4


class Policy:
    """A network with its vocabulary.

    Args:
        half_precision: multiply in bfloat16 where the device does that in hardware.
    """

    def __init__(self, network: Network, tokenizer: Tokenizer, *, half_precision: bool = True) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.half_precision = half_precision
        self._ladder: Ladder | None = None
        self._packed: InferenceNetwork | None = None
        keep_freed_memory()

    @classmethod
    def fresh(cls, architecture: Architecture, tokenizer: Tokenizer, *, seed: int = 0) -> Policy:
        """A policy of random weights that the seed fixes."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(Network(architecture, len(tokenizer)), tokenizer)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @property
    def _dtype(self) -> torch.dtype:
        return (autocast_dtype(self.device) if self.half_precision else None) or torch.float32

    def to(self, device: torch.device | str) -> Policy:
        """This policy, its network moved to the device."""
        self.network.to(device)
        return self

    def clone(self) -> Policy:
        """An independent policy of the same weights: how an agent begins from its prior."""
        return Policy(copy.deepcopy(self.network), self.tokenizer, half_precision=self.half_precision)

    def logits(self, tokens: Tensor) -> Tensor:
        """(T, B, V) float32: of each action of (B, T) tokens given those before; -inf for pad and start."""
        return mask_unspeakable(self._by_step(tokens)[0].float())

    def _by_step(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (T, B, V) of each action of (B, T) tokens, and the states (T, B, H) that they are of."""
        actions = tokens.t()
        start = torch.full_like(actions[:1], START_INDEX)
        inputs = torch.cat([start, actions[:-1]])
        dtype = self._dtype
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype != torch.float32):
            outputs, _ = self.network.rnn(self.network.embedding(inputs))
            return self.network.head(outputs), outputs

    @property
    def _by_tree(self) -> bool:
        """Whether equal beginnings are read once, and padding never: where a processor reads a GRU."""
        return self.device.type == "cpu" and self.network.architecture.cell == "gru"

    def _reads_along(self, n: int, along: Tensor, max_length: int) -> bool:
        return self._by_tree and n + len(along) <= sampler.WAVE and along.shape[1] <= max_length

    def log_probs(self, tokens: Tensor, reading: Reading | None = None) -> Tensor:
        """(B, T) nats: log pi(a_t | s_t), differentiable, once on a processor; zero after the end token.

        Args:
            reading: as `draw` kept it; used if it is of these tokens and the weights have not changed.
        """
        return self.read(tokens, reading).log_probs

    def read(
        self,
        tokens: Tensor,
        reading: Reading | None = None,
        *,
        distribution: bool = False,
        states: bool = False,
    ) -> Forward:
        """The forward pass of (B, T) tokens: `log_probs`, and what else is asked for."""
        valid = tokens != PAD_INDEX
        if self._by_tree:
            if reading is not None and self._has_read(tokens, reading):
                tree, records = reading.tree, reading.layers
            else:
                tree, records = PrefixTree.of(tokens), None
            dropping = self.network.rnn.dropout and self.network.training
            if records is None and not torch.is_grad_enabled() and not dropping:
                logits, outputs = self._laid_out().read(tree)
            else:
                logits, outputs = tree_logits(self.network, tree, self._dtype, records)
            actions = _normalised(logits)
            chosen = actions[tree.nodes[valid], tokens[valid]]
            return Forward(
                torch.zeros(tokens.shape).masked_scatter(valid, chosen),
                _finite(actions)[tree.nodes] if distribution else None,
                outputs.detach().float()[tree.nodes] if states else None,
            )
        logits, outputs = self._by_step(tokens)
        actions = _normalised(logits).transpose(0, 1)
        chosen = actions.gather(2, tokens[:, :, None])[:, :, 0].masked_fill(~valid, 0.0)
        return Forward(
            chosen,
            _finite(actions) if distribution else None,
            outputs.detach().float().transpose(0, 1) if states else None,
        )

    def _has_read(self, tokens: Tensor, reading: Reading) -> bool:
        """Whether a reading is of these tokens, and of the network as it is; dropout makes it another."""
        same = torch.equal(reading.tokens, tokens) and torch.equal(reading.weights, fingerprint(self.network))
        return same and not self.network.rnn.dropout

    def draw(
        self,
        n: int,
        *,
        seed: int,
        first_index: int = 0,
        temperature: float = 1.0,
        top_p: float = 1.0,
        max_length: int = MAX_LENGTH,
        along: Tensor | None = None,
        beginnings: Sequence[Sequence[int]] | None = None,
    ) -> Sequences:
        """n sequences; the i-th depends on the weights, the seed and first_index + i alone.

        So it does to the bit on a processor with oneDNN's products. Elsewhere the size of the batch may
        change the last bit of a logit, and so, seldom, a token: only the same n then repeats for certain.

        Args:
            along: (R, T) tokens to be read in the same steps, where that can be done: the result then has a
                reading, which spares `log_probs` of both, one behind the other, its forward pass.
            beginnings: n, as tokens without an end: each sequence goes on from its own.

        Raises:
            ValueError: temperature not positive and finite, or top_p outside (0, 1].
        """
        if not 0 < temperature < math.inf or not 0 < top_p <= 1:
            raise ValueError("temperature must be positive and top_p within (0, 1]")
        draw: Callable[..., Sequences]
        if beginnings is not None:
            # Captured graphs know no tokens but their own.
            draw = partial(sampler.draw, self._laid_out(), beginnings=pad(beginnings).to(self.device))
        elif self.device.type == "cuda":
            draw = self._captured().draw
        else:
            draw = partial(sampler.draw, self._laid_out())
            if along is not None and self._reads_along(n, along, max_length):
                draw = partial(draw, along=F.pad(along, (0, max_length - along.shape[1]), value=PAD_INDEX))
        return draw(
            n,
            seed=seed,
            first_index=first_index,
            temperature=temperature,
            top_p=top_p,
            max_length=max_length,
        )

    def _laid_out(self) -> InferenceNetwork:
        """The network for drawing with the weights of now: kept as long as they stay the same."""
        packed = self._packed
        known = packed is not None and (packed.device, packed.dtype) == (self.device, self._dtype)
        if packed is None or not known or not torch.equal(packed.weights, fingerprint(self.network)):
            packed = InferenceNetwork(self.network, half_precision=self.half_precision)
            self._packed = packed
        return packed

    @torch.inference_mode(mode=False)  # of tensors made in it none could be refreshed outside of it
    def _captured(self) -> Ladder:
        """What draws on a GPU, with the weights of now: captured once, where they stay."""
        ladder = self._ladder
        if ladder is None or (ladder.network.device, ladder.network.dtype) != (self.device, self._dtype):
            network = InferenceNetwork(self.network, half_precision=self.half_precision)
            self._ladder = ladder = Ladder(network, capture=cuda_graphs(self.device))
        else:
            ladder.network.refresh(self.network)
        return ladder

    def sample(self, n: int, *, seed: int, **options: Any) -> Trajectories:
        """As `draw`, with log-probabilities: recomputed in the precision of training, which may be higher.

        Args:
            options: those of `draw`.
        """
        drawn = self.draw(n, seed=seed, **options)
        log_probs = self.score(drawn.tokens)
        reshaped = drawn.reshaped_log_probs
        return Trajectories(
            tokens=drawn.tokens,
            reshaped_log_probs=None if reshaped is None else reshaped.to(log_probs.dtype),
            log_probs=log_probs,
        )

    @torch.no_grad()
    def score(self, tokens: Tensor) -> Tensor:
        """(B, T) nats, as log_probs but without a gradient and in batches of one length."""
        was_training = self.network.training
        self.network.eval()
        out = torch.zeros(tokens.shape, dtype=torch.float32, device=self.device)
        lengths = (tokens != PAD_INDEX).sum(1)
        order = lengths.argsort(stable=True)
        for start in range(0, len(tokens), _SCORE_BATCH):
            rows = order[start : start + _SCORE_BATCH]
            width = max(1, int(lengths[rows].max()))
            out[rows, :width] = self.log_probs(tokens[rows, :width])
            if len(tokens) > _SCORE_BATCH:
                # Batches differ in size, and what one frees does not fit the next: kept, it would pile up.
                give_back_memory()
        self.network.train(was_training)
        return out

    def encode(self, smiles: Sequence[str]) -> Tensor:
        """(B, T) int64 tokens of SMILES, on the policy's device.

        Raises:
            DataError: a token that is not in the vocabulary.
        """
        return pad([self.tokenizer.encode(text) for text in smiles]).to(self.device)

    def nll(self, smiles: Sequence[str]) -> np.ndarray:
        """(n,) nats: the negative log-likelihood of each SMILES as written; NaN if a token is unknown."""
        out = np.full(len(smiles), np.nan)
        known = [i for i, text in enumerate(smiles) if self.tokenizer.knows(text)]
        if known:
            tokens = self.encode([smiles[i] for i in known])
            out[known] = -self.score(tokens).sum(1).cpu().numpy()
        return out

    def decode(self, sequences: Sequences) -> list[str]:
        """The SMILES of each sequence; the empty string for one that never ended."""
        rows = sequences.tokens.cpu().tolist()
        done = sequences.finished.cpu().tolist()
        return [
            self.tokenizer.decode(row) if finished else "" for row, finished in zip(rows, done, strict=True)
        ]


def _normalised(logits: Tensor) -> Tensor:
    """(..., V) nats: of each action; -inf for pad and start."""
    return F.log_softmax(mask_unspeakable(logits.float()), -1)


def _finite(actions: Tensor) -> Tensor:
    """Nats of actions (..., V), those of probability 0 finite, so that 0 times them is 0."""
    return actions.masked_fill(actions.isinf(), _NEVER)
