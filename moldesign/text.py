"""Text of others, fit to be shown and kept: nothing in it steers a terminal, no secret stands in it."""

from __future__ import annotations

import contextlib
import re
import sys
import unicodedata
from collections.abc import Sequence

#: What a secret is called: in options, headers and addresses.
_SECRET = (
    r"(?:[\w-]{0,40}(?:token|secret|passw(?:or)?d|passphrase|credentials?|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|authorization|cookie|signature)|auth|key|pwd|sig)"
)
_VALUE = r"(?:\"[^\"]*\"|'[^']*'|[^\s&;,'\"]+)"
#: An option with its value, `NAME=VALUE`, and a header, each as it may stand within one argument.
_GIVEN = [
    re.compile(rf"(?<![\w-])(--?{_SECRET}(?:=|\s+))(?!-){_VALUE}", re.IGNORECASE),
    re.compile(rf"(?<![\w-])({_SECRET}=){_VALUE}", re.IGNORECASE),
    re.compile(rf"(?<![\w-])({_SECRET}:\s*)[^'\"]+", re.IGNORECASE),
    re.compile(r"(://)[^\s/@]+(?=@)"),
]
_OPTION = re.compile(rf"--?{_SECRET}", re.IGNORECASE)

#: What stands in the place of a secret.
HIDDEN = "***"


def tell(line: str) -> None:
    """Write a line to stderr; nothing if nobody reads it any more, for which no run should end."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def visible(text: str, keep: str = "") -> str:
    r"""The text with all that does not print written as an escape, such as `\x1b`.

    That is control characters, with which text could move the cursor, name a window or forge a line; marks
    that turn the direction of writing; and lone surrogates, which no file takes. What prints stays as it is.

    Args:
        keep: characters that stay too, such as a line break.
    """
    if text.isprintable():
        return text
    return "".join(one if _prints(one) or one in keep else _escaped(one) for one in text)


def is_secret(name: str) -> bool:
    """Whether what has this name (a header, a parameter of an address) is most likely a secret."""
    return re.fullmatch(_SECRET, name, re.IGNORECASE) is not None


def without_secrets(arguments: Sequence[str]) -> list[str]:
    """A command line with `***` for values of options named like secrets, and for users in addresses."""
    shown: list[str] = []
    hide = False
    for argument in arguments:
        if hide and not argument.startswith("-"):
            shown.append(HIDDEN)
        else:
            text = argument
            for given in _GIVEN:
                text = given.sub(rf"\1{HIDDEN}", text)
            shown.append(text)
        hide = _OPTION.fullmatch(argument) is not None
    return shown


def _prints(character: str) -> bool:
    # Spaces of other widths are no printable characters to Python, and do no harm.
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
