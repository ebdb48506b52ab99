"""Messages over a real pair of sockets, and what a stranger may do to them."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterator

import pytest

from moldesign.rewards.messages import MAX_MESSAGE, Channel, Garbled, receive, send


@pytest.fixture
def channel() -> Iterator[Channel]:
    one = Channel()
    one.theirs.settimeout(30)
    with one.theirs:
        yield one
    one.close()


def test_messages_come_as_they_were_sent(channel: Channel) -> None:
    assert channel.receive() is None
    messages: list[object] = [{"smiles": ["CCO"]}, "x" * 50_000, []]
    for message in messages:
        send(channel.theirs, message)
        channel.send(message)
        assert channel.receive() == receive(channel.theirs) == message
    assert channel.receive() is None


def test_nobody_waits_for_what_is_not_read(channel: Channel) -> None:
    # More than a socket holds.
    channel.send("x" * 5_000_000)
    assert channel.unsent
    size = len(pickle.dumps("x" * 5_000_000)) + 12
    while size:
        size -= len(channel.theirs.recv(size))
        channel.flush()
    assert not channel.unsent


def test_nobody_waits_for_what_is_not_sent(channel: Channel) -> None:
    channel.theirs.sendall(struct.pack("!4sQ", b"mold", 1_000_000))
    assert channel.receive() is None
    channel.theirs.sendall(b"x")
    assert channel.receive() is None


@pytest.mark.parametrize(
    "written",
    [
        b"what a reward printed",
        struct.pack("!4sQ", b"mold", 0),
        struct.pack("!4sQ", b"mold", MAX_MESSAGE + 1),
        struct.pack("!4sQ", b"mold", 3) + b"abc",
    ],
)
def test_what_is_no_message_is_known(channel: Channel, written: bytes) -> None:
    channel.theirs.sendall(written)
    with pytest.raises(Garbled):
        channel.receive()
    send(channel.theirs, "too late")


def test_the_end(channel: Channel) -> None:
    send(channel.theirs, 1)
    channel.theirs.close()
    assert channel.receive() == 1
    with pytest.raises(EOFError):
        channel.receive()
    channel.send("nobody reads this")
    assert not channel.unsent
    other = Channel()
    other.close()
    with pytest.raises(EOFError):
        receive(other.theirs)
    other.theirs.close()
