"""Docking into a protein with AutoDock Vina, prepared and run by dockstring."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field, field_validator

from moldesign.chem.molecules import Mol, to_smiles
from moldesign.errors import RewardError, UsageError, nearest
from moldesign.files import sha256
from moldesign.rewards.entry import Entry
from moldesign.rewards.external import ExternalScorer, Patience, ScorerError
from moldesign.rewards.extras import extra
from moldesign.rewards.interpreters import call
from moldesign.rewards.reward import Reward, Values
from moldesign.rewards.strict import Strict

#: So many ligands in a row that hang or crash the docking end the run. A ligand of the kind that a run is
#: about may well take too long.
MAX_FAILURES = 32

#: What the configuration of a protein may say. Vina reads many more settings, such as files to write.
_BOX = frozenset(
    "center_x center_y center_z size_x size_y size_z exhaustiveness num_modes energy_range min_rmsd".split()
)

#: Answers that are kept for when a batch in which one ligand failed is asked for again, one by one.
_KEPT = 10_000


class DockingParameters(Strict):
    """A protein, and how it is docked into."""

    target: str = Field(
        pattern=r"^\w+$", description="one of dockstring's 58 proteins, as DRD2, or one of the directory"
    )
    directory: str | None = Field(
        None, description="of proteins that you prepared: NAME_target.pdbqt and NAME_conf.txt, the search box"
    )
    exhaustiveness: int = Field(8, ge=1, le=256, description="of Vina's search; its time grows in proportion")
    # dockstring's own, so that values are those that others publish.
    seed: int = Field(974528263, ge=0, le=2**31 - 1, description="of the conformer and of the search")
    cpus: int = Field(1, ge=1, le=256, description="for each ligand; leave it at 1 and give the run workers")
    timeout_s: float = Field(600.0, gt=0, description="seconds that a ligand may take")

    @field_validator("directory")
    @classmethod
    def _is_there(cls, directory: str | None) -> str | None:
        if directory is not None and not Path(directory).is_dir():
            raise ValueError(f"no such directory: {directory}")
        return directory


def docking(parameters: DockingParameters) -> Reward:
    """The docking score of the best pose, kcal/mol: the more negative, the tighter Vina thinks it binds.

    Vina: Trott and Olson, J. Comput. Chem. 31, 455 (2010). The proteins and the preparation of ligands:
    García-Ortegón et al., DOCKSTRING, J. Chem. Inf. Model. 62, 3486 (2022).

    Raises:
        UsageError: no such protein, or one whose configuration holds more than a search box.
        RewardError: dockstring or Open Babel is not installed.
    """
    with extra("docking"):
        import dockstring
        from dockstring.utils import get_targets_dir
    if shutil.which("obabel") is None:
        raise RewardError("docking needs Open Babel, which pip does not install: apt-get install openbabel")
    folder = Path(parameters.directory) if parameters.directory else Path(get_targets_dir())
    names = sorted(dockstring.list_all_target_names(folder))
    if parameters.target not in names:
        close = nearest(parameters.target, names) or f" (there are: {', '.join(names) or 'none'})"
        raise UsageError(f"no protein '{parameters.target}' in {folder}{close}")
    receptor, box = folder / f"{parameters.target}_target.pdbqt", folder / f"{parameters.target}_conf.txt"
    if not box.is_file():
        raise UsageError(f"the protein has no search box: {box} is missing")
    return Docking(parameters, receptor, box, dockstring.__version__)


class Docking:
    """The reward that docks, in a process of its own, killed with Vina when a ligand takes too long."""

    def __init__(self, parameters: DockingParameters, receptor: Path, box: Path, version: str) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="moldesign-docking-", ignore_cleanup_errors=True)
        work = Path(self._directory.name)
        # dockstring gives Vina nothing but the protein's own configuration, so exhaustiveness goes there.
        (work / receptor.name).symlink_to(receptor.resolve())
        lines = [line for line in _box(box) if not line.startswith("exhaustiveness")]
        (work / box.name).write_text("\n".join([*lines, f"exhaustiveness = {parameters.exhaustiveness}", ""]))
        settings = {
            "target": parameters.target,
            "directory": str(work),
            "seed": parameters.seed,
            "cpus": parameters.cpus,
        }
        self._scorer = ExternalScorer(
            call("moldesign.rewards.vina", "main", json.dumps(settings)),
            answer_s=parameters.timeout_s,
            patience=Patience(timeouts=MAX_FAILURES, unproven=MAX_FAILURES, failures=MAX_FAILURES),
        )
        self._known: dict[str, float | ScorerError] = {}
        self.fingerprint = f"dockstring {version} {sha256(receptor)} {sha256(box)}"

    def __call__(self, mols: Sequence[Mol], /) -> Values:
        """Docking scores (n,), kcal/mol.

        Raises:
            ScorerError: a ligand that could not be docked, after all of them were tried.
            RewardError: the docking cannot be started, or failed MAX_FAILURES times in a row.
        """
        if len(self._known) > _KEPT:
            self._known.clear()
        answers = [self._answer(mol) for mol in mols]
        for answer in answers:
            if isinstance(answer, ScorerError):
                raise answer
        return np.array(answers, dtype=np.float64)

    def _answer(self, mol: Mol) -> float | ScorerError:
        smiles = to_smiles(mol)
        if smiles not in self._known:
            self._known[smiles] = self._dock(mol)
        return self._known[smiles]

    def _dock(self, mol: Mol) -> float | ScorerError:
        try:
            return float(self._scorer([mol])[0])
        except ScorerError as error:
            return error


def _box(path: Path) -> list[str]:
    """The lines of the configuration of a protein: the search box.

    Raises:
        UsageError: no text, or a line that is no number of a search box.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from None
    for number, line in enumerate(lines, start=1):
        found = re.fullmatch(r"\s*(?:(\w+)\s*=\s*[-+]?[\d.]+(?:[eE][-+]?\d+)?\s*)?(?:#.*)?", line)
        if found is None or (found[1] and found[1] not in _BOX):
            raise UsageError(
                f"{path}, line {number}: a search box has lines such as `center_x = 9.25`,"
                f" of {', '.join(sorted(_BOX))}"
            )
    return [line.strip() for line in lines]


ENTRIES: dict[str, Entry] = {
    "docking": Entry(
        "Docking score of AutoDock Vina in a protein; the more negative the better",
        "kcal/mol",
        docking,
        DockingParameters,
        group="docking",
        direction="smaller",
        example={"target": "DRD2"},
        cost_us=50_000_000.0,
        limit_s=3_600.0,
        cached=True,
    ),
}
