"""Where in a TOML file a fault is."""

from __future__ import annotations

import re

from pydantic import ValidationError

from moldesign.rewards.strict import fault


def line_of(text: str, error: ValidationError) -> int | None:
    """The line that the first fault is on, as near as the text of a TOML file tells; None if unknown."""
    location = error.errors(include_url=False)[0]["loc"]
    message = fault(error)[1]
    lines = text.splitlines()
    start = 0
    if len(location) > 1 and location[0] == "components" and isinstance(location[1], int):
        heads = [
            i
            for i, line in enumerate(lines)
            if re.match(r"\s*\[\[\s*(objective\s*\.\s*)?components\s*\]\]", line)
        ]
        if location[1] < len(heads):
            start = heads[location[1]]
    quoted = re.findall(r"'([^']+)'", message)
    keys = [str(step) for step in reversed(location) if isinstance(step, str)]
    parameter = re.match(r"parameters\.([A-Za-z_]+)", message)
    for key in [*quoted[:1], *([parameter[1]] if parameter else []), *keys]:
        pattern = re.compile(rf"(^|[\s{{,.\[\"'])({re.escape(key)})([\s\"']*=|[\"'\]])")
        for i in range(start, len(lines)):
            if i > start and re.match(r"\s*\[\[", lines[i]) and start:
                break
            if pattern.search(lines[i].split("#")[0]):
                return i + 1
    return start + 1 if start else None
