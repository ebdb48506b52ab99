"""Docking: a real ligand where dockstring is installed; else a stand-in shows what becomes of its faults."""

import importlib.util
import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from moldesign.chem.molecules import read
from moldesign.errors import RewardError, UsageError
from moldesign.rewards.docking import Docking, DockingParameters, docking
from moldesign.rewards.external import ScorerError
from moldesign.rewards.objective import Objective
from moldesign.rewards.vina import protonate

#: Scores the length of the SMILES, negative; prints, hangs, dies and finds no pose where it is told to.
STAND_IN = """
import json, os, pathlib, sys, time
__version__ = "0"
def list_all_target_names(targets_dir=None):
    return [p.name.removesuffix("_target.pdbqt") for p in pathlib.Path(targets_dir).glob("*_target.pdbqt")]
class Target:
    def __init__(self, name, working_dir, targets_dir):
        self.conf = (pathlib.Path(targets_dir) / (name + "_conf.txt")).read_text()
        self.receptor = (pathlib.Path(targets_dir) / (name + "_target.pdbqt")).read_text()
        self.working_dir = working_dir
    def dock(self, smiles, num_cpus, seed):
        print("not an answer")
        os.system("echo nor this")
        with open(os.environ["DOCKED"], "a") as handle:
            told = [smiles, num_cpus, seed, self.conf, self.receptor, self.working_dir]
            handle.write(json.dumps(told) + "\\n")
        if "Br" in smiles:
            raise ValueError("no such atom type")
        if "I" in smiles:
            os.kill(os.getpid(), 9)
        if "Cl" in smiles:
            time.sleep(600)
        return (None, {}) if "F" in smiles else (-float(len(smiles)), {})
load_target = Target
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A stand-in for dockstring, for obabel, and a folder with a protein called P1."""
    package, programs, proteins = tmp_path / "lib" / "dockstring", tmp_path / "bin", tmp_path / "proteins"
    for directory in (package, programs, proteins):
        directory.mkdir(parents=True)
    (package / "__init__.py").write_text(STAND_IN)
    (package / "utils.py").write_text(f"def get_targets_dir(): return {str(proteins)!r}\n")
    (programs / "obabel").write_text("#!/bin/sh\n")
    (programs / "obabel").chmod(0o755)
    (proteins / "P1_target.pdbqt").write_text("ATOM")
    (proteins / "P1_conf.txt").write_text("center_x = 1\nexhaustiveness = 64")
    _forget_dockstring()
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DOCKED", str(tmp_path / "docked"))
    yield tmp_path
    _forget_dockstring()


def _forget_dockstring() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "dockstring"]:
        del sys.modules[name]


def docker(**parameters: Any) -> Docking:
    reward = docking(DockingParameters.model_validate({"target": "P1", **parameters}))
    assert isinstance(reward, Docking)
    return reward


def test_scores_are_those_of_the_protein_as_prepared(stand_in: Path) -> None:
    reward = docker(exhaustiveness=3, seed=7, cpus=2)
    assert reward([read("CCO"), read("CCCO")]).tolist() == [-3, -4]
    assert reward([]).shape == (0,)
    line = (stand_in / "docked").read_text().splitlines()[0]
    assert line.startswith('["CCO", 2, 7, "center_x = 1\\nexhaustiveness = 3\\n", "ATOM", ')
    where = Path(line.split('"')[-2])
    assert where.is_dir()
    del reward
    assert not where.exists()


def test_ligands_that_cannot_be_docked_fail_alone_and_none_is_docked_twice(stand_in: Path) -> None:
    mols = [read(s) for s in ["CCO", "CCBr", "CCF", "CCI", "CCCC", "C$C"]]
    scores = Objective.of(docker()).evaluate(mols)
    np.testing.assert_array_equal(scores.score, [-3, np.nan, np.nan, np.nan, -4, -3])
    whys = ["", "ValueError: no such atom type", "Vina found no pose", "scorer ended", "", ""]
    for why, reason in zip(whys, scores.reasons, strict=True):
        assert (why in reason and "ScorerError" in reason) if reason else not why
    assert len((stand_in / "docked").read_text().splitlines()) == 6


def test_files_that_lie_where_the_run_starts_are_not_imported(
    stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = stand_in / "here"
    here.mkdir()
    for name in ("json", "random", "dockstring", "moldesign"):
        (here / f"{name}.py").write_text(f"open({str(stand_in / 'marker')!r}, 'a').write({name!r})")
    monkeypatch.chdir(here)
    assert docker()([read("CCO")]).tolist() == [-3]
    assert not (stand_in / "marker").exists()


def test_a_ligand_that_takes_too_long(stand_in: Path) -> None:
    reward = docker(timeout_s=1.5)
    reward([read("C")])
    started = time.monotonic()
    with pytest.raises(ScorerError, match="no answer within 1.5 s"):
        reward([read("CCCl")])
    assert time.monotonic() - started < 60
    assert reward([read("CC")]).tolist() == [-2]


def test_what_identifies_the_protein(stand_in: Path) -> None:
    before = docker().fingerprint
    assert docker().fingerprint == before
    (stand_in / "proteins" / "P1_conf.txt").write_text("center_x = 2\n")
    assert docker().fingerprint != before


@pytest.mark.parametrize("line", ["out = /tmp/owned", "log=x", "center_x = 1; id", "write_maps = 1", "\x00"])
def test_a_configuration_with_more_than_a_search_box(stand_in: Path, line: str) -> None:
    box = stand_in / "proteins" / "P1_conf.txt"
    box.write_text(f"# DRD2\ncenter_x = -9.25\r\n\nsize_x=3e1 # A\nnum_modes = 1\n{line}\n")
    with pytest.raises(UsageError, match=r"P1_conf.txt, line 6: a search box has lines such as"):
        docker()
    box.write_text(box.read_text().replace(line, ""))
    assert docker()([read("CCO")]).tolist() == [-3]


def test_dockstring_gets_no_shell(stand_in: Path) -> None:
    package = stand_in / "lib" / "dockstring" / "__init__.py"
    hostile = 'subprocess.run(f"touch {smiles}", shell=True, check=False)'
    package.write_text("import subprocess\n" + STAND_IN.replace('print("not an answer")', hostile))
    with pytest.raises(ScorerError, match="ValueError: dockstring asks for a shell, which it is not given"):
        docker()([read("CCO")])
    assert not Path("CCO").exists()


@pytest.mark.skipif(shutil.which("obabel") is None, reason="needs Open Babel")
def test_open_babel_reads_the_smiles_as_they_are() -> None:
    # A shell would read `$C` as a variable, which is empty.
    for smiles, charged in [("CC(=O)O", "[O-]C(=O)C"), ("C$C", "C$C"), (r"F/C=C\F", r"F/C=C\F")]:
        assert protonate(smiles, 7.4) == charged
    with pytest.raises(ValueError, match="cannot protonate"):
        protonate("rubbish", 7.4)


def test_proteins_that_are_not_there(stand_in: Path) -> None:
    with pytest.raises(UsageError, match="no protein 'P2' in .*; did you mean 'P1'?"):
        docker(target="P2")
    own = stand_in / "own"
    own.mkdir()
    with pytest.raises(UsageError, match=r"no protein 'P1' in .*own \(there are: none\)"):
        docker(directory=str(own))
    (own / "P1_target.pdbqt").write_text("ATOM")
    with pytest.raises(UsageError, match="no search box: .*P1_conf.txt is missing"):
        docker(directory=str(own))


def test_open_babel_must_be_there(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(stand_in))
    with pytest.raises(RewardError, match="apt-get install openbabel"):
        docker()


def test_dockstring_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dockstring", None)
    with pytest.raises(RewardError, match=r"pip install 'moldesign-rl\[docking\]'"):
        docker()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"target": "../../etc/passwd"}, "match pattern"),
        ({"target": "P1", "directory": "/no/such"}, "no such directory: /no/such"),
        ({"target": "P1", "exhaustiveness": 0}, "greater than or equal to 1"),
        ({"target": "P1", "timeout_s": 0.0}, "greater than 0"),
    ],
)
def test_parameters_that_cannot_be(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DockingParameters.model_validate(parameters)


@pytest.mark.skipif(
    importlib.util.find_spec("dockstring") is None or shutil.which("obabel") is None,
    reason="needs the extra docking, and Open Babel",
)
def test_a_real_ligand_binds() -> None:
    toml = textwrap.dedent("""
        [[components]]
        reward = "docking"
        cache = false
        parameters = { target = "DRD2", exhaustiveness = 1 }
        shaping = { kind = "reverse_sigmoid", low = -12, high = -4 }
        """)
    scores = Objective.from_toml(toml).evaluate([read("CC(=O)Nc1ccc(O)cc1"), read("CCO.CC")])
    # Paracetamol: -6.5 kcal/mol with dockstring 0.3.4 and its Vina on Linux, x86-64.
    assert scores.raw["docking"][0] == pytest.approx(-6.5, abs=0.3)
    assert scores.reasons[0] is None
    assert "Incorrect number of molecular fragments" in str(scores.reasons[1])


def test_the_objective_in_the_document_docks(stand_in: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "docking.md").read_text(encoding="utf-8")
    (toml,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    for name in ("target.pdbqt", "conf.txt"):
        (stand_in / "proteins" / f"P1_{name}").rename(stand_in / "proteins" / f"DRD2_{name}")
    objective = Objective.from_toml(toml.replace('reward = "docking"', 'reward = "docking"\ncache = false'))
    scores = objective.evaluate([read("CC(=O)Nc1ccc(NC)cc1")])
    assert scores.raw["docking"].tolist() == [-19]
    assert scores.reasons == [None]
