"""What files, plugins and other programs say, as a terminal may be shown it."""

from __future__ import annotations

from rich.text import Text

from moldesign.text import visible


def plain(value: object, style: str = "") -> Text:
    """The value as a cell of a table: brackets in it are no style, control characters are escapes."""
    return Text(visible(str(value), keep="\n"), style=style)
