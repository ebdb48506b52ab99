"""The stochastic policy: writes SMILES and knows how likely each one was."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from moldesign.language.batches import pad
from moldesign.language.tokenizer import END_INDEX, PAD_INDEX, START_INDEX, Tokenizer
from moldesign.policy import sampler
from moldesign.policy.network import Network, autocast_dtype
from moldesign.policy.settings import Architecture
from moldesign.policy.trajectories import Trajectories, valid_steps

MAX_LENGTH = 140  # tokens; the longest molecule of the shipped corpora has 106
_DRAW_BATCH = 1024
_SCORE_BATCH = 256


class Policy:
    """A network with its vocabulary.

    Args:
        half_precision: multiply in bfloat16 where the device does that in hardware.
    """

    def __init__(self, network: Network, tokenizer: Tokenizer, *, half_precision: bool = True) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.half_precision = half_precision

    @classmethod
    def fresh(cls, architecture: Architecture, tokenizer: Tokenizer, *, seed: int = 0) -> Policy:
        """A policy of random weights that the seed fixes."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(Network(architecture, len(tokenizer)), tokenizer)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str) -> Policy:
        """This policy, its network moved to the device."""
        self.network.to(device)
        return self

    def clone(self) -> Policy:
        """An independent policy of the same weights: how an agent begins from its prior."""
        return Policy(copy.deepcopy(self.network), self.tokenizer, half_precision=self.half_precision)

    def logits(self, tokens: Tensor) -> Tensor:
        """(T, B, V) float32: of each action of (B, T) tokens given those before; -inf for pad and start."""
        actions = tokens.t()
        start = torch.full_like(actions[:1], START_INDEX)
        inputs = torch.cat([start, actions[:-1]])
        dtype = autocast_dtype(self.device) if self.half_precision else None
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            logits, _ = self.network(inputs)
        return sampler.mask_unspeakable(logits.float())

    def log_probs(self, tokens: Tensor) -> Tensor:
        """(B, T) nats: log pi(a_t | s_t), differentiable; zero after the end token."""
        logits = self.logits(tokens)
        losses = F.cross_entropy(
            logits.flatten(0, 1), tokens.t().flatten(), ignore_index=PAD_INDEX, reduction="none"
        )
        return -losses.view(tokens.t().shape).t()

    def sample(
        self,
        n: int,
        *,
        seed: int,
        first_index: int = 0,
        temperature: float = 1.0,
        top_p: float = 1.0,
        max_length: int = MAX_LENGTH,
    ) -> Trajectories:
        """n sequences; the i-th depends on the weights, the seed and first_index + i alone.

        In bfloat16 the size of the batch may change the last bit of a logit, and so, seldom, a token:
        only the same n then gives the same sequences for certain.

        The log-probabilities are recomputed in the precision of training, since drawing may run
        in a lower one; those of the reshaped distribution are kept apart.

        Raises:
            ValueError: temperature not positive and finite, or top_p outside (0, 1].
        """
        if not 0 < temperature < math.inf or not 0 < top_p <= 1:
            raise ValueError("temperature must be positive and top_p within (0, 1]")
        fast = sampler.inference_copy(self.network, half_precision=self.half_precision)
        # The empty first batch gives n = 0 its shape.
        tokens = [torch.full((0, 1), PAD_INDEX, dtype=torch.int64, device=self.device)]
        drawing = [torch.zeros((0, 1), dtype=torch.float64, device=self.device)]
        for start in range(0, n, _DRAW_BATCH):
            size = min(_DRAW_BATCH, n - start)
            u = sampler.uniforms(seed, first_index + start, size, max_length)
            batch_tokens, batch_drawing = sampler.draw(fast, u, temperature=temperature, top_p=top_p)
            tokens.append(batch_tokens)
            drawing.append(batch_drawing)
        width = max(batch.shape[1] for batch in tokens)
        all_tokens = torch.cat([F.pad(b, (0, width - b.shape[1]), value=PAD_INDEX) for b in tokens])
        log_probs = self.score(all_tokens)
        plain = temperature == 1.0 and top_p == 1.0
        all_drawing = torch.cat([F.pad(b, (0, width - b.shape[1])) for b in drawing]).to(log_probs.dtype)
        return Trajectories(
            tokens=all_tokens,
            valid_steps=valid_steps(all_tokens),
            log_probs=log_probs,
            drawing_log_probs=log_probs if plain else all_drawing,
            finished=(all_tokens == END_INDEX).any(1),
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

    def decode(self, trajectories: Trajectories) -> list[str]:
        """The SMILES of each sequence; the empty string for one that never ended."""
        rows = trajectories.tokens.cpu().tolist()
        done = trajectories.finished.cpu().tolist()
        return [
            self.tokenizer.decode(row) if finished else "" for row, finished in zip(rows, done, strict=True)
        ]
