from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import moldesign
from moldesign.policy import threads
from moldesign.policy.threads import settle_threads, use_threads


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a process that has only begun, with two threads of torch and one processor for them."""
    before, affinity = torch.get_num_threads(), os.sched_getaffinity(0)
    monkeypatch.setattr(threads, "_settled", False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(2)
    os.sched_setaffinity(0, [min(affinity)])
    yield
    os.sched_setaffinity(0, affinity)
    torch.set_num_threads(before)


def test_threads_without_a_processor_are_taken_away_once(fresh: None) -> None:
    settle_threads()
    assert torch.get_num_threads() == 1
    torch.set_num_threads(2)
    settle_threads()
    assert torch.get_num_threads() == 2, "what the user sets later stands"


def test_threads_are_never_added(fresh: None) -> None:
    torch.set_num_threads(1)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    use_threads(None)
    assert torch.get_num_threads() == 1


def test_what_was_asked_for_stands(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    use_threads(2)
    settle_threads()
    assert torch.get_num_threads() == 2
    monkeypatch.setattr(threads, "_settled", False)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    settle_threads()
    assert torch.get_num_threads() == 2


def test_sampling_from_python_uses_the_processors_that_there_are(fresh: None, small_prior: Path) -> None:
    moldesign.sample(str(small_prior), n=2)
    assert torch.get_num_threads() == 1
