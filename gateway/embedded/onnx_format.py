"""The part of the ONNX file format that is needed to write a model: protocol buffer messages, field by field.

The field numbers are those of onnx.proto3. This avoids the `onnx` package, which is larger than all shipped models.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

IR_VERSION, OPSET, CONTRIB_OPSET = 10, 18, 1
CONTRIB = "com.microsoft"
FLOAT, INT32, INT64 = 1, 6, 7
TYPES = {np.dtype(np.float32): FLOAT, np.dtype(np.int32): INT32, np.dtype(np.int64): INT64}
Tensor = npt.NDArray[np.float32] | npt.NDArray[np.int64]
Dimension = int | str


def model(graph: bytes) -> bytes:
    opsets = [_text(1, domain) + _integer(2, version) for domain, version in (("", OPSET), (CONTRIB, CONTRIB_OPSET))]
    return _integer(1, IR_VERSION) + _block(7, graph) + b"".join(_block(8, opset) for opset in opsets)


def graph(
    nodes: Sequence[bytes], tensors: Mapping[str, Tensor], inputs: Sequence[bytes], outputs: Sequence[bytes]
) -> bytes:
    parts = [_block(1, part) for part in nodes] + [_text(2, "decoder")]
    parts += [_block(5, _tensor(name, values)) for name, values in tensors.items()]
    parts += [_block(11, part) for part in inputs] + [_block(12, part) for part in outputs]
    return b"".join(parts)


def node(
    kind: str, inputs: Sequence[str], outputs: Sequence[str], domain: str = "", **attributes: float | int
) -> bytes:
    """One operator; an empty name omits an optional input or output."""
    parts = [_text(1, name) for name in inputs] + [_text(2, name) for name in outputs] + [_text(4, kind)]
    parts += [_block(5, _attribute(name, value)) for name, value in attributes.items()]
    return b"".join([*parts, _text(7, domain)])


def value(name: str, kind: int, shape: Sequence[Dimension]) -> bytes:
    """An input or output of the graph; named dimensions are dynamic."""
    sizes = [_text(2, size) if isinstance(size, str) else _integer(1, size) for size in shape]
    tensor = _integer(1, kind) + _block(2, b"".join(_block(1, size) for size in sizes))
    return _text(1, name) + _block(2, _block(1, tensor))


def _tensor(name: str, values: Tensor) -> bytes:
    sizes = b"".join(_integer(1, size) for size in values.shape)
    return sizes + _integer(2, TYPES[values.dtype]) + _text(8, name) + _block(9, values.tobytes())


def _attribute(name: str, value: float | int) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _integer(3, value) + _integer(20, 2)
    return _text(1, name) + _varint(2 << 3 | 5) + struct.pack("<f", value) + _integer(20, 1)


def _integer(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number % 2**64)


def _text(field: int, text: str) -> bytes:
    return _block(field, text.encode())


def _block(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)
