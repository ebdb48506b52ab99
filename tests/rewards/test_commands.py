"""Commands that are run for each batch: real processes, and what they may do wrong."""

import hashlib
import os
import re
import shutil
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from rdkit.Chem.rdMolDescriptors import CalcCrippenDescriptors, CalcExactMolWt, CalcTPSA

from moldesign.chem.molecules import read, to_smiles
from moldesign.errors import RewardError, UsageError
from moldesign.rewards import commands, trust
from moldesign.rewards.commands import CommandParameters, command, run
from moldesign.rewards.external import ScorerError
from moldesign.rewards.objective import Objective
from moldesign.rewards.reward import Reward

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
MOLS = [read("CCO"), read("CCBr"), read("CCN")]


@pytest.fixture(autouse=True)
def trusted_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_trusted", {})
    trust.trust([sys.executable])


def reward_of(words: list[str], **parameters: Any) -> Reward:
    return command(CommandParameters.model_validate({"command": words, **parameters}))


class Programs:
    """Makes rewards of programs that are given as text."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __call__(self, body: str, *arguments: str, **parameters: Any) -> Reward:
        path = self._directory / f"program_{len(list(self._directory.iterdir()))}.py"
        path.write_text("import csv, json, os, sys, time\n" + textwrap.dedent(body))
        trust.trust([path])
        return reward_of([sys.executable, "-I", str(path), *arguments], **parameters)


@pytest.fixture
def of_text(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return Programs(tmp_path_factory.mktemp("programs"))


# The examples


def test_the_stdin_example() -> None:
    script = EXAMPLES / "stdin_scorer.py"
    trust.trust([script])
    reward = reward_of([sys.executable, str(script)], mode="stdin")
    np.testing.assert_array_equal(reward(MOLS), [CalcTPSA(mol) for mol in MOLS])
    assert reward([]).shape == (0,)


def test_the_file_example() -> None:
    script = EXAMPLES / "file_scorer.py"
    trust.trust([script])
    words = [sys.executable, str(script), "{input}", "{output}"]
    reward = reward_of(words, mode="file", answer="csv", column="mass")
    np.testing.assert_array_equal(reward(MOLS), [CalcExactMolWt(mol) for mol in MOLS])


def test_the_objective_in_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "external-scorers.md").read_text(encoding="utf-8")
    (toml,) = [block for block in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if '"command"' in block]
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    flags = (
        "--trust-plugin python --trust-plugin examples/stdin_scorer.py --trust-plugin examples/file_scorer.py"
    )
    assert flags in " ".join(page.split())
    trust.trust(flags.split()[1::2])
    scores = Objective.from_toml(toml).evaluate(MOLS)
    assert scores.raw["tpsa_from_a_program"].tolist() == [CalcTPSA(mol) for mol in MOLS]
    assert scores.raw["mass_from_a_table"].tolist() == [CalcExactMolWt(mol) for mol in MOLS]


def test_the_json_lines_example() -> None:
    script = EXAMPLES / "logp_scorer.py"
    trust.trust([script])
    reward = reward_of([sys.executable, str(script)])
    np.testing.assert_allclose(reward(MOLS), [CalcCrippenDescriptors(mol)[0] for mol in MOLS])


# What is answered


@pytest.mark.parametrize(
    ("body", "parameters", "expected"),
    [
        ("sys.stdin.read(); print('[1, null, 2.5]')", {}, [1, np.nan, 2.5]),
        ("sys.stdin.read(); print(json.dumps({'scores': [1, 2, None]}, indent=2))", {}, [1, 2, np.nan]),
        ("print([len(line.strip()) for line in sys.stdin])", {}, [3, 4, 3]),
        ("print([0, 1, 2])", {}, [0, 1, 2]),  # reads nothing at all
        ("print('score\\n1\\nNA\\n-2e3')", {"answer": "csv"}, [1, np.nan, -2000]),
        (
            'print(\'name,"pIC50, mean"\\nx,5\\n"a,b",\\n\\ny,inf\')',
            {"answer": "csv", "column": "pIC50, mean"},
            [5, np.nan, np.inf],
        ),
    ],
)
def test_answers(of_text: Programs, body: str, parameters: dict[str, Any], expected: list[float]) -> None:
    np.testing.assert_array_equal(of_text(body, mode="stdin", **parameters)(MOLS), expected)


@pytest.mark.parametrize(
    ("body", "parameters", "message"),
    [
        ("print('Docking...'); print([1, 2, 3])", {}, "not JSON: 'Docking... [1, 2, 3]'"),
        ("print('')", {}, "not JSON: ''"),
        ("print([1, 2])", {}, "2 scores for 3 molecules"),
        ("print('[1, 2, \"3\"]')", {}, "score 3 is no number"),
        ("print('3')", {}, "a list of scores expected, got 3"),
        ("print('{\"values\": []}')", {}, '"scores" or "error" expected'),
        ("print('score\\n1\\n2')", {"answer": "csv"}, "2 rows for 3 molecules"),
        ("print('score\\n1\\n2\\ngood')", {"answer": "csv"}, "row 3, column 'score' is no number: 'good'"),
        ("print('a,score\\n1,2\\n3\\n4,5')", {"answer": "csv"}, "row 2 has 1 cells, the header 2"),
        (
            "print('logp\\n1\\n2\\n3')",
            {"answer": "csv"},
            "one column 'score' expected, got the header 'logp'",
        ),
        ("print('score,score\\n1,1\\n2,2\\n3,3')", {"answer": "csv"}, "one column 'score' expected"),
        ("pass", {"answer": "csv"}, "not a CSV table with a header"),
        ("print('score\\n\"1\\n2\\n3')", {"answer": "csv"}, "not a CSV table"),
    ],
)
def test_an_answer_in_another_format_ends_the_run(
    of_text: Programs, body: str, parameters: dict[str, Any], message: str
) -> None:
    reward = of_text(body, mode="stdin", **parameters)
    with pytest.raises(RewardError) as caught:
        reward(MOLS)
    assert message in str(caught.value)


def test_a_batch_that_fails_is_asked_for_again_one_by_one(of_text: Programs) -> None:
    reward = of_text(
        """
        lines = sys.stdin.read().split()
        if "CCBr" in lines:
            print("no parameters for bromine", file=sys.stderr)
            sys.exit(3)
        print([0.5] * len(lines))
        """,
        mode="stdin",
    )
    scores = Objective.of(reward).evaluate(MOLS)
    np.testing.assert_array_equal(scores.score, [0.5, np.nan, 0.5])
    assert scores.reasons[1] is not None
    assert "command ended with exit code 3: no parameters for bromine" in scores.reasons[1]


def test_it_may_say_that_it_cannot(of_text: Programs) -> None:
    with pytest.raises(ScorerError, match="no licence"):
        of_text('print(\'{"error": "no licence"}\')', mode="stdin")(MOLS)


# Files


def test_files_are_gone_afterwards_and_may_stand_within_an_argument(
    of_text: Programs, tmp_path: Path
) -> None:
    body = """
        source, target = sys.argv[1].split("=")[1], sys.argv[2]
        with open(source) as handle: lines = handle.read().split()
        with open(sys.argv[3], "w") as handle: handle.write(source)
        print("talk is free where the answer is a file")
        with open(target, "w") as handle: json.dump([len(line) for line in lines], handle)
        """
    reward = of_text(body, "--in={input}", "{output}", str(tmp_path / "where"), mode="file")
    np.testing.assert_array_equal(reward(MOLS), [3, 4, 3])
    assert not Path((tmp_path / "where").read_text()).parent.exists()


def test_without_an_output_file_the_answer_is_what_it_prints(of_text: Programs) -> None:
    reward = of_text("print([len(line) for line in open(sys.argv[1])])", "{input}", mode="file")
    np.testing.assert_array_equal(reward(MOLS), [4, 5, 4])


def test_an_output_file_that_is_not_written(of_text: Programs) -> None:
    with pytest.raises(ScorerError, match="wrote no file where {output} stands"):
        of_text("pass", "{input}", "{output}", mode="file")(MOLS)


# Limits


def test_one_that_takes_too_long_is_killed_with_all_that_it_started(
    of_text: Programs, tmp_path: Path
) -> None:
    body = """
        import subprocess
        child = subprocess.Popen(["sleep", "600"])
        with open(sys.argv[1], "w") as handle: handle.write(f"{os.getpid()} {child.pid}")
        time.sleep(600)
        """
    reward = of_text(body, str(tmp_path / "pids"), mode="stdin", timeout_s=1.5)
    started = time.monotonic()
    with pytest.raises(ScorerError, match="did not end within 1.5 s"):
        reward(MOLS)
    assert time.monotonic() - started < 60
    for pid in (tmp_path / "pids").read_text().split():
        assert _gone(int(pid))


@pytest.mark.parametrize("mode", ["stdin", "json_lines"])
def test_one_that_only_hangs_is_given_up(of_text: Programs, mode: str) -> None:
    body = "print('{\"ready\": true}', flush=True); time.sleep(600)"
    objective = Objective.of(of_text(body, mode=mode, timeout_s=0.4))
    with pytest.raises(RewardError, match=r"failed for 3 molecules in a row: .* within 0.4 s"):
        objective.evaluate([read("C" * n) for n in range(1, 9)])


def test_one_that_only_fails_is_given_up(of_text: Programs) -> None:
    body = "lines = sys.stdin.read().split()\nprint([1 for _ in lines if 1 // lines.count('C')])"
    reward = of_text(body, mode="stdin")
    reward([read("C")])
    with pytest.raises(
        RewardError, match="command failed for 32 molecules in a row: .* exit code 1: ZeroDiv"
    ):
        Objective.of(reward).evaluate([read("C" * n) for n in range(2, 40)])


@pytest.mark.parametrize("mode", ["stdin", "json_lines"])
def test_a_file_that_changes_runs_no_more(tmp_path: Path, mode: str) -> None:
    body = "import sys\nprint('{\"ready\": true}' if sys.argv[1:] else [7], flush=True)\n"
    body += "for _ in sys.stdin: print('{\"scores\": [7]}', flush=True); break\n" * (mode == "json_lines")
    script = tmp_path / "score.py"
    script.write_text(body)
    trust.trust([script])
    words = [sys.executable, str(script), *(["--lines"] if mode == "json_lines" else [])]
    objective = Objective.of(reward_of(words, mode=mode))
    assert objective.evaluate(MOLS[:1]).score.tolist() == [7]
    script.write_text(body + "#")
    # The one that is running is the one that was trusted.
    with pytest.raises(UsageError, match=r"score\.py has changed since it was trusted"):
        objective.evaluate(MOLS[:2])
    script.unlink()
    with pytest.raises(UsageError, match="no such file"):
        objective.evaluate(MOLS[:1])


def _gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_child_that_keeps_the_output_open_is_not_waited_for(of_text: Programs) -> None:
    body = """
        import subprocess
        subprocess.Popen(["sleep", "600"])
        print([1, 2, 3])
        """
    np.testing.assert_array_equal(of_text(body, mode="stdin", timeout_s=60)(MOLS), [1, 2, 3])


def test_an_endless_answer_is_cut_off(of_text: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "MAX_ANSWER", 100_000)
    with pytest.raises(RewardError, match="more than 100000 characters"):
        of_text("while True: print('x' * 1000)", mode="stdin", timeout_s=60)(MOLS)
    body = "open(sys.argv[2], 'w').write('1' * 200_000)"
    with pytest.raises(RewardError, match="more than 100000 characters"):
        of_text(body, "{input}", "{output}", mode="file")(MOLS)


def test_a_batch_larger_than_a_pipe(of_text: Programs) -> None:
    mols = [read("C" * 200)] * 2000
    # Written to while it writes: neither waits for the other.
    reward = of_text("for line in sys.stdin: print(line, file=sys.stderr)\nprint([1] * 2000)", mode="stdin")
    assert reward(mols).sum() == 2000


def test_json_lines_have_the_time_limit_too(of_text: Programs) -> None:
    reward = of_text("print('{\"ready\": true}', flush=True); time.sleep(600)", timeout_s=0.5)
    with pytest.raises(ScorerError, match="no answer within 0.5 s"):
        reward(MOLS)


def test_a_program_that_cannot_be_started() -> None:
    with pytest.raises(RewardError, match="cannot be started: /no/such/program"):
        run(["/no/such/program"], b"", 5)


# Safety


def test_smiles_are_no_arguments_and_no_shell_reads_anything(of_text: Programs, tmp_path: Path) -> None:
    reward = of_text("print([float(len(sys.argv[1:]) == 2)] * 3)", "$(touch hacked)", "`id`; *", mode="stdin")
    mols = [read("C$C"), read("[U](F)(F)(F)(F)(F)F"), read(r"F/C=C\F")]
    assert "$" in to_smiles(mols[0])
    was = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert reward(mols).tolist() == [1, 1, 1]
    finally:
        os.chdir(was)
    assert list(tmp_path.iterdir()) == []


def test_a_command_needs_trust_in_every_file_of_it(tmp_path: Path) -> None:
    script, data = tmp_path / "score.py", tmp_path / "model.bin"
    script.write_text("print([1, 2, 3])")
    data.touch()
    words = [sys.executable, str(script), str(data)]
    with pytest.raises(UsageError) as caught:
        reward_of(words, mode="stdin")
    assert f"--trust-plugin {script} --trust-plugin {data}" in str(caught.value)
    trust.trust([script, data])
    assert reward_of(words, mode="stdin")(MOLS).tolist() == [1, 2, 3]


def test_a_configuration_alone_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_trusted", {})
    toml = '[[components]]\nreward = "command"\nshaping = { kind = "linear", zero = 0, one = 1 }\n'
    toml += 'parameters = { command = ["touch", "hacked"] }'
    with pytest.raises(UsageError, match="runs touch hacked: if you trust it, add --trust-plugin touch"):
        Objective.from_toml(toml)


def test_the_fingerprint_is_that_of_the_program_and_its_files(tmp_path: Path) -> None:
    script = tmp_path / "score.py"
    script.write_text("print([1, 2, 3])")
    trust.trust([script])
    for mode in ("stdin", "json_lines"):
        reward = reward_of([sys.executable, str(script), "--fast"], mode=mode)
        digests = [hashlib.sha256(Path(p).read_bytes()).hexdigest() for p in (sys.executable, script)]
        assert reward.fingerprint == hashlib.sha256("".join(digests).encode()).hexdigest()  # type: ignore[attr-defined]


def test_a_program_on_path_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shutil.which("cat")
    trust.trust(["cat"])
    with pytest.raises(RewardError, match="not JSON: 'CCO CCBr CCN'"):
        reward_of(["cat"], mode="stdin")(MOLS)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"command": []}, "at least 1 item"),
        ({"command": ["  "]}, "its program, and is empty"),
        ({"command": ["a\0b"]}, "null character"),
        ({"command": ["dock"], "mode": "file"}, 'needs "{input}" among the arguments'),
        ({"command": ["dock", "{input}"]}, '"{input}" and "{output}" belong to mode file, not json_lines'),
        ({"command": ["dock", "{output}"], "mode": "stdin"}, "belong to mode file, not stdin"),
        ({"command": ["dock"], "answer": "csv"}, "mode json_lines answers with json"),
        ({"command": ["dock"], "mode": "stdin", "column": "x"}, "column belongs to answer csv"),
        ({"command": ["dock"], "timeout_s": 0.0}, "greater than 0"),
        ({"command": "dock --fast"}, "valid list"),
    ],
)
def test_parameters_that_cannot_be(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CommandParameters.model_validate(parameters)
    assert message in str(caught.value)
