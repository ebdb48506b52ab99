"""What `moldesign doctor` looks at, judged in plain words: one line each, with what to do."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from moldesign.errors import CheckpointError, ResourceError

Status = Literal["ok", "note", "problem"]

#: What each extra is for. A test holds the names to those of pyproject.toml.
EXTRAS = {
    "parquet": ".parquet corpora",
    "tensorboard": "training curves while they grow (--tensorboard)",
    "metrics": "Fréchet ChemNet Distance in model cards",
    "models": "ONNX and scikit-learn models as rewards",
    "cluster": "rewards on a Dask cluster",
    "docking": "AutoDock Vina through dockstring as a reward",
    "chemprop": "ChemProp models as rewards",
}

#: Bytes. A checkpoint of the default network with its optimizer takes 70 MB, and several are kept.
_LEAST_DISK, _ENOUGH_DISK = 200 << 20, 2 << 30
#: Bytes. A run from the shipped prior takes 1.4 GB in batches of 128, a third of it for torch and RDKit.
_LEAST_MEMORY, _ENOUGH_MEMORY = 500 << 20, 2 << 30
#: How much faster bfloat16 has to be before it is worth a word; the rest is noise.
_FASTER = 1.1


@dataclass(frozen=True)
class Check:
    """What was looked at, what was found, and what to do about it.

    Attributes:
        status: problem where no run is possible until it is mended; note where runs go on without something.
        exit_code: of the command, for a problem.
    """

    name: str
    status: Status
    text: str
    advice: str = ""
    exit_code: int = 0

    @property
    def line(self) -> str:
        """The finding and the advice, on one line."""
        line = " ".join((f"{self.text}; {self.advice}" if self.advice else self.text).split())
        return "".join(letter if letter.isprintable() else "?" for letter in line)


def python() -> Check:
    """Whether this Python is one that the program is made for."""
    from moldesign.records import packages

    here, bounds = platform.python_version(), packages.python_bounds()
    if packages.within(here, bounds):
        return Check("Python", "ok", f"{here} (made for {bounds or 'any'})")
    return Check(
        "Python",
        "note",
        f"{here}, and the program is made for {bounds}",
        "make an environment with one of these",
    )


def needed() -> Check:
    """Whether every package that a run needs is installed, in a version that will do."""
    from moldesign.records import packages

    always = [one for one in packages.requirements() if not one.extra]
    if not always:
        return Check(
            "packages", "note", "the program runs without being installed", "install it: pip install -e ."
        )
    missing = [f"{one.name}{one.bounds}" for one in always if one.version is None]
    if missing:
        return Check(
            "packages", "problem", f"missing: {', '.join(missing)}", f"pip install {_quoted(missing)}", 1
        )
    old = [one for one in always if not one.met]
    if old:
        here = ", ".join(f"{one.name} {one.version} (wanted: {one.bounds})" for one in old)
        wanted = _quoted(f"{one.name}{one.bounds}" for one in old)
        return Check("packages", "note", here, f"pip install --upgrade {wanted}")
    return Check("packages", "ok", f"the {len(always)} that a run needs are installed")


def extras() -> list[Check]:
    """For each extra whether it is installed, what it is for, and the command that installs it."""
    from moldesign.records import packages

    found = []
    for name, purpose in EXTRAS.items():
        needs = [one for one in packages.requirements() if one.extra == name]
        unmet = [one for one in needs if not one.met]
        if needs and not unmet:
            here = ", ".join(f"{one.name} {one.version}" for one in needs)
            found.append(Check(f"extra {name}", "ok", f"{here}: {purpose}"))
            continue
        old = ", ".join(f"{one.name} {one.version} is too old" for one in unmet if one.version)
        found.append(
            Check(
                f"extra {name}",
                "note",
                f"{old or 'not installed'}: {purpose}",
                f"if wanted, pip install '{packages.DISTRIBUTION}[{name}]'",
            )
        )
    return found


def torch_works() -> Check:
    """Whether torch can be loaded, its version and build."""
    from moldesign.records import packages

    try:
        import torch
    except Exception as error:  # a library that is missing or of another build fails in many ways
        return Check(
            "torch",
            "problem",
            f"cannot be loaded ({type(error).__name__}: {error})",
            "install it again: pip install --force-reinstall torch",
            1,
        )
    build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
    instructions = torch.backends.cpu.get_cpu_capability()
    version = packages.version("torch") or torch.__version__
    return Check("torch", "ok", f"{version}, {build}, {instructions} on the processor")


def gpu(device: Mapping[str, Any], nvidia: Mapping[str, Any], hidden: str | None) -> Check:
    """Whether torch, driver and GPU go together.

    Args:
        device: as `device_facts` has it. nvidia: what nvidia-smi says.
        hidden: the variable CUDA_VISIBLE_DEVICES, None where it is not set.
    """
    build, driver, cuda = device["cuda_build"], nvidia.get("driver"), nvidia.get("cuda")
    if device["gpus"]:
        serves = f"; driver {driver}, which serves CUDA {cuda}" if driver and cuda else ""
        return Check("GPU", "ok", f"{', '.join(device['gpus'])}; torch built for CUDA {build}{serves}")
    if "error" in nvidia:
        return Check(
            "GPU",
            "note",
            f"nvidia-smi fails ({nvidia['error']}): runs use the processor",
            "after an update of the driver, restart the machine; else install the driver again",
        )
    gpus = ", ".join(nvidia.get("gpus", []))
    if not gpus:
        if build is None:
            return Check("GPU", "ok", "none: runs use the processor")
        return Check(
            "GPU",
            "note",
            f"none that an NVIDIA driver shows, and torch is built for CUDA {build}: runs use the processor",
            "in a container, start it with --gpus all; without a GPU there is nothing to do",
        )
    if build is None:
        return Check(
            "GPU",
            "note",
            f"{gpus} is here, and this torch is built without CUDA: runs use the processor",
            "install the build for CUDA: pip install --force-reinstall torch (driver 580 or newer; "
            "for an older one add --index-url https://download.pytorch.org/whl/cu126)",
        )
    if cuda and _major(cuda) < _major(build):
        return Check(
            "GPU",
            "note",
            f"{gpus}: driver {driver} serves CUDA {cuda} at most, and torch is built for CUDA {build}: "
            "runs use the processor",
            f"update the driver, or install a torch for CUDA {_major(cuda)} from https://download.pytorch.org/whl",
        )
    if hidden is not None:
        return Check(
            "GPU",
            "note",
            f"{gpus} is hidden from torch by CUDA_VISIBLE_DEVICES={hidden!r}: runs use the processor",
            "unset it to use the GPU",
        )
    return Check(
        "GPU",
        "note",
        f"{gpus} is here, and torch cannot use it, though driver and build fit: runs use the processor",
        "see why: python -c 'import torch; torch.zeros(1).cuda()'",
    )


def arithmetic(device: Mapping[str, Any], rates: Mapping[str, float], threads: int) -> Check:
    """What bfloat16 gains here over float32, and which of them runs use.

    Args:
        rates: GFLOP/s, as `product_rates` gives them.
    """
    name = "bf16"
    full, half = rates["float32"], rates["bfloat16"]
    plural = "" if threads == 1 else "s"
    where = "on the GPU" if device["type"] == "cuda" else f"with {threads} thread{plural}"
    speeds = f"{half:,.0f} GFLOP/s in bf16 and {full:,.0f} in fp32 {where}"
    if device["precision"] == "float32":
        return Check(
            name,
            "note",
            f"not in hardware here: runs multiply in fp32 ({speeds})",
            "nothing to mend; a GPU, or a processor with AVX512_BF16 or AMX, is faster",
        )
    if half >= _FASTER * full:
        return Check(name, "ok", f"{half / full:.1f} times as fast as fp32, and runs use it ({speeds})")
    return Check(
        name,
        "note",
        f"no faster than fp32 in this moment, and runs use it ({speeds})",
        "is another program busy? Ask again on a quiet machine",
    )


def gpu_broken(error: Exception) -> Check:
    """That the device on which runs would compute cannot multiply."""
    return Check(
        "GPU",
        "problem",
        f"torch sees it and cannot compute on it ({str(error).strip().splitlines()[0]})",
        "see with nvidia-smi whether another program holds it; install a torch made for this GPU; or use the "
        "processor: CUDA_VISIBLE_DEVICES= moldesign ...",
        ResourceError.exit_code,
    )


def rdkit() -> Check:
    """Whether RDKit reads, scores and writes a molecule."""
    from moldesign.records import packages

    broken = "install it again: pip install --force-reinstall rdkit"
    try:
        from moldesign.chem import molecules
        from moldesign.chem.drawing import mol_block
        from moldesign.rewards.scoring import score

        mol = molecules.read("OC(=O)c1ccccc1OC(C)=O")
        text, lines = molecules.to_smiles(mol), mol_block(mol).splitlines()
        value = float(score("qed", [text])["score"].iloc[0])
    except Exception as error:  # a library that is missing or of another build fails in many ways
        return Check("RDKit", "problem", f"does not work ({type(error).__name__}: {error})", broken, 1)
    if text != "CC(=O)Oc1ccccc1C(=O)O" or abs(value - 0.55) > 0.01 or not lines[3].endswith("V2000"):
        said = f"reads aspirin as {text} with a QED of {value:.3f}, not CC(=O)Oc1ccccc1C(=O)O with 0.550"
        return Check("RDKit", "problem", said, broken, 1)
    return Check(
        "RDKit", "ok", f"{packages.version('rdkit')}; aspirin is read, drawn, and has a QED of {value:.3f}"
    )


def run_folder(path: Path) -> Check:
    """Whether a run can be written there."""
    return _folder("run folder", path, ResourceError.exit_code)


def cache_folder() -> Check:
    """Whether the cache folder can be written to: runs go on without."""
    from moldesign.assets import home

    return _folder("cache folder", home(), 0)


def _folder(name: str, path: Path, exit_code: int) -> Check:
    """Whether files can be made in the folder, and how much fits; at exit code 0 only notes come of it."""
    bad: Status = "problem" if exit_code else "note"
    elsewhere = (
        "choose another folder (-o)" if exit_code else "set MOLDESIGN_HOME to a folder that you may write to"
    )
    # It need not exist: it would be made in the nearest one that does.
    there = path.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there) as handle:
            handle.write(b"." * 4096)
            handle.flush()
        system = os.statvfs(there)
    except OSError as error:
        reason = error.strerror or str(error)
        return Check(name, bad, f"{there} cannot be written to ({reason})", elsewhere, exit_code)
    free = system.f_bavail * system.f_frsize
    if system.f_files and not system.f_favail:
        return Check(name, bad, f"no more files fit on the disk of {there}", "delete some", exit_code)
    if free < _LEAST_DISK:
        return Check(
            name, bad, f"{path}: {_size(free)} free", "free some disk space, or " + elsewhere, exit_code
        )
    if free < _ENOUGH_DISK:
        return Check(name, "note", f"{path}: {_size(free)} free", "enough for small runs only")
    return Check(name, "ok", f"{path}: can be written to, {_size(free)} free")


def memory(free: int | None, limit: int | None) -> Check:
    """Whether a run fits. Bytes; the limit is the control group's, None for none."""
    limited = "" if limit is None else f" (the control group's limit is {_size(limit)})"
    if free is None:
        return Check("memory", "note", "the system does not say how much is free")
    if free < _LEAST_MEMORY:
        return Check(
            "memory",
            "problem",
            f"{_size(free)} free{limited}: a run does not fit",
            "end other programs, or ask the scheduler for more",
            ResourceError.exit_code,
        )
    if free < _ENOUGH_MEMORY:
        advice = "a run from the shipped prior takes 1.4 GB: a smaller --batch-size takes less"
        return Check("memory", "note", f"{_size(free)} free{limited}", advice)
    return Check("memory", "ok", f"{_size(free)} free{limited}")


def processors(usable: int, quota: float | None, threads: int) -> Check:
    """How many processors there are for this process, and the threads that the network would use."""
    allowed = "" if quota is None else f"; the control group's quota is {quota:g}"
    plural = "" if threads == 1 else "s"
    text = f"{usable} of {os.cpu_count()} usable{allowed}; the network uses {threads} thread{plural}"
    if threads > usable:
        chosen = next((name for name in ("MOLDESIGN_THREADS", "OMP_NUM_THREADS") if os.environ.get(name)), "")
        return Check(
            "processors",
            "note",
            text,
            f"threads without a processor hold up the others: {f'unset {chosen}' if chosen else 'use fewer'}",
        )
    return Check("processors", "ok", text)


def priors() -> Iterator[Check]:
    """For each prior at hand whether it is what was saved, and a shipped one the file that was shipped."""
    from moldesign import assets
    from moldesign.files import sha256
    from moldesign.policy.checkpoint import load_policy

    again = "install the program again: pip install --force-reinstall moldesign-rl"
    found = assets.priors()
    if not any(assets.shipped(path) for path in found.values()):
        yield Check("priors", "problem", "none came with this install", again, CheckpointError.exit_code)
    for name, path in found.items():
        ours = assets.shipped(path)
        wrong: Status = "problem" if ours else "note"
        code, advice = (CheckpointError.exit_code, again) if ours else (0, "copy it again, or delete it")
        try:
            load_policy(path)
            digest = sha256(path)
            card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8")) if ours else {}
        except CheckpointError as error:
            yield Check(f"prior {name}", wrong, str(error), advice, code)
        except (OSError, ValueError) as error:
            yield Check(f"prior {name}", wrong, f"{path}: cannot be read ({error})", advice, code)
        else:
            if ours and card.get("sha256") != digest:
                text = f"{path}: not the file that was shipped (SHA-256 {digest[:12]}…)"
                yield Check(f"prior {name}", wrong, text, advice, code)
            else:
                shipped = ", the file that was shipped" if ours else ""
                yield Check(f"prior {name}", "ok", f"whole{shipped} (SHA-256 {digest[:12]}…)")


def _quoted(names: Any) -> str:
    return " ".join(f"'{name}'" for name in names)


def _major(version: str) -> int:
    return int(version.partition(".")[0])


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"
