"""Wrong input through the real command: one line, the right exit code, and nothing left behind."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

UNKNOWN_REWARD = '[[components]]\nreward = "qde"\n'
UNKNOWN_KEY = 'combinatoin = "arithmetic_mean"\n\n[[components]]\nreward = "qed"\n'
WRONG_SMARTS = '[[components]]\nreward = "substructures"\nparameters = { required = ["c1ccccc"] }\n'
WRONG_SETTING = 'objective = "qed"\n\n[settings]\nbugdet = 100\n'
WRONG_TABLE = 'objective = "qed"\nsettings = 3\n'
WRONG_CONFIG = 'objectiv = "qed"\n'
WRONG_SHAPE = """prior = "druglike"

[[objective.components]]
reward = "qed"

[[objective.components]]
reward = "logp"
shaping = { kind = "sigmod", low = 1, high = 3 }
"""
CLUSTER = 'objective = "qed"\n\n[settings]\nworkers = "tcp://127.0.0.1:6786"\n'
RUBBISH = "name,value\nthis is,no corpus\nat all,<html>\n"
FILES = {
    "unknown_reward.toml": UNKNOWN_REWARD,
    "unknown_key.toml": UNKNOWN_KEY,
    "wrong_smarts.toml": WRONG_SMARTS,
    "wrong_setting.toml": WRONG_SETTING,
    "wrong_table.toml": WRONG_TABLE,
    "wrong_config.toml": WRONG_CONFIG,
    "wrong_shape.toml": WRONG_SHAPE,
    "cluster.toml": CLUSTER,
    "bomb.toml": "x = " + "[" * 20_000,
    "rubbish.smi": "this is no corpus\nat all\n<html>\n",
    "rubbish.csv": RUBBISH,
    "empty.smi": "",
    "good.smi": "CCO\nCCN\n",
    "text.safetensors": "not a policy, but long enough to look like one\n" * 20,
    "used/precious.txt": "mine",
    "a_run/ledger.sqlite": "of a run",
}


@pytest.fixture
def folder(tmp_path: Path, small_prior: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    whole = small_prior.read_bytes()
    (tmp_path / "whole.safetensors").write_bytes(whole)
    (tmp_path / "pickle.safetensors").write_bytes(pickle.dumps({"weights": print}))
    (tmp_path / "truncated.safetensors").write_bytes(whole[: len(whole) // 2])
    return tmp_path


def case(line: str, code: int, *said: str) -> Any:
    """A command line, its exit code, and what the message must hold."""
    return pytest.param(line, code, said, id=line)


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


CASES = [
    # Usage and configuration.
    case("optimize qde -o out", 2, "unknown objective 'qde'; did you mean 'qed'?"),
    case("optimize unknown_reward.toml -o out", 2, "unknown_reward.toml, line 2: ", "did you mean 'qed'"),
    case("optimize unknown_key.toml -o out", 2, "unknown_key.toml, line 1: ", "did you mean 'combination'"),
    case("optimize wrong_smarts.toml -o out", 2, "wrong_smarts.toml, line 3: ", "'c1ccccc'"),
    case("optimize absent.toml -o out", 2, "absent.toml"),
    case("optimize -o out", 2, "what to optimise?"),
    case("optimize --config wrong_config.toml -o out", 2, "wrong_config.toml: unknown key", "'objective'"),
    case("optimize --config wrong_setting.toml -o out", 2, "wrong_setting.toml: unknown setting", "'budget'"),
    case("optimize --config wrong_table.toml -o out", 2, "wrong_table.toml: settings is a table"),
    case(
        "optimize --config wrong_shape.toml -o out", 2, "wrong_shape.toml, line 8: ", "did you mean 'sigmoid'"
    ),
    case("optimize --config cluster.toml -o out", 2, "cluster.toml: settings.workers is a Dask scheduler"),
    case("optimize --config bomb.toml -o out", 2, "bomb.toml: not valid TOML: nested too deeply"),
    case("optimize qed --temperature inf -o out", 2, "setting 'temperature'", "finite"),
    case("optimize qed --learning-rate nan -o out", 2, "setting 'learning_rate'"),
    case("optimize qed --seed 99999999999999999999 -o out", 2, "setting 'seed'", "4294967296"),
    case("optimize qed --estimator reinfroce -o out", 2, "unknown estimator 'reinfroce'", "'reinforce'"),
    case("optimize qed --estimator exact -o out", 2, "exact: ", "more than 50,000 sequences", "--max-length"),
    case("optimize qed --estimator ppo --overlap -o out", 2, "overlap: 'ppo' learns from", "dap, ahc"),
    case("optimize qed --estimator ppo --replay-rounds 2 -o out", 2, "replay_rounds: 'ppo' learns nothing"),
    case("pretrain good.smi --learning-rate inf -o out", 2, "setting 'learning_rate'", "finite"),
    case("pretrain good.smi --seed 4294967296 -o out", 2, "setting 'seed'"),
    case("corpora prepare good.smi -o out.smi --rejects ./out.smi", 2, "out.smi: is also the output"),
    case("corpora prepare rubbish.csv good.smi --column value -o o.smi", 2, "good.smi: a .smi file has no"),
    case("score good.smi --objective qde -o out.csv", 2, "did you mean 'qed'"),
    case("rewards show qde", 2, "did you mean 'qed'"),
    case("sample --prior drglike -n 5 -o out.csv", 2, "did you mean 'druglike'"),
    # Data.
    case("score absent.smi --objective qed -o out.csv", 3, "absent.smi: does not exist"),
    case("score empty.smi --objective qed -o out.csv", 3, "empty.smi: the file is empty"),
    case("pretrain rubbish.smi -o out", 3, "rubbish.smi, line 1: ", "no SMILES token"),
    case("finetune rubbish.csv --prior whole.safetensors -o out", 3, "rubbish.csv: no column of SMILES"),
    # Checkpoint or run state.
    case("optimize qed --prior whole.safetensors -o used", 4, "used: exists and is not empty"),
    case("pretrain good.smi -o a_run", 4, "a_run: holds something else already (ledger.sqlite)"),
    case("optimize qed --prior truncated.safetensors -o out", 4, "truncated.safetensors: not a whole"),
    case(
        "priors show pickle.safetensors",
        4,
        "pickle.safetensors: not a whole safetensors file (it is a pickle",
    ),
    case("sample --prior text.safetensors -n 5 -o out.csv", 4, "text.safetensors: not a whole safe"),
    case("sample --prior absent.safetensors -n 5 -o out.csv", 4, "absent.safetensors: no such file"),
    # Reward.
    case("optimize --oracle-cmd ./no-such-command -o out", 5, "scorer cannot be started: ./no-such-command"),
]


@pytest.mark.parametrize(("line", "code", "said"), CASES)
def test_wrong_input(forks: Any, folder: Path, line: str, code: int, said: tuple[str, ...]) -> None:
    before = content_of(folder)
    done = forks(*line.split(), cwd=folder)
    assert done.code == code, done.err
    assert len(done.err.splitlines()) == 1, done.err
    assert done.err.startswith("moldesign: ")
    for part in said:
        assert part in done.err
    assert done.out == ""
    assert content_of(folder) == before
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    "line", ["optimize qed --bugdet 5 -o out", "optimize qed --budget many -o out", "sampel"]
)
def test_wrong_usage(moldesign: Any, tmp_path: Path, line: str) -> None:
    done = moldesign(*line.split(), cwd=tmp_path)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert done.out == ""
    assert list(tmp_path.iterdir()) == []
