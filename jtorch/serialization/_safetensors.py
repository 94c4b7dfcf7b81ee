"""The safetensors format: a JSON header and raw bytes, without needing the package."""

from __future__ import annotations

import json
import struct
from typing import Any

from jtorch import _dtypes

from ._storage import HostStorage, aligned_bytes, tensor_of
from ._zip import read_fully

_NAMES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "U16": "uint16", "I32": "int32", "U32": "uint32", "I64": "int64",
    "U64": "uint64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64", "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu", "C64": "complex64",
}  # fmt: skip


def load_file(path: str, device: str = "cpu") -> dict[str, Any]:
    """The tensors of a safetensors file by name."""
    with open(path, "rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
        start = 8 + length
        found = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            first, last = entry["data_offsets"]
            stream.seek(start + first)
            data = aligned_bytes(last - first)
            if read_fully(stream, data) != last - first:
                raise RuntimeError(f"{path} is shorter than its header says")
            dtype, shape = _NAMES[entry["dtype"]], entry["shape"]
            stride = [1] * len(shape)
            for dim in range(len(shape) - 2, -1, -1):
                stride[dim] = stride[dim + 1] * max(shape[dim + 1], 1)
            assert _dtypes.ALL[dtype].np is not None
            found[name] = tensor_of(HostStorage(data, dtype, device), 0, shape, stride, dtype)
    return found
