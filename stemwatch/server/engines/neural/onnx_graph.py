"""An ONNX graph, put together node by node, and its bytes: no library of anybody's is needed.

ONNX is protobuf, and a graph uses a dozen of its fields. Their numbers are those of `onnx.proto`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from stemwatch.server.engines.spectral.stft import Array

OPSET, IR_VERSION = 20, 9
FLOAT, INT64 = 1, 7  # TensorProto.DataType
_A_FLOAT, _A_INT, _A_STRING, _A_INTS = 1, 2, 3, 7  # AttributeProto.AttributeType

Shape = tuple[int, ...]


class Graph:
    """Nodes in the order in which they run. Every tensor is known by its name."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._constants: list[tuple[bytes, Array]] = []
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []

    def __len__(self) -> int:
        return len(self._nodes)

    def input(self, name: str, shape: Shape) -> str:
        """A float32 tensor that is given at each run."""
        self._inputs.append(_value(name, shape))
        return name

    def output(self, name: str, tensor: str, shape: Shape) -> None:
        """Call `tensor` by `name` to the outside."""
        self._nodes.append(_node("Identity", [tensor], [name], {}))
        self._outputs.append(_value(name, shape))

    def constant(self, values: Any) -> str:
        """A tensor that never changes: integers as int64, everything else as float32."""
        array = np.asarray(values)
        array = np.ascontiguousarray(array, "<i8" if array.dtype.kind == "i" else "<f4")
        name = f"c{len(self._constants)}"
        kind = INT64 if array.dtype.kind == "i" else FLOAT
        head = b"".join(_varint(1, size) for size in array.shape)
        self._constants.append((head + _varint(2, kind) + _text(8, name), array))
        return name

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """The one output of a new node."""
        name = f"t{len(self._nodes)}"
        self._nodes.append(_node(op, inputs, [name], attributes))
        return name

    def parts(self) -> Iterator[bytes | memoryview]:
        """The file's bytes, in pieces: weights are given as they lie in memory, never copied."""
        nodes = b"".join(_bytes(1, node) for node in self._nodes) + _text(2, "stemwatch")
        constants = [
            (_head(5, len(head) + len(mark) + array.nbytes) + head + mark, array)
            for head, array in self._constants
            for mark in [_head(9, array.nbytes)]
        ]
        ends = b"".join(_bytes(11, one) for one in self._inputs)
        ends += b"".join(_bytes(12, one) for one in self._outputs)
        size = len(nodes) + sum(len(head) + array.nbytes for head, array in constants) + len(ends)
        yield _varint(1, IR_VERSION) + _text(2, "stemwatch") + _bytes(8, _varint(2, OPSET))
        yield _head(7, size) + nodes
        for head, array in constants:
            yield head
            yield array.data.cast("B") if array.size else b""
        yield ends


def _node(op: str, inputs: Sequence[str], outputs: Sequence[str], given: dict[str, Any]) -> bytes:
    names = b"".join(_text(1, name) for name in inputs)
    names += b"".join(_text(2, name) for name in outputs)
    attributes = b"".join(_bytes(5, _attribute(name, value)) for name, value in given.items())
    return names + _text(3, outputs[0]) + _text(4, op) + attributes


def _attribute(name: str, value: Any) -> bytes:
    if isinstance(value, float):
        content, kind = _key(2, 5) + struct.pack("<f", value), _A_FLOAT
    elif isinstance(value, int):
        content, kind = _varint(3, value), _A_INT
    elif isinstance(value, str):
        content, kind = _text(4, value), _A_STRING
    else:
        content, kind = b"".join(_varint(8, one) for one in value), _A_INTS
    return _text(1, name) + content + _varint(20, kind)


def _value(name: str, shape: Shape) -> bytes:
    sizes = b"".join(_bytes(1, _varint(1, size)) for size in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _varint(1, FLOAT) + _bytes(2, sizes)))


def _varint(field: int, value: int) -> bytes:
    return _key(field, 0) + _number(value)


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _bytes(field: int, content: bytes) -> bytes:
    return _head(field, len(content)) + content


def _head(field: int, length: int) -> bytes:
    """What stands before `length` bytes of a field's content."""
    return _key(field, 2) + _number(length)


def _key(field: int, wire: int) -> bytes:
    return _number(field << 3 | wire)


def _number(value: int) -> bytes:
    """Seven bits a byte, the lowest first; a negative one as 64 bits."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
