"""Runs killed at random moments and taken up again, held against runs that nothing happened to; memory.

Run as `python -m moldesign.benchmarks.reliability --out FILE`; `make bench-reliability` does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from moldesign.assets import corpus_path
from moldesign.benchmarks.results import write_result
from moldesign.chem.molecules import read
from moldesign.errors import MoldesignError, ResourceError
from moldesign.language import corpus
from moldesign.records.ledger import Ledger
from moldesign.records.run import RunDirectory
from moldesign.rewards.loading import load_objective

#: Scores by length, and writes down every molecule that it is asked for, on the disk before it answers.
SCORER = """\
import json, os, sys
book = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
say = lambda message: (sys.stdout.write(json.dumps(message) + "\\n"), sys.stdout.flush())
say({"ready": True})
for line in sys.stdin:
    request = json.loads(line)
    if request.get("cmd") == "quit":
        break
    os.write(book, "".join(smiles + "\\n" for smiles in request["smiles"]).encode())
    say({"scores": [min(1.0, len(smiles) / 20) for smiles in request["smiles"]]})
"""

#: What is run, each until it has come to its end.
RUNS: dict[str, list[str]] = {
    "dap": [],
    "reinforce, value": ["--estimator", "reinforce", "--baseline", "value"],
    "ppo": ["--estimator", "ppo"],
    "augmented-memory": ["--estimator", "augmented-memory"],
    "tb, overlap": ["--estimator", "tb", "--overlap"],
    "off-policy": ["--estimator", "off-policy"],
    "without-replacement": ["--estimator", "without-replacement"],
    "checkpoints seldom": ["--checkpoint-minutes", "0.02"],
    "two threads": ["--threads", "2"],
}
_BATCH = 1000
_FILES = ("steps.csv", "candidates.csv", "checkpoint/agent.safetensors")


def differences(whole: Path, other: Path) -> list[str]:
    """What differs between two run directories that should not, to the bit; empty if nothing does.

    Steps, candidates, the agent's weights, and the ledger but for the times.
    """
    found = [name for name in _FILES if (whole / name).read_bytes() != (other / name).read_bytes()]
    rows = []
    for path in (whole, other):
        with Ledger.read_only(RunDirectory(path).ledger) as ledger:
            rows.append(
                [(one.call, one.step, one.smiles, one.status, repr(one.raw)) for one in ledger.rows()]
            )
            if ledger.reserved():
                found.append(f"{path.name}: molecules under way")
    return found if rows[0] == rows[1] else [*found, "ledger.sqlite"]


def start(folder: Path, *arguments: object, name: str = "run") -> subprocess.Popen[bytes]:
    """`moldesign` with the scorer of a folder, whose molecules go to `NAME.asked` there."""
    scorer = folder / "scorer.py"
    if not scorer.exists():
        scorer.write_text(SCORER)
    command = shlex.join([sys.executable, str(scorer), str(folder / f"{name}.asked")])
    return subprocess.Popen(
        [sys.executable, "-m", "moldesign", *map(str, arguments), "--oracle-cmd", command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def beginning(prior: str | Path, out: Path, steps: int, options: Sequence[str]) -> list[object]:
    """The arguments of a run of so many steps."""
    many = ["--batch-size", 12, "--seed", 5, "--max-steps", steps, "--bucket-size", 5]
    kept = [] if "--checkpoint-minutes" in options else ["--checkpoint-minutes", 0]
    threads = [] if "--threads" in options else ["--threads", 1]
    return ["optimize", "--prior", prior, "-o", out, *many, *kept, *threads, *options]


def killed_until_done(
    folder: Path,
    arguments: Sequence[object],
    out: Path,
    generator: random.Random,
    *,
    most: int,
    longest_s: float,
    threads: int = 1,
) -> dict[str, int]:
    """Start a run, kill it at a random moment, take it up, kill it again, until it is done.

    Args:
        most: kills at most; then it is left to come to its end. longest_s: that it lives in its loop at most.

    Returns:
        kills; in_loop: of these once steps were taken; repeated: molecules that were asked for again.

    Raises:
        ResourceError: a start ended with an error.
    """
    log, kills, in_loop = out / "log.jsonl", 0, 0
    while True:
        before = _begun(log)
        going = out.exists() and (out / "config.toml").exists()
        process = start(
            folder, *(["resume", out, "--threads", threads] if going else arguments), name=out.name
        )
        if kills < most:
            if generator.random() < 0.9:
                while process.poll() is None and _begun(log) == before:
                    time.sleep(0.01)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(generator.uniform(0.0, longest_s))
        if kills < most and process.poll() is None:
            in_loop += _begun(log) > before
            kills += 1
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            continue
        said = process.communicate()[1].decode()
        if process.returncode:
            raise ResourceError(f"a start ended with {process.returncode}: {said.strip()}")
        asked = Counter((folder / f"{out.name}.asked").read_text().split())
        return {"kills": kills, "in_loop": in_loop, "repeated": sum(asked.values()) - len(asked)}


def _begun(log: Path) -> int:
    """How often a run has begun or gone on, by its log."""
    text = log.read_text() if log.exists() else ""
    return sum(text.count(f'"event": "{event}"') for event in ("started", "resumed"))


def measure(
    name: str, *, prior: str | Path, steps: int, kills: int, longest_s: float, seed: int
) -> dict[str, Any]:
    """What came of one of RUNS, killed so often: its differences from the run that was left alone."""
    options = RUNS[name]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        whole, out = folder / "whole", folder / "run"
        process = start(folder, *beginning(prior, whole, steps, options), name="whole")
        said = process.communicate()[1].decode()
        if process.returncode:
            raise ResourceError(
                f"the run that was left alone ended with {process.returncode}: {said.strip()}"
            )
        threads = int(options[options.index("--threads") + 1]) if "--threads" in options else 1
        found: Mapping[str, int] = killed_until_done(
            folder,
            beginning(prior, out, steps, options),
            out,
            random.Random(seed),
            most=kills,
            longest_s=longest_s,
            threads=threads,
        )
        with Ledger.read_only(out / "ledger.sqlite") as ledger:
            calls = ledger.calls
        return {"run": name, "calls": calls, **found, "differences": differences(whole, out)}


def memory(molecules: int, every: int) -> list[dict[str, float]]:
    """Resident memory of this process, MB, while molecules of a shipped corpus are read and scored."""
    smiles = corpus.load(corpus_path("zinc250k"))
    objective = load_objective("druglike")
    rows = []
    for first in range(0, molecules, _BATCH):
        batch = [smiles[(first + i) % len(smiles)] for i in range(_BATCH)]
        objective.evaluate([read(text) for text in batch])
        if (first + _BATCH) % every == 0:
            rows.append({"molecules": first + _BATCH, "resident_mb": round(_resident_mb(), 1)})
    return rows


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 1 where a run that was killed is another one than the run that was not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prior", default="druglike")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--kills", type=int, default=12, help="of each run")
    parser.add_argument("--longest", type=float, default=2.0, help="seconds that a run lives at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--molecules", type=int, default=1_000_000, help="scored, memory looked at")
    arguments = parser.parse_args(argv)
    rows = []
    try:
        for name in RUNS:
            row = measure(
                name,
                prior=arguments.prior,
                steps=arguments.steps,
                kills=arguments.kills,
                longest_s=arguments.longest,
                seed=arguments.seed,
            )
            sys.stderr.write(json.dumps(row) + "\n")
            rows.append(row)
        grown = memory(arguments.molecules, max(_BATCH, arguments.molecules // 10))
        total = {key: sum(row[key] for row in rows) for key in ("kills", "in_loop", "repeated")}
        found = {
            "prior": arguments.prior,
            "steps": arguments.steps,
            "total": total,
            "rows": rows,
            "memory": grown,
        }
        write_result(arguments.out, "moldesign.benchmarks.reliability", found)
    except MoldesignError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return int(any(row["differences"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
