from typing import Literal

import pytest
from pydantic import ValidationError

from moldesign.chem.molecules import read
from moldesign.rewards.scaffolds import ScaffoldParameters, scaffold
from moldesign.rewards.strict import explain

Mode = Literal["equals", "generic_equals", "contains"]


def values(scaffolds: list[str], mode: Mode, *smiles: str) -> list[float]:
    reward = scaffold(ScaffoldParameters(scaffolds=scaffolds, mode=mode))
    return [float(value) for value in reward([read(one) for one in smiles])]


def test_the_same_scaffold() -> None:
    # The side chain of the one that is given does not count.
    mols = ("Cc1ccccc1", "c1ccncc1", "C1CCCCC1", "c1ccc(-c2ccccc2)cc1", "CCO", "OC(=O)c1ccccc1")
    assert values(["CCc1ccccc1"], "equals", *mols) == [1, 0, 0, 0, 0, 1]
    assert values(["CCc1ccccc1", "c1ccncc1"], "equals", *mols) == [1, 1, 0, 0, 0, 1]


def test_the_same_graph() -> None:
    mols = ("Cc1ccccc1", "c1ccncc1", "O=C1CCCCC1", "C1CCCC1", "CCO")
    assert values(["CCc1ccccc1"], "generic_equals", *mols) == [1, 1, 1, 0, 0]


def test_held_as_a_substructure() -> None:
    mols = ("Cc1ccccc1", "CCc1ccncc1", "c1ccc(-c2ccccc2)cc1", "c1ccccc1", "CCO")
    assert values(["Cc1ccccc1"], "contains", *mols) == [1, 0, 1, 0, 0]
    assert values(["*c1ccccc1"], "contains", *mols) == [1, 0, 1, 0, 0]
    assert values(["c1ccccc1", "CCO"], "contains", *mols) == [1, 0, 1, 1, 1]
    # Stereo does not count.
    assert values(["C[C@H](N)C(=O)O"], "contains", "CC(N)C(=O)O", "C[C@@H](N)C(=O)O") == [1, 1]


def test_wrong_parameters() -> None:
    with pytest.raises(ValidationError) as caught:
        ScaffoldParameters(scaffolds=["c1ccccc1", "C1CC"])
    assert explain(caught.value).startswith("scaffolds[1]: 'C1CC' is no molecule: ")
    with pytest.raises(ValidationError, match="'CCO' has no ring; use mode = \"contains\""):
        ScaffoldParameters(scaffolds=["CCO"])
    with pytest.raises(ValidationError):
        ScaffoldParameters(scaffolds=[])
