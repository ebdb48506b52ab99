"""What tests of several rooms share."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import hypothesis
import pytest
import torch

from moldesign.language.tokenizer import END_INDEX, SPECIALS, Tokenizer
from moldesign.policy.checkpoint import Provenance, save_policy
from moldesign.policy.policy import Policy
from moldesign.policy.settings import Architecture

# The networks of the tests are small, and threads that wait for each other on a busy machine are slow: here
# and in the commands that tests start.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

# What is kept for later runs is not the user's, and no test lives on what another run of them left there.
_HOME = tempfile.TemporaryDirectory(prefix="moldesign-tests-")
os.environ["MOLDESIGN_HOME"] = _HOME.name

# The same examples every time, few of them; HYPOTHESIS_PROFILE=thorough looks further, elsewhere each time.
hypothesis.settings.register_profile(
    "ci", derandomize=True, max_examples=60, deadline=None, database=None, print_blob=False
)
hypothesis.settings.register_profile("thorough", max_examples=2000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

#: Letter of the small prior -> its part of the next letters; what is left of one ends the molecule.
_SHARES = {"C": 0.50, "N": 0.16, "O": 0.16, "(": 0.03, ")": 0.03, "=": 0.03}

#: The files that take longest: begun last they would keep one worker busy while the other has nothing to do.
_LONGEST = ("test_docs.py", "test_resume.py", "test_gradients.py", "test_training.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest. Within a file the order stays (with --no-loadscope-reorder)."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name what is bytes by its argument: some hold the second in which they were made, as gzip writes it."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def small_prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy file that loads at once and writes chains of C, N and O, some of them invalid."""
    policy = Policy.fresh(
        Architecture(layers=1, hidden_size=8, embedding_size=4), Tokenizer([*SPECIALS, *_SHARES]), seed=1
    )
    with torch.no_grad():
        bias = policy.network.head.bias
        bias[len(SPECIALS) :] = torch.tensor(list(_SHARES.values())).log()
        bias[END_INDEX] = torch.tensor(1.0 - sum(_SHARES.values())).log()
    path = tmp_path_factory.mktemp("prior") / "small.safetensors"
    save_policy(policy, path, Provenance(name="small"))
    return path
