"""Feeds damaged files to everything that reads files; tells what crashed, hung, or fell over in another way.

    python tests/fuzz/readers.py --seconds 60 --seed 1

Files that are whole are mutated by a seeded generator: bytes, lines, TOML values, headers of safetensors
files, what is inside packed files. A reader runs in a process of its own with a limit of memory and of time.
What it may do is give a result, or raise an error of `moldesign.errors` (or `InvalidMolecule`, or
`InvalidAlertFile`) in one line. Whatever else it does is a finding: the file is kept in --out, and the exit
code is 1.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import lzma
import os
import random
import re
import resource
import selectors
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import zstandard

#: What one file may take: seconds of the processor and of the clock; and the data of the process in MB.
PROCESSOR_S = 20
CLOCK_S = 300
MEMORY_MB = 1500
#: A result or a refusal that took more than this is a finding too: files are of some kilobytes.
GROWTH_MB = 600

Mutation = Callable[[random.Random, bytes], bytes]

# ------------------------------------------------------------------------------------------- mutations

BITS_OF_TEXT = [
    b'"', b"'", b",", b";", b"\t", b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xfe\xff", b"\xff\xfe",
    b"\xef\xbb\xbf", b"\x1b[31m", b"\x1a", b"=cmd|' /C calc'!A0", b"[", b"]", b"{", b"}", b"(", b")", b"%",
    b"\\", b"#", b".", b"-", b"+", b"1e999", b"-1", b"nan", b"inf", b"null", b"9" * 5000, b"[" * 3000,
    b"{a=" * 500, b"C" * 2000, b" " * 2000, b"smiles", b"SMILES,SMILES", b"\xe2\x80\xa8",
    b"\xf0\x9f\x98\x80", b"../../../etc/passwd", b"/dev/zero", b"/dev/stdin",
]  # fmt: skip


def damage(generator: random.Random, content: bytes) -> bytes:
    """A few bytes changed, taken away, put in, or repeated."""
    data = bytearray(content)
    for _ in range(generator.choice([1, 1, 1, 2, 4, 16])):
        place = generator.randrange(len(data) + 1)
        length = min(generator.choice([1, 1, 2, 8, 64, 1024]), len(data) - place)
        kind = generator.randrange(7)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << generator.randrange(8)
        elif kind == 1:
            data[place : place + length] = generator.randbytes(length)
        elif kind == 2:
            del data[place : place + length]
        elif kind == 3:
            data[place:place] = generator.choice(BITS_OF_TEXT)
        elif kind == 4:
            data[place:place] = data[place : place + length] * generator.choice([1, 2, 50])
        elif kind == 5:
            del data[place:]
        else:
            other = generator.randrange(len(data) + 1)
            data[place : place + length] = data[other : other + length]
    return bytes(data)


def lines_of_another(generator: random.Random, content: bytes) -> bytes:
    """Lines in another order, left out, repeated, or joined."""
    lines = content.split(b"\n")
    for _ in range(generator.choice([1, 2, 5])):
        i, j = generator.randrange(len(lines)), generator.randrange(len(lines))
        kind = generator.randrange(4)
        if kind == 0:
            lines[i], lines[j] = lines[j], lines[i]
        elif kind == 1 and len(lines) > 1:
            del lines[i]
        elif kind == 2:
            lines[i:i] = [lines[j]] * generator.choice([1, 3, 200])
        else:
            lines[i] += lines[j]
    return b"\n".join(lines)


#: Values that no objective should hold, and some that it may.
VALUES = [
    "0", "-1", "1e308", "-1e308", "5e-324", "nan", "inf", "-inf", "9223372036854775808", "9" * 4400,
    "true", '""', "[]", "{}", '"C"', '"qed"', '"%s"' % ("C" * 3000), "[[[[]]]]", "1979-05-27",
    '["c1ccccc"]', '["C", "N"]', '"\\u0000"', '"/dev/zero"', '"."', '"../x.csv"', "{ kind = 'sigmoid' }",
    "{ kind = 'linear', zero = 0, one = 0 }", "{ kind = 3 }", "[1, 'a']", '["%s"]' % ("[$(" * 400),
    '["[$([#6]~[$([#7]~[$(*)])])]"]', '"[C:1]>>[C:1]"', '"file.py:x"', "0x7fffffffffffffff",
]  # fmt: skip
KEYS = [
    "reward", "label", "role", "weight", "shaping", "parameters", "limit_s", "cache", "components",
    "combination", "weighting", "name", "description", "spare", "kind", "low", "high", "zero", "one",
    "references", "file", "column", "required", "smarts", "table", "k", "fingerprint", "collections",
    "reactions", "concentration", "final", "", '"a b"', "constructor",
]  # fmt: skip


def other_values(generator: random.Random, content: bytes) -> bytes:
    """A TOML text with other keys or values in some of its lines."""
    lines = content.decode("utf-8", "replace").split("\n")
    for _ in range(generator.choice([1, 1, 2, 3])):
        i = generator.randrange(len(lines))
        key, equals, _ = lines[i].partition("=")
        kind = generator.randrange(5)
        if kind == 0 and equals:
            lines[i] = f"{key}= {generator.choice(VALUES)}"
        elif kind == 1 and equals:
            lines[i] = f"{generator.choice(KEYS)} = {lines[i].partition('=')[2]}"
        elif kind == 2:
            lines[i:i] = [f"{generator.choice(KEYS)} = {generator.choice(VALUES)}"]
        elif kind == 3:
            lines[i:i] = [
                generator.choice(
                    ["[[components]]", "[weighting]", "[[components.components]]", "[components]"]
                )
            ]
        else:
            deep = generator.choice([2, 30, 400])
            lines += [f"[[{'.'.join(['components'] * n)}]]\nlabel = 'g{n}'" for n in range(2, deep)]
    return "\n".join(lines).encode("utf-8", "replace")


def other_header(generator: random.Random, content: bytes) -> bytes:
    """A safetensors file whose header says something else, its length told rightly."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    metadata = header["__metadata__"]
    policy = json.loads(metadata["moldesign-policy"])
    policy["seal"] = ""  # as in older files, which have none: the rest may then be anything
    target = generator.choice(
        [header, policy, policy["architecture"], policy["provenance"], policy["sha256"]]
    )
    if generator.random() < 0.3:
        target = header[generator.choice([name for name in header if name != "__metadata__"])]
    key = generator.choice([*target, "new"])
    strange: list[Any] = [
        None, True, 0, -1, 3, 2**31, 2**63, 2**64, 1e308, "", "C", "\0", "\ud800", [], {}, [0], [[]],
        ["C"] * 3, "F8_E4M3", "BOOL", "F64", "BF16", [0, 0], [2**40, 2**40], [0, 2**60], {"x": 1},
        "x" * 100_000, json.loads("[" * 500 + "]" * 500), -0.5,
    ]  # fmt: skip
    if generator.random() < 0.2:
        target.pop(key, None)
    else:
        target[key] = generator.choice(strange)
    if "moldesign-policy" in metadata:
        text = json.dumps(policy)
        deep = "[" * 100_000 + "]" * 100_000
        metadata["moldesign-policy"] = (
            text if generator.random() < 0.95 else text.replace('"seal": ""', f'"seal": {deep}')
        )
    packed = json.dumps(header).encode()
    return len(packed).to_bytes(8, "little") + packed + content[8 + size :]


def inside(pack: Callable[[bytes], bytes], unpack: Callable[[bytes], bytes], mutation: Mutation) -> Mutation:
    """The mutation of what a packed file holds, packed again: past its checksum."""
    return lambda generator, content: pack(mutation(generator, unpack(content)))


PIECES = [
    "C", "c1ccccc1", "C1CC1", "C1CC(C1)", "C12", "C3", "C(C)(C)", "N", "O", "=", "#", "/C=C/", "\\",
    "[C@H]", "[C@@]", "(", ")", ".", "[nH]", "[U]", "[Fe+2]", "%12", "%(100)", "1", "2", "3", "[13CH2]",
    "*", "[Si]", "S(=O)(=O)", "[N+]", "[O-]", "P", "B", "$", "~", "c", "n", "C=C=C", "C#C", "[H]", "[2H]",
    "[*:1]", "C1CCCC(CCC1)", "c1ccc(cc1)",
]  # fmt: skip


def other_molecules(generator: random.Random, content: bytes) -> bytes:
    """SMILES, a line each, with pieces put in, repeated, or made rings of."""
    lines = content.decode("ascii", "replace").split("\n")
    for i, text in enumerate(lines):
        pieces = generator.choices(PIECES, k=generator.choice([1, 2, 3, 8]))
        place = generator.randrange(len(text) + 1)
        kind = generator.randrange(4)
        if kind == 0:
            lines[i] = text[:place] + "".join(pieces) + text[place:]
        elif kind == 1:
            lines[i] = "".join(pieces) * generator.choice([1, 5, 20, 60, 240])
        elif kind == 2:
            lines[i] = _cage(generator)
        else:
            lines[i] = text[:place] + text[place // 2 :]
    return "\n".join(lines).encode()


def _cage(generator: random.Random) -> str:
    """A chain whose atoms are joined to others by chance or by a rule: rings that no chemist has seen."""
    n, step, every = generator.randrange(4, 120), generator.randrange(2, 40), generator.choice([1, 1, 2, 3])
    atoms, labels = [generator.choice(["C", "C", "[Si]", "[U]"])] * n, iter(range(1, 1000))
    pairs = [(i, i + step) for i in range(0, n - step, every)]
    generator.shuffle(pairs)
    for i, j in pairs[: generator.randrange(1, 60)]:
        label = next(labels)
        for end in (i, j):
            atoms[end] += str(label) if label < 10 else f"%{label}" if label < 100 else f"%({label})"
    return "".join(atoms)


# --------------------------------------------------------------------------------------------- readers


def read_molecules(path: Path) -> None:
    from moldesign.language.reading import MoleculeFile

    file = MoleculeFile(path)
    entries = sum(1 for _ in file)
    assert file.lines == file.headers + file.continued + entries, "a line is not accounted for"


def read_objective(path: Path) -> None:
    from moldesign.chem.molecules import read
    from moldesign.rewards.loading import load_objective

    objective = load_objective(path)
    if not objective.isolated:
        objective.evaluate([read("CCO"), read("c1ccccc1C(=O)N")])
    assert objective.to_toml()


def read_prior(path: Path) -> None:
    from moldesign.policy.checkpoint import load_policy, read_provenance

    read_provenance(path)
    load_policy(path)


def read_alerts(path: Path) -> None:
    from moldesign.chem.alerts import read_alerts

    read_alerts(path)


def read_ledger(path: Path) -> None:
    from moldesign.records.ledger import Ledger

    with Ledger.read_only(path) as ledger:
        ledger.read()


def read_smiles(path: Path) -> None:
    """Molecules as a run reads them, and what is asked of each that is one."""
    from moldesign.chem.molecules import InvalidMolecule, canonical, parse, standardise
    from moldesign.rewards.loading import load_objective

    objective = load_objective("druglike").model_copy(update={"spare": False})
    for text in path.read_text(encoding="utf-8", errors="surrogateescape").split("\n"):
        mol = parse(text)
        if mol is None:
            continue
        assert canonical(text)
        objective.evaluate([mol])
        with suppress(InvalidMolecule):
            standardise(mol)


# ----------------------------------------------------------------------------------------------- seeds


def _molecules(count: int) -> list[str]:
    from moldesign.assets import corpora
    from moldesign.language.reading import MoleculeFile

    return [entry.text for entry in islice(MoleculeFile(corpora()["chembl_sample"]), count)]


def tables() -> dict[str, bytes]:
    smiles = _molecules(60)
    plain = "\n".join(smiles).encode()
    table = b"id,smiles,note\n" + b"".join(
        f'{i},{text},"a ""note"", {i}"\n'.encode() for i, text in enumerate(smiles)
    )
    return {
        "a.smi": plain, "a.csv": table, "a.tsv": table.replace(b",", b"\t"), "a.smi.gz": gzip.compress(plain),
        "a.csv.xz": lzma.compress(table),
        "a.smi.zst": zstandard.compress(plain), "a.csv.zst": zstandard.compress(table),
    }  # fmt: skip


def parquet_files() -> dict[str, bytes]:
    import pyarrow as pa
    import pyarrow.parquet

    molecules: list[str | None] = [*_molecules(60), None]
    files = {}
    for name, options in (("plain", {"compression": "none"}), ("packed", {"compression": "zstd"})):
        buffer = pa.BufferOutputStream()
        table = pa.table({"id": list(range(len(molecules))), "smiles": molecules})
        pyarrow.parquet.write_table(table, buffer, **options)
        files[f"{name}.parquet"] = buffer.getvalue().to_pybytes()
    return files


def objectives() -> dict[str, bytes]:
    from moldesign.rewards import catalogue
    from moldesign.rewards.objectives import READY_MADE
    from moldesign.rewards.template import component_toml

    texts = {f"{name}.toml": make().to_toml() for name, make in READY_MADE.items()}
    for name, entry in catalogue.BUILT_IN.items():
        # The bits of a whole corpus take half a minute, as is said of them.
        if entry.cost_us < 20_000 and not entry.isolated and name != "unusual_bits":
            texts[f"reward_{name}.toml"] = component_toml(name, entry)
    return {name: text.encode() for name, text in texts.items()}


def priors() -> dict[str, bytes]:
    from moldesign.language.tokenizer import SPECIALS, Tokenizer
    from moldesign.policy.checkpoint import Provenance, save_policy
    from moldesign.policy.policy import Policy
    from moldesign.policy.settings import Architecture

    path = Path("seed.safetensors")
    shape = Architecture(layers=1, hidden_size=8, embedding_size=4)
    save_policy(
        Policy.fresh(shape, Tokenizer([*SPECIALS, "C", "N", "O"]), seed=1), path, Provenance(name="a")
    )
    return {"a.safetensors": path.read_bytes()}


def alert_files() -> dict[str, bytes]:
    return {
        "a.smarts": b"[N+](=O)[O-] nitro\n# a comment\nC(=O)Cl\tacid chloride\t1\n",
        "a.csv": b'smarts,name,max\n"[C,N](=O)",carbonyl,2\nC=S,thio,0\n',
    }


def ledgers() -> dict[str, bytes]:
    from moldesign.records.ledger import Ledger, LedgerRow

    path = Path("seed.sqlite")
    with Ledger(path, ["qed", "mw"]) as ledger:
        rows = [
            LedgerRow("C" * i, "scored", 0.5, (0.5, 1.0), (0.5, 1.0), None, i, 0, 0.0) for i in range(1, 200)
        ]
        ledger.add(rows, step=0)
    return {"ledger.sqlite": path.read_bytes()}


def smiles() -> dict[str, bytes]:
    return {"a.smi": "\n".join(_molecules(12)).encode()}


@dataclass(frozen=True)
class Target:
    """A reader, whole files that it reads, and what is done to them, by the end of their names."""

    read: Callable[[Path], object]
    seeds: Callable[[], dict[str, bytes]]
    mutations: dict[str, list[Mutation]] = field(default_factory=dict)

    def mutate(self, generator: random.Random, name: str, content: bytes) -> bytes:
        known = [m for end, some in self.mutations.items() if name.endswith(end) for m in some]
        return generator.choice(known or [damage])(generator, content)


def _unpack_zst(content: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(content)


TEXT: list[Mutation] = [damage, damage, lines_of_another]
TARGETS = {
    "molecules": Target(
        read_molecules,
        tables,
        {
            ".smi": TEXT, ".csv": TEXT, ".tsv": TEXT,
            ".gz": [damage, *(inside(gzip.compress, gzip.decompress, m) for m in TEXT)],
            ".xz": [damage, *(inside(lzma.compress, lzma.decompress, m) for m in TEXT)],
            ".zst": [damage, *(inside(zstandard.compress, _unpack_zst, m) for m in TEXT)],
        },
    ),
    "parquet": Target(read_molecules, parquet_files),
    "objectives": Target(read_objective, objectives, {"": [*[other_values] * 3, damage]}),
    "priors": Target(read_prior, priors, {"": [damage, other_header, other_header]}),
    "alerts": Target(read_alerts, alert_files, {"": TEXT}),
    "ledgers": Target(read_ledger, ledgers),
    "smiles": Target(read_smiles, smiles, {"": [other_molecules, other_molecules, damage]}),
}  # fmt: skip


def _raises(path: Path) -> None:
    raise KeyError(path.name)


def _hangs(_: Path) -> None:
    while True:
        pass


def _crashes(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _grows(_: Path) -> None:
    bytes(range(256)) * ((GROWTH_MB + 100) * 4096)


#: What the fuzzer has to find: it is tried on these by its own test.
FAULTY = {
    name: Target(read, lambda: {"a.txt": b"abc"})
    for name, read in [("raises", _raises), ("hangs", _hangs), ("crashes", _crashes), ("grows", _grows)]
}

# -------------------------------------------------------------------------------- the reader's process


def serve(processor_s: float) -> None:
    """Read the files that lines of standard input name behind their targets; say a line of JSON of each."""
    from moldesign.errors import MoldesignError, one_line

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    refusals: tuple[type[Exception], ...] = (MoldesignError,)
    for line in sys.stdin:
        name, path = line.rstrip("\n").split("\t", 1)
        if name == "alerts":
            from moldesign.chem.alerts import InvalidAlertFile

            refusals = (MoldesignError, InvalidAlertFile)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        signal.setitimer(signal.ITIMER_PROF, processor_s)
        problem = ""
        try:
            {**TARGETS, **FAULTY}[name].read(Path(path))
            outcome = "read"
        except refusals as error:
            outcome = f"refused ({type(error).__name__})"
            if "\n" in str(error) or len(one_line(str(error))) > 3000:
                problem = f"a message that is no line: {str(error)[:200]!r}"
        except BaseException as error:
            outcome = "raised"
            problem = "".join(traceback.format_exception(error, limit=-4))
        signal.setitimer(signal.ITIMER_PROF, 0)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        if not problem and grown > GROWTH_MB:
            problem = f"took {grown:.0f} MB"
        answers.write(json.dumps({"outcome": outcome, "problem": problem}) + "\n")
        answers.flush()


class Reader:
    """A process that reads files, replaced when one ends it."""

    def __init__(self, warm: tuple[str, Path], processor_s: float) -> None:
        self._warm, self._processor_s = warm, processor_s
        self._process: subprocess.Popen[str] | None = None

    def ask(self, target: str, path: Path) -> dict[str, str]:
        """What became of the file: the outcome, and the problem or an empty text."""
        if self._process is None:
            self._start()
            # A whole file first: what the reader imports is not the doing of a damaged one.
            whole = self._exchange(*self._warm)
            if whole["problem"]:
                return whole
        return self._exchange(target, path)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> None:
        limit = MEMORY_MB << 20

        def confine() -> None:
            # Of data, not of addresses: torch maps many gigabytes that it never touches.
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve", "--processor-seconds", str(self._processor_s)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            preexec_fn=confine, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def _exchange(self, target: str, path: Path) -> dict[str, str]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{target}\t{path}\n")
        process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(CLOCK_S):
                self.close()
                return {"outcome": "hung", "problem": f"took longer than {CLOCK_S} s"}
        line = process.stdout.readline()
        if line:
            answer: dict[str, str] = json.loads(line)
            return answer
        code = process.wait()
        self.close()
        if code == -signal.SIGPROF:
            return {
                "outcome": "hung",
                "problem": f"took longer than {self._processor_s:g} s of the processor",
            }
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return {"outcome": "crashed", "problem": f"ended the process ({how})"}


# ------------------------------------------------------------------------------------------ the fuzzer


def inputs(target: Target, seed: int) -> Iterator[tuple[str, bytes]]:
    """Files without end: the whole ones, then what becomes of them by chance."""
    seeds = target.seeds()
    yield from seeds.items()
    names = sorted(seeds)
    number = 0
    while True:
        generator = random.Random(f"{seed}-{number}")
        name = generator.choice(names)
        yield name, target.mutate(generator, name, seeds[name])
        number += 1


def fuzz(names: list[str], *, seconds: float, most: int, seed: int, out: Path, processor_s: float) -> int:
    """The number of findings of a run, which share the time; each kind of finding counts once."""
    scratch = out / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    os.chdir(scratch)
    out, findings = Path(".."), 0
    for name in names:
        target = {**TARGETS, **FAULTY}[name]
        source = inputs(target, seed)
        first_name, first = next(source)
        whole = scratch / "whole" / first_name
        whole.parent.mkdir(exist_ok=True)
        whole.write_bytes(first)
        reader = Reader((name, whole), processor_s)
        outcomes: Counter[str] = Counter()
        kinds: set[str] = set()
        end = time.monotonic() + seconds / len(names)
        for number, (file, content) in enumerate(source):
            if number >= most or time.monotonic() > end:
                break
            path = scratch / file
            path.write_bytes(content)
            answer = reader.ask(name, path)
            outcomes[answer["outcome"]] += 1
            kind = kind_of(answer["problem"])
            if kind and kind not in kinds:
                kinds.add(kind)
                kept = out / f"{name}-{hashlib.sha256(content).hexdigest()[:8]}-{file}"
                kept.write_bytes(content)
                print(f"FINDING {name}: {kept.resolve()}\n{answer['problem']}", flush=True)
            path.unlink()
        reader.close()
        findings += len(kinds)
        said = ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.most_common())
        print(f"{name}: {outcomes.total():,} files: {said}", flush=True)
    return findings


def kind_of(problem: str) -> str:
    """What two findings share that are one: where it was raised, or what was said, without numbers."""
    lines = problem.strip().splitlines() or [""]
    frames = [line.strip() for line in lines if line.startswith("  File ")]
    return " ".join([*frames[-1:], re.sub(r"\d+", "", lines[-1])[:40]])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60, help="in all, shared by the targets")
    parser.add_argument("--inputs", type=int, default=10**9, help="of each target at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--target", action="append", choices=[*TARGETS, *FAULTY], help="all but the faulty if left out"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/fuzz"), help="folder of the findings")
    parser.add_argument("--processor-seconds", type=float, default=PROCESSOR_S, help="that one file may take")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.processor_seconds)
        return
    found = fuzz(
        given.target or list(TARGETS), seconds=given.seconds, most=given.inputs, seed=given.seed,
        out=given.out.resolve(), processor_s=given.processor_seconds,
    )  # fmt: skip
    print(f"seed {given.seed}: {found} findings")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
