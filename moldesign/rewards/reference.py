"""The page docs/rewards.md, made of the catalogue.

Run as `python -m moldesign.rewards.reference > docs/rewards.md`; `make reference` does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from moldesign.rewards import catalogue
from moldesign.rewards.entry import Entry
from moldesign.rewards.template import inline

_HEAD = """# Rewards

Every reward of the catalogue, by group. `moldesign rewards show NAME` prints one of them with a component to
copy. How rewards become an objective is in [objectives.md](objectives.md). This page is made of the catalogue
by `make reference`.

- *Wanted*: which raw values a chemist usually wants, larger or smaller ones, or some between that the shaping
  names.
- *0 to 1*: the raw value needs no shaping. A default shaping is used where the objective gives none.
- *µs*: what a molecule of ZINC250k takes on one core, in microseconds, roughly; `make bench-rewards`
  [measures](results/rewards.json) it. It decides the order in which components are asked, cheap ones first.
- *isolated*: runs in a worker process even where one process is asked for, since it may hang or crash.
- *cached*: raw values are kept on disk for later runs ([execution.md](execution.md)).
"""


def page() -> str:
    """The page as Markdown."""
    groups: dict[str, list[str]] = {}
    for name, entry in catalogue.BUILT_IN.items():
        groups.setdefault(entry.group, []).append(name)
    parts = [_HEAD]
    for group, names in groups.items():
        parts.append(f"## {group.capitalize()}\n")
        parts.append("| name | raw value | unit | wanted | µs |\n|---|---|---|---|---|")
        parts.extend(_row(name, catalogue.BUILT_IN[name]) for name in names)
        parts.append("")
        for same, entry in _by_parameters(names):
            parts.extend(_parameters(same, entry))
    return "\n".join(parts).rstrip() + "\n"


def _row(name: str, entry: Entry) -> str:
    notes = [
        *(["0 to 1"] if entry.unit_interval and entry.unit != "0 to 1" else []),
        *([f"default shaping `{entry.shaping.kind}`"] if entry.shaping is not None else []),
        *(["isolated"] if entry.isolated else []),
        *(["cached"] if entry.cached else []),
    ]
    description = entry.description + (f" ({', '.join(notes)})" if notes else "")
    cells = [f"`{name}`", _cell(description), _cell(entry.unit), entry.direction, f"{entry.cost_us:,.0f}"]
    return f"| {' | '.join(cells)} |"


def _by_parameters(names: list[str]) -> list[tuple[list[str], Entry]]:
    """Names that take the same parameters, together."""
    together: dict[type, list[str]] = {}
    for name in names:
        together.setdefault(catalogue.BUILT_IN[name].parameters, []).append(name)
    return [(same, catalogue.BUILT_IN[same[0]]) for same in together.values()]


def _parameters(names: list[str], entry: Entry) -> Iterator[str]:
    fields = entry.parameters.model_fields
    if not fields:
        return
    yield f"{', '.join(f'`{name}`' for name in names)}: parameters\n"
    for parameter, field in fields.items():
        if field.is_required():
            default = "needed"
        else:
            value = field.get_default(call_default_factory=True)
            default = "may be left out" if value in (None, [], {}, "") else f"`{inline(value)}` if left out"
        yield f"- `{parameter}`: {field.description} ({default})"
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
