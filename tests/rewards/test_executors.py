import os
import signal
import subprocess
import sys
import time
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


def test_workers_leave_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "score.py"
    script.write_text(
        "import time\n"
        "from moldesign.chem.molecules import read\n"
        "from moldesign.rewards.executors import ObjectivePool\n"
        "from moldesign.rewards.objective import load_objective\n"
        "if __name__ == '__main__':\n"
        "    pool = ObjectivePool(load_objective('qed'), 2)\n"
        "    pool.evaluate([read('C' * n) for n in range(1, 9)])\n"
        "    print(*pool._pool._processes, flush=True)\n"
        "    time.sleep(300)\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        workers = [int(pid) for pid in process.stdout.readline().split()]
        assert workers
        assert all(Path(f"/proc/{pid}").exists() for pid in workers)
        process.kill()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and any(map(_runs, workers)):
        time.sleep(0.05)
    assert not any(map(_runs, workers))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


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
