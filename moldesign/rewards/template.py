"""Text to begin from: a component of an objective in TOML, and a reward of one's own in Python."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

import numpy as np

from moldesign.chem.molecules import read
from moldesign.rewards.catalogue import BUILT_IN, label_of
from moldesign.rewards.entry import Direction, Entry
from moldesign.rewards.shaping import Linear, Plateau, Shaping, Step
from moldesign.rewards.trials import DRUGS

#: Microseconds a molecule beyond which a reward is not computed only to show it.
_DEAR_US = 100_000.0


_PYTHON = Template('''\
"""The reward $name for moldesign.

Try it:
    moldesign rewards test $file:$name --trust-plugin $file

Use it in an objective, a TOML file; the command that reads it needs --trust-plugin $file as well:
    [[components]]
    reward = "$file:$name"
"""

from pydantic import Field
from rdkit import Chem

from moldesign.rewards.entry import Entry
from moldesign.rewards.reward import Reward, per_molecule
from moldesign.rewards.shaping import Plateau
from moldesign.rewards.strict import Strict


def $name(smiles: list[str]) -> list[float | None]:
    """Share of atoms other than carbon, 0 to 1."""
    # In: a batch of canonical isomeric SMILES. Out: a number for each, in their order.
    # None: no value. The molecule is failed then, which is not a score of 0; so is one that raises alone.
    # The number must depend on the molecule only: not on the batch, on chance, or on calls before.
    values = []
    for text in smiles:
        elements = [atom.GetSymbol() for atom in Chem.MolFromSmiles(text).GetAtoms()]
        values.append(1 - elements.count("C") / len(elements))
    return values


# The same with parameters, a unit and a shaping: an Entry, named as $file:${name}_entry.


class Parameters(Strict):
    """What an objective may set: parameters = { element = "N" }."""

    element: str = Field("N", pattern="^[A-Z][a-z]?$$", description="symbol of the element that is counted")


def build(parameters: Parameters) -> Reward:
    """The reward. Called once a process: a model is loaded here, not for each molecule."""

    def count(mol: Chem.Mol) -> float:
        return sum(atom.GetSymbol() == parameters.element for atom in mol.GetAtoms())

    return per_molecule(count)  # or any function of a list of molecules that gives an array of numbers


${name}_entry = Entry(
    description="Atoms of one element",
    unit="count",
    build=build,
    parameters=Parameters,
    direction="between",  # what one usually wants: "larger" or "smaller" values, or some "between"
    example={"element": "N"},
    shaping=Plateau(low=2, high=4, buffer=2),  # from the raw value to 0..1, where the objective gives none
    cost_us=100,  # a molecule, in microseconds, roughly: cheap components are asked first
    limit_s=60,  # seconds that a molecule may take until its process is killed
    isolated=False,  # True: always in a process of its own, for what may crash or hang
    cached=False,  # True: keep values for later runs, for what is slow
    version=1,  # another number when the values change: what was kept is then computed anew
)

# To be known by its name, without a path and a flag, it goes into a package whose pyproject.toml says
#     [project.entry-points."moldesign.rewards"]
#     $name = "the_package.$name:$name"
''')


def python_file(name: str, file: str) -> str:
    """A Python file with a reward of that name that works, and an Entry beside it."""
    return _PYTHON.substitute(name=name, file=file)


def inline(value: Any) -> str:
    """A value as TOML writes it in one line. Keys whose value is None are left out."""
    if isinstance(value, Mapping):
        pairs = (f"{_key(key)} = {inline(item)}" for key, item in value.items() if item is not None)
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(inline(item) for item in value)}]"
    if isinstance(value, float):
        return repr(value)  # also of infinity, which JSON does not have
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def description(name: str, entry: Entry) -> list[str]:
    """Lines that say what the reward is, what its values mean, and its parameters with their defaults."""
    wanted = {"larger": "larger is better", "smaller": "smaller is better", "between": "wanted in a range"}
    lines = [
        f"{name}: {entry.description}",
        f"raw value: {entry.unit or 'any number'}; {wanted[entry.direction]}; "
        f"{duration(entry.cost_us * 1e-6)} a molecule",
    ]
    for key, field in entry.parameters.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if field.is_required():
            said = "required"
        else:
            said = "may be left out" if default is None else f"default {inline(default)}"
        lines.append(f"  {key}: {field.description} ({said})")
    return lines


def duration(seconds: float) -> str:
    """A time to read: 3 us, 1.2 ms, 4.5 s."""
    if not math.isfinite(seconds):
        return ""
    for scale, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def component_toml(name: str, entry: Entry) -> str:
    """A component with the example of the reward, and with a shaping where it needs one, as TOML."""
    lines = ["[[components]]", f"reward = {inline(name)}"]
    label = label_of(name)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", label):
        lines.append(f"label = {inline('reward_' + re.sub(r'[^A-Za-z0-9]', '_', label))}")
    missing = [key for key, field in entry.parameters.model_fields.items()
               if field.is_required() and key not in entry.example]  # fmt: skip
    if missing:
        lines.append(f"# it needs parameters: {', '.join(missing)}")
    if entry.example:
        lines.append(f"parameters = {inline(entry.example)}")
    if entry.shaping is not None:
        lines.append(f"# its shaping if it is given none: {_shaping(entry.shaping)}")
    elif not entry.unit_interval:
        # A plugin may hang or crash, and what is shown is made in the process of the command.
        values = _of_drugs(entry) if BUILT_IN.get(name) is entry else []
        origin = "from the values of some drugs" if values else "any numbers"
        lines.append(f"# {origin}: take limits of your own")
        lines.append(f"shaping = {_shaping(shaping_for(entry.direction, values or [0.0, 1.0]))}")
    return "\n".join(lines) + "\n"


def shaping_for(direction: Direction, values: Sequence[float]) -> Shaping:
    """A shaping in which some of the values are worth something, and not all of them everything.

    Larger: a ramp from the lower quartile to the largest. Smaller: from the largest down to the lower
    quartile. Between: the middle half, or what most of them are.
    """
    # Values that occur: a count stays one.
    low = _rounded(np.quantile(values, 0.25, method="lower"))
    high = _rounded(np.quantile(values, 0.75, method="higher"))
    least, most = _rounded(min(values)), _rounded(max(values))
    if least == most:
        low, most = least, most + 1.0
    if direction == "larger":
        return Linear(zero=low if low < most else least, one=most)
    if direction == "smaller":
        return Linear(zero=most, one=low if low < most else least)
    if low < high:
        return Plateau(low=low, high=high, buffer=_rounded((high - low) / 2))
    return Step(low=low, high=high)


def _of_drugs(entry: Entry) -> list[float]:
    """Values of some drugs; none where they cannot be had at once, or come from outside."""
    if entry.isolated or entry.group == "external" or entry.cost_us > _DEAR_US:
        return []
    try:
        parameters = entry.parameters.model_validate(dict(entry.example))
        values = entry.build(parameters)([read(smiles) for smiles in DRUGS.values()])
    except Exception:  # a file that is not there, or an extra
        return []
    return [value for value in np.asarray(values).tolist() if math.isfinite(value)]


def _shaping(shaping: Shaping) -> str:
    return inline({"kind": shaping.kind, **shaping.model_dump(exclude={"kind"}, exclude_defaults=True)})


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else inline(key)
