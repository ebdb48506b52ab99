"""What the documents show works."""

import re
from pathlib import Path

import pytest

from moldesign.chem.molecules import read
from moldesign.rewards import reference
from moldesign.rewards.combining import COMBINATIONS
from moldesign.rewards.objective import Objective
from moldesign.rewards.objectives import READY_MADE
from moldesign.rewards.shaping import KINDS

ROOT = Path(__file__).parents[2]
OBJECTIVES = (ROOT / "docs" / "objectives.md").read_text(encoding="utf-8")
SCORERS = (ROOT / "docs" / "external-scorers.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize("block", blocks(OBJECTIVES, "toml"))
def test_every_toml_block_is_an_objective(block: str) -> None:
    scores = Objective.from_toml(block).evaluate([read("CC(=O)Nc1ccc(O)cc1"), read("CCO")])
    assert scores.reasons == [None, None]


def test_the_python_block_runs() -> None:
    (block,) = blocks(OBJECTIVES, "python")
    names: dict[str, object] = {}
    exec(block, names)
    for name in ("objective", "same_in_chemistry"):
        objective = names[name]
        assert isinstance(objective, Objective)
        assert objective.evaluate([read("CCO")]).reasons == [None]


def test_every_objective_and_every_shaping_is_in_the_document() -> None:
    named = set(re.findall(r"`([a-z0-9_]+)`", OBJECTIVES))
    assert set(READY_MADE) <= named
    assert set(COMBINATIONS) <= named
    assert set(re.findall(r'kind = "([a-z_]+)"', OBJECTIVES)) == {*KINDS, "drawn", "schedule"}


def test_the_page_of_rewards_is_that_of_the_catalogue() -> None:
    written = (ROOT / "docs" / "rewards.md").read_text(encoding="utf-8")
    assert written == reference.page(), "make reference"


def test_the_scorer_in_the_document_is_the_example() -> None:
    (shown,) = blocks(SCORERS, "python")
    example = (ROOT / "examples" / "logp_scorer.py").read_text(encoding="utf-8")
    assert example.endswith(shown)
