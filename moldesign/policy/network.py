"""The recurrent network: (tokens, state) -> (logits, state)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from moldesign.language.tokenizer import PAD_INDEX, START_INDEX
from moldesign.policy.settings import Architecture

State = Tensor | tuple[Tensor, Tensor]


class Network(nn.Module):
    """Embedding, GRU or LSTM, and a linear head over the vocabulary."""

    def __init__(self, architecture: Architecture, vocabulary_size: int) -> None:
        super().__init__()
        self.architecture = architecture
        weight = torch.empty(vocabulary_size, architecture.embedding_size)
        # Without values (on the device meta) there are none to draw; torch would import its compiler for
        # that, which takes as long as torch itself.
        if not weight.is_meta:
            nn.init.normal_(weight)
        self.embedding = nn.Embedding.from_pretrained(weight, freeze=False)
        cell = {"gru": nn.GRU, "lstm": nn.LSTM}[architecture.cell]
        self.rnn = cell(
            architecture.embedding_size,
            architecture.hidden_size,
            num_layers=architecture.layers,
        )
        self.head = nn.Linear(architecture.hidden_size, vocabulary_size)

    def use_dropout(self, wanted: bool) -> None:
        """Turn the architecture's dropout between layers on; a network begins without.

        Apart from train() and eval(), since CUDA differentiates recurrent layers in training mode only,
        and an agent that is optimised must be the policy that it draws from.
        """
        self.rnn.dropout = self.architecture.dropout if wanted and self.architecture.layers > 1 else 0.0

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits of the next token and the state after the last one.

        Args:
            tokens: (T, B) int64, time first: what the recurrent kernels read without a copy.
            state: the state before the first token; None for zeros.

        Returns:
            logits: (T, B, V); state: (layers, B, hidden), a pair of them for an LSTM.
        """
        outputs, state = self.rnn(self.embedding(tokens), state)
        return self.head(outputs), state


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """bfloat16 where the device multiplies it in hardware, else None (full precision)."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    if (
        device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    ):
        return torch.bfloat16
    return None


def mask_unspeakable(logits: Tensor) -> Tensor:
    """Logits (..., V) with padding and start at -inf: no policy ever writes them."""
    mask = torch.zeros(logits.shape[-1], dtype=torch.bool, device=logits.device)
    mask[PAD_INDEX] = mask[START_INDEX] = True  # one by one: a list would have to be copied to the device
    return logits.masked_fill(mask, float("-inf"))
