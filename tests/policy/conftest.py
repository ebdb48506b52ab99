import lzma
from collections.abc import Iterator
from itertools import islice, product

import pytest
import torch

from moldesign.assets import corpora
from moldesign.language.tokenizer import SPECIALS, Tokenizer
from moldesign.policy.policy import Policy
from moldesign.policy.settings import Architecture


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    # Such small networks gain nothing from more, and two wait for each other where another process is busy.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["gru", "lstm"])
def tiny(request: pytest.FixtureRequest) -> Policy:
    """A policy over the atoms C, N and O, in full precision, far from uniform."""
    shape = Architecture(cell=request.param, layers=2, hidden_size=8, embedding_size=4)
    policy = Policy.fresh(shape, Tokenizer([*SPECIALS, "C", "N", "O"]), seed=3)
    policy.half_precision = False
    with torch.no_grad():
        for parameter in policy.network.parameters():
            parameter.mul_(3)
    return policy


@pytest.fixture(scope="session")
def short_molecules() -> list[str]:
    """The 300 shortest of the first 1,500 molecules of ZINC250k."""
    with lzma.open(corpora()["zinc250k"], "rt", encoding="ascii") as handle:
        return sorted((line.strip() for line in islice(handle, 1500)), key=len)[:300]


@pytest.fixture(scope="session")
def chains() -> list[str]:
    """117 chains of two to four atoms: a corpus that a training reads in no time."""
    return ["".join(atoms) for n in (2, 3, 4) for atoms in product("CNO", repeat=n)]
