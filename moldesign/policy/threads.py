"""How many threads torch uses."""

from __future__ import annotations

import os

import torch

from moldesign.limits import usable_processors

_settled = False


def use_threads(threads: int | None) -> None:
    """Let torch use so many threads; None: as `settle_threads`."""
    global _settled
    if threads is None:
        settle_threads()
    else:
        torch.set_num_threads(threads)
        _settled = True


def settle_threads() -> None:
    """Take from torch the threads for which this process has no processor, the first time that it is called.

    torch counts the cores of the machine and knows nothing of a control group's quota; threads beyond it
    wait for each other. OMP_NUM_THREADS, by which a user or torchrun divides a machine, is obeyed, and so is
    what is set after the first call.
    """
    global _settled
    if _settled:
        return
    _settled = True
    if not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(min(torch.get_num_threads(), usable_processors()))
