"""The safetensors format: a JSON header and raw bytes, without needing the package."""

from __future__ import annotations

import json
import math
import os
import struct
from typing import IO, Any

from jtorch import _dtypes
from jtorch._core.storage.host_memory import contiguous_strides

from ._storage import HostStorage, aligned_bytes, tensor_of
from ._zip import read_fully

_NAMES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "U16": "uint16", "I32": "int32", "U32": "uint32", "I64": "int64",
    "U64": "uint64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64", "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu", "C64": "complex64",
}  # fmt: skip


_MAX_HEADER = 100_000_000  # as in the format's own library


def load_file(path: str, device: str = "cpu") -> dict[str, Any]:
    """The tensors of a safetensors file by name. RuntimeError for a file that does not hold what its header says."""
    with open(path, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        entries, start = _header(stream, path, size)
        found, at = {}, 0
        for name, dtype, shape, first, last in sorted(entries, key=lambda entry: entry[3:]):
            kind = _dtypes.ALL[dtype]
            _need(path, first == at and last - first == math.prod(shape) * kind.itemsize and start + last <= size, f"the place of {name[:80]!r} in it is wrong")
            at = last
            stream.seek(start + first)
            data = aligned_bytes(last - first)
            _need(path, read_fully(stream, data) == last - first, "it is shorter than its header says")
            found[name] = tensor_of(HostStorage(data, dtype, device), 0, shape, contiguous_strides(tuple(shape)), dtype)
        _need(path, start + at == size, "it has bytes that its header does not name")
    return {name: found[name] for name, *_ in entries}


def _need(path: str, holds: bool, what: str) -> None:
    if not holds:
        raise RuntimeError(f"Error while deserializing {path}: {what}")


def _header(stream: IO[bytes], path: str, size: int) -> tuple[list[tuple[str, str, list[int], int, int]], int]:
    """``(name, type, shape, first byte, last byte)`` of each tensor, and where the bytes begin."""
    head = stream.read(8)
    _need(path, len(head) == 8, "header too small")
    (length,) = struct.unpack("<Q", head)
    _need(path, length <= min(_MAX_HEADER, size - 8), "header too large")
    try:
        header = json.loads(stream.read(length))
    except (ValueError, RecursionError):
        raise RuntimeError(f"Error while deserializing {path}: invalid JSON in header") from None
    _need(path, type(header) is dict, "invalid JSON in header")
    entries = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        _need(path, type(entry) is dict and entry.keys() == {"dtype", "shape", "data_offsets"}, f"the header's entry of {name[:80]!r} is not one")
        dtype, shape, place = _NAMES.get(str(entry["dtype"])[:20]), entry["shape"], entry["data_offsets"]
        _need(path, dtype is not None, f"the type of {name[:80]!r} is unknown")
        numbers = [*shape, *place] if type(shape) is list and type(place) is list and len(place) == 2 else [None]
        _need(path, all(type(n) is int and 0 <= n < 1 << 48 for n in numbers) and len(shape) <= 64, f"the sizes of {name[:80]!r} are none")
        entries.append((name, dtype, shape, *place))
    return entries, 8 + length  # type: ignore[return-value]
