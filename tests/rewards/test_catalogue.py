import py_compile
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from moldesign.chem.molecules import read
from moldesign.errors import RewardError, UsageError
from moldesign.files import sha256
from moldesign.rewards import catalogue, trust
from moldesign.rewards.component import Component
from moldesign.rewards.objective import Objective


@pytest.mark.parametrize("name", catalogue.BUILT_IN)
def test_every_entry_is_described(name: str) -> None:
    entry = catalogue.BUILT_IN[name]
    assert entry.description
    assert not entry.description.endswith(".")
    assert entry.unit
    assert entry.group != "plugins"
    for parameter, field in entry.parameters.model_fields.items():
        assert field.description, f"{name}.{parameter}"


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
    assert catalogue.find("carbons").description == "Share of carbon in the text"
    with pytest.raises(RewardError, match="absent .*cannot be loaded"):
        catalogue.find("absent")


def test_a_file_runs_only_if_the_user_trusts_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trust, "_trusted", {})
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from pathlib import Path\nPath('ran').touch()\n"
        "def half(smiles):\n    return [0.5 for _ in smiles]\nnumber = 3\n"
    )
    spec = {"components": [{"reward": "mine.py:half"}]}
    with pytest.raises(ValueError, match=r"reward 'half' runs mine.py: .*add --trust-plugin mine.py"):
        Objective.model_validate(spec)
    assert not (tmp_path / "ran").exists()
    trust.trust(["mine.py"])
    objective = Objective.model_validate(spec)
    assert objective.labels == ("half",)
    assert objective.isolated
    assert objective.evaluate([read("CCO")]).score.tolist() == [0.5]
    for name, said in [("none", "AttributeError"), ("number", "neither an Entry nor a function")]:
        with pytest.raises(RewardError, match=said):
            catalogue.find(f"mine.py:{name}")
    plugin.write_text("def half(smiles):\n    return [1.0 for _ in smiles]\n")
    with pytest.raises(UsageError, match="mine.py has changed since it was trusted"):
        catalogue.find("mine.py:half")


def test_what_is_not_there_cannot_be_trusted() -> None:
    with pytest.raises(UsageError, match="--trust-plugin nowhere.py: no such file"):
        trust.trust(["nowhere.py"])


def test_a_command_needs_trust_in_its_program_and_in_its_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trust, "_trusted", {})
    (tmp_path / "score.py").write_text("")
    command = ["sh", "score.py", "--fast"]
    with pytest.raises(UsageError, match="add --trust-plugin sh --trust-plugin score.py$"):
        trust.require_command(command, "reward 'x'")
    trust.trust(["sh"])
    with pytest.raises(UsageError, match="add --trust-plugin score.py$"):
        trust.require_command(command, "reward 'x'")
    trust.trust(["score.py"])
    trust.require_command(command, "reward 'x'")
    inline = ("-c true", "-ec true", "-cimport", "-m this", "-- -c", "-X score.py", "", "x" * 5000)
    for words in (*inline, str(tmp_path)):
        with pytest.raises(UsageError, match="a file to run, which can be trusted"):
            trust.require_command([sys.executable, *words.split()], "reward 'x'")
    trust.require_command(["sh", "score.py", "-c"], "reward 'x'")
    (tmp_path / "snake").symlink_to(sys.executable)
    trust.trust(["snake"])
    # Letters that mean nothing to Python have others read code, or what comes in as commands.
    for words in ("sh -s score.py", "sh -O score.py", "./snake -c pass"):
        with pytest.raises(UsageError, match="a file to run, which can be trusted"):
            trust.require_command(words.split(), "reward 'x'")
    trust.trust(["env", "nice"])
    for words in ("env sh -c true", "nice sh score.py"):
        with pytest.raises(
            UsageError, match="(env|nice) starts what its arguments say: put the command into"
        ):
            trust.require_command(words.split(), "reward 'x'")
    with pytest.raises(UsageError, match="no such program: no-such-program"):
        trust.require_command(["no-such-program"], "reward 'x'")


def test_a_scheduler_from_a_file_of_settings_needs_trust(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(trust, "_trusted", {})
    monkeypatch.setattr(trust, "_addresses", set())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scheduler.json").write_text("{}")
    for workers, flag in [("tcp://127.0.0.1:8786", "tcp://127.0.0.1:8786"), ("tls://H:1/x", "tls://h:1"),
                          ("scheduler.json", "scheduler.json")]:  # fmt: skip
        with pytest.raises(UsageError, match=f"run.toml: .*if you trust it, add --trust-plugin {flag}$"):
            trust.require_workers(workers, "run.toml: settings.workers")
        trust.trust([flag])
        trust.require_workers(workers, "run.toml: settings.workers")
    trust.require_workers("4", "run.toml: settings.workers")


def test_the_files_of_a_command_line_are_among_those_that_a_run_records(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(trust, "_trusted", {})
    monkeypatch.setattr(trust, "_addresses", set())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "score.py").write_text("pass")
    trust.trust_command(f"{sys.executable} score.py --fast none.bin")
    assert trust.trusted() == {str(path): sha256(path) for path in
                               (Path(sys.executable).resolve(), tmp_path / "score.py")}  # fmt: skip
    for nothing in ("", "no-such-program x", "'unfinished"):
        trust.trust_command(nothing)
    assert len(trust.trusted()) == 2


def test_a_plugin_may_print_and_hold_dataclasses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trust, "_trusted", {})
    plugin = tmp_path / "chatty.py"
    plugin.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nprint('hello')\n"
        "@dataclass\nclass Half:\n    value: float = 0.5\n"
        "    def __call__(self, smiles):\n        return [self.value for _ in smiles]\nhalf = Half()\n"
    )
    trust.trust([plugin])
    for _ in range(2):
        catalogue.find(f"{plugin}:half")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "hello\n"


def test_molecules_are_sent_to_this_machine_and_to_trusted_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_addresses", set())
    for here in ("http://localhost:8000/score", "http://127.0.0.1/", "http://[::1]:80/"):
        trust.require_address(here, "reward 'http'")
    url = "https://user:secret@scores.example.com:8443/v1?key=x"
    with pytest.raises(UsageError, match="add --trust-plugin https://scores.example.com:8443$") as caught:
        trust.require_address(url, "reward 'http'")
    assert "secret" not in str(caught.value)
    trust.trust(["https://Scores.example.com:8443"])
    trust.require_address(url, "reward 'http'")
    assert trust.trusted()["https://scores.example.com:8443"] == ""
    for other in (
        "http://scores.example.com:8443/",
        "https://scores.example.com/",
        "http://localhost.evil.com",
    ):
        with pytest.raises(UsageError, match="if you trust it"):
            trust.require_address(other, "reward 'http'")


def test_a_plugin_runs_isolated_also_if_it_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(trust, "_trusted", {})
    plugin = tmp_path / "entry.py"
    plugin.write_text(
        "from moldesign.rewards.entry import Entry\n"
        "from moldesign.rewards.reward import per_molecule\n"
        "one = Entry('one', '', lambda _: per_molecule(lambda mol: 1.0), unit_interval=True)\n"
        "def leave(_):\n    print('building')\n    raise SystemExit(0)\n"
        "leaves = Entry('leaves', '', leave, unit_interval=True)\n"
    )
    trust.trust([plugin])
    assert Objective.model_validate({"components": [{"reward": f"{plugin}:one"}]}).isolated
    with pytest.raises(RewardError, match="'leaves' cannot be built: RuntimeError: called sys.exit"):
        Component.model_validate({"reward": f"{plugin}:leaves"})


def test_the_code_that_runs_is_that_of_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(trust, "_trusted", {})
    plugin = tmp_path / "cached.py"
    plugin.write_text("def value(smiles):\n    return [0.25 for _ in smiles]\n")
    other = tmp_path / "other.py"
    other.write_text("def value(smiles):\n    return [1.00 for _ in smiles]\n")
    compiled = py_compile.compile(
        str(other), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH, doraise=True
    )
    assert compiled is not None
    Path(compiled).rename(Path(compiled).with_name(Path(compiled).name.replace("other", "cached")))
    trust.trust([plugin])
    objective = Objective.model_validate({"components": [{"reward": f"{plugin}:value"}]})
    assert objective.evaluate([read("CCO")]).score.tolist() == [0.25]


def test_cached_values_of_a_plugin_are_its_code_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(trust, "_trusted", {})
    keys = []
    for folder, value in (("a", 0.25), ("b", 1.0), ("c", 0.25)):
        (tmp_path / folder).mkdir()
        text = f"def value(smiles):\n    return [{value} for _ in smiles]\n"
        (tmp_path / folder / "mine.py").write_text(text)
        monkeypatch.chdir(tmp_path / folder)
        trust.trust(["mine.py"])
        keys.append(Component.model_validate({"reward": "mine.py:value", "cache": True}).cache_key)
    assert keys[0] == keys[2] != keys[1]
