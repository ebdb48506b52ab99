"""TensorBoard events of a training or of a run."""

from __future__ import annotations

from typing import Any

from moldesign.errors import UsageError


def summary_writer() -> Any:
    """The class that writes events.

    Raises:
        UsageError: the package tensorboard is missing.
    """
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError:
        raise UsageError(
            "--tensorboard needs the package tensorboard: pip install 'moldesign-rl[tensorboard]'"
        ) from None
    return SummaryWriter
