"""Writes ONNX files whose outputs are constants, in the protobuf wire format, so that tests need no package for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _int(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _part(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _tensor(name: str, array: np.ndarray) -> bytes:
    array = np.ascontiguousarray(array, np.float32)
    return b"".join(_int(1, n) for n in array.shape) + _int(2, 1) + _part(8, name) + _part(9, array.tobytes())


def _value(name: str, shape) -> bytes:
    dims = b"".join(_part(1, _int(1, n)) for n in shape)
    return _part(1, name) + _part(2, _part(1, _int(1, 1) + _part(2, dims)))


def write_constant(path: Path, size: tuple[int, int], **outputs: np.ndarray) -> Path:
    """A network that takes (1,3,height,width) of `size` (width, height) and always answers with `outputs`."""
    graph = b""
    for name in outputs:
        graph += _part(1, _part(1, f"{name}_known") + _part(2, name) + _part(4, "Identity"))
    graph += _part(2, "constant")
    graph += b"".join(_part(5, _tensor(f"{name}_known", array)) for name, array in outputs.items())
    graph += _part(11, _value("input", (1, 3, size[1], size[0])))
    graph += b"".join(_part(12, _value(name, array.shape)) for name, array in outputs.items())
    path.write_bytes(_int(1, 8) + _part(7, graph) + _part(8, _part(1, "") + _int(2, 13)))
    return path
