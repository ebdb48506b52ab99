from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from moldesign.chem.molecules import read
from moldesign.errors import RewardError, UsageError
from moldesign.rewards import catalogue
from moldesign.rewards.objective import Component, Objective


def test_every_entry_is_described_and_builds_from_its_example() -> None:
    examples = {
        "similarity": {"references": ["CCO"]},
        "substructures": {"required": ["O"]},
        "substructure_count": {"smarts": "O"},
    }
    for name in catalogue.names():
        entry = catalogue.find(name)
        assert entry.description
        assert entry.unit
        reward = entry.build(entry.parameters.model_validate(examples.get(name, {})))
        assert reward([read("CCO"), read("CCC")]).shape == (2,)


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown reward 'similarty'; did you mean 'similarity'?"):
        catalogue.find("similarty")


def test_plugins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    points = [
        EntryPoint("carbons", "tests_plugin_module:carbons", catalogue.GROUP),
        EntryPoint("absent", "no_such_module_anywhere:x", catalogue.GROUP),
    ]
    (tmp_path / "tests_plugin_module.py").write_text(
        'def carbons(smiles):\n    """Share of carbon in the text."""\n'
        '    return [s.count("C") / len(s) for s in smiles]\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(
        catalogue,
        "entry_points",
        lambda group, name=None: [p for p in points if p.group == group and name in (None, p.name)],
    )
    assert catalogue.names()[-2:] == ["absent", "carbons"]
    objective = Objective(components=[Component(reward="carbons")])
    assert objective.evaluate([read("CCO")]).score.tolist() == pytest.approx([2 / 3])
    assert catalogue.find("carbons").description == "Share of carbon in the text."
    with pytest.raises(RewardError, match="'absent'.*cannot be loaded"):
        catalogue.find("absent")
