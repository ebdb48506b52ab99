"""What stands in an ONNX file, as far as it matters before one is loaded."""

from __future__ import annotations

from collections.abc import Iterator

# Numbers of the fields of onnx.proto that hold messages, by message.
_MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}

#: Of a tensor: where its values lie (1: in another file), and the list that names that file.
_DATA_LOCATION, _EXTERNAL_DATA = 14, 13

#: Graphs within graphs, of which a file of a few bytes could claim any number.
_DEEPEST = 100


def refers_to_files(content: bytes) -> bool:
    """Whether a tensor of the model has its values in a file beside it.

    Raises:
        ValueError: no ONNX model.
    """
    return _refers(memoryview(content), "model", 0)


def _refers(data: memoryview, message: str, depth: int) -> bool:
    if depth > _DEEPEST:
        raise ValueError(f"graphs nested more than {_DEEPEST} deep")
    inner = _MESSAGES[message]
    for number, value in _fields(data):
        if message == "tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value == 1)):
            return True
        if number in inner and isinstance(value, memoryview) and _refers(value, inner[number], depth + 1):
            return True
    return False


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a message of protocol buffers; what is fixed in size is left out."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield number, value
        elif kind == 2:
            size, place = _varint(data, place)
            if size > len(data) - place:
                raise ValueError("cut short")
            yield number, data[place : place + size]
            place += size
        elif kind in (1, 5):
            place += 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind}")


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise ValueError("cut short")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number without end")
