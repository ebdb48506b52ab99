"""Objects sent between a process and its workers, which cannot make it wait."""

from __future__ import annotations

import pickle
import socket
import struct
from typing import Any

#: Bytes that every message begins with, so that what a stranger writes is known from a message at once.
_MARK = b"mold"

#: The mark and the size of what follows.
_HEADER = struct.Struct(f"!{len(_MARK)}sQ")

#: The longest message, in bytes. Scores of a million molecules are shorter.
MAX_MESSAGE = 2**30

_PIECE = 2**18


class Garbled(Exception):
    """What came is no message."""


def send(connection: socket.socket, message: object) -> None:
    """Send a message, and wait until it is gone. Raises OSError."""
    connection.sendall(_packed(message))


def receive(connection: socket.socket) -> Any:
    """The next message, once it is there. Raises EOFError at the end, OSError and Garbled."""
    return _unpacked(_exactly(connection, _size(_exactly(connection, _HEADER.size))))


class Channel:
    """Our end of a connection: nothing that the other end does, or leaves undone, makes it wait.

    Attributes:
        theirs: the other end, to be closed here once another process has it.
    """

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._incoming = bytearray()
        self._outgoing = bytearray()

    def fileno(self) -> int:
        """The descriptor, for a selector."""
        return self._ours.fileno()

    @property
    def unsent(self) -> bool:
        """Whether `flush` has something left to do."""
        return bool(self._outgoing)

    def send(self, message: object) -> None:
        """Send a message, as far as that goes at once; `flush` sends the rest."""
        self._outgoing += _packed(message)
        self.flush()

    def flush(self) -> None:
        """Send what the other end takes at once. Where there is none any more, `receive` says so."""
        try:
            while self._outgoing:
                del self._outgoing[: self._ours.send(self._outgoing[:_PIECE])]
        except BlockingIOError:
            pass
        except OSError:
            self._outgoing.clear()

    def receive(self) -> Any | None:
        """The next message; None while it is not wholly there.

        Raises:
            EOFError: the other end is closed.
            Garbled: no message, or one that is too long.
        """
        while (missing := self._missing()) > 0:
            try:
                piece = self._ours.recv(min(missing, _PIECE))
            except BlockingIOError:
                return None
            except OSError:
                raise EOFError from None
            if not piece:
                raise EOFError
            self._incoming += piece
        body, self._incoming = bytes(self._incoming[_HEADER.size :]), bytearray()
        return _unpacked(body)

    def _missing(self) -> int:
        """Bytes to read next: of the header, then of what it announces."""
        have = len(self._incoming)
        if have < _HEADER.size:
            return _HEADER.size - have
        return _HEADER.size + _size(self._incoming[: _HEADER.size]) - have

    def close(self) -> None:
        """Close our end: the other one comes to the end of what there is."""
        self._ours.close()


def _packed(message: object) -> bytes:
    body = pickle.dumps(message)
    return _HEADER.pack(_MARK, len(body)) + body


def _size(header: bytes | bytearray) -> int:
    mark, size = _HEADER.unpack(header)
    if mark != _MARK or not 0 < size <= MAX_MESSAGE:
        raise Garbled("not the header of a message")
    return int(size)


def _unpacked(body: bytes) -> Any:
    try:
        return pickle.loads(body)
    except Exception as error:
        raise Garbled(f"{type(error).__name__}: {error}") from None


def _exactly(connection: socket.socket, size: int) -> bytes:
    body = bytearray()
    while len(body) < size:
        if not (piece := connection.recv(min(size - len(body), _PIECE))):
            raise EOFError
        body += piece
    return bytes(body)
