"""smiles-rnn, the peer that is timed beside this package, with the same weights.

Thomas et al., Augmented Hill-Climb increases reinforcement learning efficiency for language-based de novo
molecule generation, J. Cheminformatics 14, 68 (2022). Its sampler and its REINVENT are those of the REINVENT
line of programs: a call of nn.GRU a token, in float32.
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moldesign.benchmarks.work import LEARNING_RATE, SIGMA, WARM_UP, Drawing, by_median_step
from moldesign.chem.descriptors import qed
from moldesign.chem.molecules import parse
from moldesign.errors import UsageError
from moldesign.language.tokenizer import END_INDEX, PAD_INDEX, START_INDEX
from moldesign.policy.policy import MAX_LENGTH, Policy

_PACKAGE = "smiles-rnn"
#: In the peer's vocabulary the end is token 0, which pads too, and the start is token 1.
_END, _START = 0, 1
_CPU = torch.device("cpu")


def peer() -> str:
    """The peer's name and version, as tables have it.

    Raises:
        UsageError: it is not installed.
    """
    try:
        with warnings.catch_warnings():  # its import silences those of every package
            import smilesrnn  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"--peers needs the package {_PACKAGE} ({error}): pip install 'moldesign-rl[peers]'"
        ) from None
    warnings.filterwarnings("ignore", module=r"smilesrnn\.")
    return f"{_PACKAGE} {metadata.version(_PACKAGE)}"


def peer_indices(vocabulary_size: int) -> list[int]:
    """Our index of each token of the peer's vocabulary: the end comes first, padding where the end was."""
    order = list(range(vocabulary_size))
    order[_END], order[END_INDEX] = END_INDEX, PAD_INDEX
    assert order[_START] == START_INDEX
    return order


def peer_of(policy: Policy, *, trained: bool = True) -> Any:
    """smilesrnn.rnn.Model of the same weights, on the processor, over the same tokens.

    It draws MAX_LENGTH tokens at most, and never the start or the padding of here: their biases are -inf.

    Args:
        trained: let the end follow the end, as a prior does that the peer has trained; its sampler
            goes on writing until all of a batch write nothing but that. Ours was trained without.
    """
    from smilesrnn.rnn import Model
    from smilesrnn.vocabulary import SMILESTokenizer, Vocabulary

    order = peer_indices(len(policy.tokenizer))
    tokens = [policy.tokenizer.vocabulary[i] for i in order]
    tokens[_END], tokens[_START] = "$", "^"
    shape = policy.network.architecture
    model = Model(
        Vocabulary({token: i for i, token in enumerate(tokens)}),
        SMILESTokenizer(),
        {
            "cell_type": shape.cell,
            "num_layers": shape.layers,
            "layer_size": shape.hidden_size,
            "embedding_layer_size": shape.embedding_size,
        },
        max_sequence_length=MAX_LENGTH + 1,  # the start token with them
        device=_CPU,
    )
    ours = {name: weights.detach().cpu() for name, weights in policy.network.state_dict().items()}
    bias = ours["head.bias"][order]
    bias[[_START, END_INDEX]] = -torch.inf
    weights = {
        "_embedding.weight": ours["embedding.weight"][order],
        "_linear.weight": ours["head.weight"][order],
        "_linear.bias": bias,
        **{f"_{name}": tensor.clone() for name, tensor in ours.items() if name.startswith("rnn.")},
    }
    model.network.load_state_dict(weights)
    if trained:
        model.network.register_forward_hook(_end_follows_end)
    return model


def _end_follows_end(_: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Any, Any]) -> Any:
    """What the network says, and after an end that the end comes next, for certain."""
    logits, values, state = output
    nothing_else = logits.new_full((logits.shape[-1],), -torch.inf)
    nothing_else[_END] = 0.0
    return torch.where((inputs[0] == _END).unsqueeze(-1), nothing_else, logits), values, state


def drawing(policy: Policy, batch: int) -> Drawing:
    """The peer's way to draw, as its script `sample_model.py` does, without a gradient."""
    model = peer_of(policy)
    model.network.eval().requires_grad_(False)

    def draw() -> list[str]:
        smiles, _ = model.sample_smiles(num=batch, batch_size=batch)
        return [str(text) for text in smiles]

    return Drawing(draw)


class Training:
    """The loop of the peer's script `train_prior.py`: random batches, float32, Adam."""

    def __init__(self, policy: Policy, smiles: Sequence[str], batch: int, *, steps: int) -> None:
        from smilesrnn.dataset import Dataset

        self._model = peer_of(policy, trained=False)
        self._steps = steps
        dataset = Dataset(smiles, self._model.vocabulary, self._model.tokenizer)
        self._batches = torch.utils.data.DataLoader(
            dataset, batch_size=batch, shuffle=True, collate_fn=Dataset.collate_fn
        )
        self._optimizer = torch.optim.Adam(self._model.network.parameters(), lr=1e-3)

    def rate(self) -> float:
        """Tokens a second, padding and start not counted."""
        batches = iter(self._batches)
        for _ in range(WARM_UP):
            self._step(next(batches))
        tokens = 0
        started = time.perf_counter()
        for _ in range(self._steps):
            tokens += self._step(next(batches))
        return tokens / (time.perf_counter() - started)

    def _step(self, batch: Tensor) -> int:
        loss = self._model.likelihood(batch.long()).mean()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        # A row has one start, which nobody predicts, and one end, which is 0 as padding is.
        return int((batch != _END).sum())


def reinforce(policy: Policy, batch: int, *, steps: int, folder: Path) -> float:
    """Steps a second of the peer's REINVENT towards QED, by the median step.

    QED is the function that ours calls, and as for ours the score of what is no molecule is 0.
    """
    import smilesrnn.rnn
    import smilesrnn.vocabulary
    from smilesrnn.RL import Reinvent

    path = folder / "prior.ckpt"
    peer_of(policy, trained=False).save(str(path))
    # It pickles these beside the weights, and torch from 2.6 on reads them only if told so.
    known = [smilesrnn.vocabulary.Vocabulary, smilesrnn.vocabulary.SMILESTokenizer, re._compile]  # type: ignore[attr-defined]
    with torch.serialization.safe_globals(known):
        strategy = Reinvent(
            device=_CPU,
            model="RNN",
            agent=str(path),
            scoring_function=_scores,
            save_dir=str(folder),
            optimizer=torch.optim.Adam,
            learning_rate=LEARNING_RATE,
            is_molscore=False,
            batch_size=batch,
            sigma=SIGMA,
        )
    for one in (strategy.agent, strategy.prior):
        one.max_sequence_length = MAX_LENGTH + 1
        one.network.register_forward_hook(_end_follows_end)
    stamps = []
    for step in range(WARM_UP + steps):
        strategy._train_step(step)
        stamps.append(time.perf_counter())
    return by_median_step(stamps)


def _scores(smiles: Sequence[str], _: int) -> np.ndarray:
    """(n,) float32: QED of each SMILES; 0 for what is no molecule."""
    mols = [parse(text) for text in smiles]
    return np.array([0.0 if mol is None else qed(mol) for mol in mols], dtype=np.float32)
