"""What others wrote is shown without harm, and a command line without its secrets."""

from __future__ import annotations

import pytest

from moldesign.errors import DataError
from moldesign.text import is_secret, visible, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("C[C@H](N)C(=O)O", "C[C@H](N)C(=O)O"),
        ("Süß 漢字 \u00a0wide", "Süß 漢字 \u00a0wide"),
        ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
        ("\x9b31m\x7f\0", "\\x9b31m\\x7f\\x00"),
        ("a\rb\nc\td", "a\\rb\\nc\\td"),
        ("txt\u202eexe.smi\u2066", "txt\\u202eexe.smi\\u2066"),
        ("CC\udce9O", "CC\\udce9O"),
    ],
)
def test_what_does_not_print_is_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(shown) == shown
    assert visible(text).encode()


def test_an_error_carries_no_control_character() -> None:
    assert str(DataError("a\x1b[31m.smi: \x9bbad")) == "a\\x1b[31m.smi: \\x9bbad"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["--oracle-cmd", "s.py --api-key 77 --n 5"], ["--oracle-cmd", "s.py --api-key *** --n 5"]),
        (["--token", "77", "--seed", "3"], ["--token", "***", "--seed", "3"]),
        (["--password=77"], ["--password=***"]),
        (["s.py --db_password '7 7' -x"], ["s.py --db_password *** -x"]),
        (["http://me:77@host:1/x"], ["http://***@host:1/x"]),
        (["https://host/s?api_key=77&n=1"], ["https://host/s?api_key=***&n=1"]),
        (['curl -H "Authorization: Bearer 77"'], ['curl -H "Authorization: ***"']),
        (["--token", "--seed", "3", "key a lock", "--keyword", "x"],) * 2,
    ],
)
def test_secrets_of_a_command_line(given: list[str], shown: list[str]) -> None:
    assert without_secrets(given) == shown


def test_what_secrets_are_called() -> None:
    assert all(
        map(is_secret, ["Authorization", "X-API-Key", "X-Auth-Token", "Cookie", "key", "access_token"])
    )
    assert not any(map(is_secret, ["Content-Type", "X-Price", "tokenizer", "monkey", "n", "keyword"]))
