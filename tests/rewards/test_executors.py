import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from moldesign.chem.molecules import read
from moldesign.errors import UsageError
from moldesign.rewards.executors import ObjectivePool
from moldesign.rewards.objective import Objective, load_objective

MOLS = [read("C" * n + "O") for n in range(1, 8)]


@pytest.fixture(scope="module")
def objective() -> Objective:
    return load_objective("druglike")


@pytest.fixture(scope="module")
def pool(objective: Objective) -> Iterator[ObjectivePool]:
    with ObjectivePool(objective, workers=1) as started:
        yield started


def test_a_pool_answers_as_the_objective_does(pool: ObjectivePool, objective: Objective) -> None:
    assert pool.labels == objective.labels
    ours, theirs = pool.evaluate(MOLS), objective.evaluate(MOLS)
    np.testing.assert_array_equal(ours.score, theirs.score)
    for label in objective.labels:
        np.testing.assert_array_equal(ours.raw[label], theirs.raw[label])
        np.testing.assert_array_equal(ours.shaped[label], theirs.shaped[label])
    assert ours.reasons == theirs.reasons
    assert pool.evaluate([]).score.shape == (0,)


def test_a_pool_whose_workers_were_killed_is_made_anew(pool: ObjectivePool, objective: Objective) -> None:
    pool.evaluate(MOLS[:1])
    assert pool._pool is not None
    for pid in list(pool._pool._processes or {}):
        os.kill(pid, signal.SIGKILL)
    np.testing.assert_array_equal(pool.evaluate(MOLS).score, objective.evaluate(MOLS).score)


def test_a_molecule_that_kills_a_worker_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A reward installed as a plugin, since a function of ours could not travel to a worker.
    (tmp_path / "deadly_plugin.py").write_text(
        "import os\n\ndef deadly(smiles):\n    return [os.abort() if s == 'CCCO' else 0.5 for s in smiles]\n"
    )
    installed = tmp_path / "deadly_plugin-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: deadly-plugin\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[moldesign.rewards]\ndeadly = deadly_plugin:deadly\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    objective = Objective.from_toml('[[components]]\nreward = "deadly"\n')
    with ObjectivePool(objective, workers=1) as pool:
        scores = pool.evaluate(MOLS[:4])
    np.testing.assert_array_equal(scores.score, [0.5, 0.5, np.nan, 0.5])
    assert scores.reasons == [None, None, "killed the worker process", None]


def test_a_python_function_cannot_travel() -> None:
    with pytest.raises(UsageError, match="Python function"):
        ObjectivePool(load_objective(lambda smiles: [1.0 for _ in smiles]), workers=1)
