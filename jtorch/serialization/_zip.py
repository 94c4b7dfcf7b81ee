"""The zip container of torch.save: uncompressed records, each one's data aligned to 64 bytes, under one top directory."""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import IO, Any

import numpy as np

from ._state import settings
from ._storage import aligned_bytes

_LOCAL, _CENTRAL, _DESCRIPTOR = b"PK\x03\x04", b"PK\x01\x02", b"PK\x07\x08"
_FLAGS = 0x0808  # sizes follow the data; names are UTF-8
_CORRUPT = (
    ". This is an internal miniz error. If you are seeing this error, there is a high likelihood that your checkpoint file is corrupted. "
    "This can happen if the checkpoint was not saved properly, was transferred incorrectly, or the file was modified after saving."
)
_MAX32 = 0xFFFFFFFF


class ZipWriter:
    """Writes records as torch's C++ writer lays them out, so that torch can compute offsets without reading headers."""

    def __init__(self, stream: IO[bytes], top: str) -> None:
        self._stream, self._top, self._at = stream, top, 0
        self._entries: list[tuple[bytes, int, int, int]] = []

    def _put(self, data: Any) -> None:
        self._stream.write(data)
        self._at += len(data)

    def record(self, name: str, data: bytes | np.ndarray) -> None:
        """Write one record; arrays must be contiguous uint8."""
        self._header(name, len(data))
        crc = zlib.crc32(data) if settings.crc32 else 0
        if len(data):
            self._put(data if isinstance(data, bytes) else memoryview(data))
        self._descriptor(crc, len(data))

    def hole(self, name: str, size: int) -> None:
        """A record with room for ``size`` bytes that are not given."""
        self._header(name, size)
        block = bytes(min(size, 1 << 20))
        for start in range(0, size, len(block) or 1):
            self._put(block[: size - start])
        self._descriptor(0, size)

    def _header(self, name: str, size: int) -> None:
        full = f"{self._top}/{name}".encode()
        self._entry = full, self._at
        zip64 = b""
        if size >= _MAX32 or self._at >= _MAX32:
            fields = ([size, size] if size >= _MAX32 else []) + ([self._at] if self._at >= _MAX32 else [])
            zip64 = struct.pack(f"<HH{len(fields)}Q", 1, 8 * len(fields), *fields)
        start = self._at + 30 + len(full) + len(zip64) + 4
        padding = -start % settings.alignment
        extra = zip64 + b"FB" + struct.pack("<H", padding) + b"Z" * padding
        flags = _FLAGS if size else _FLAGS & ~8
        field = _MAX32 if size >= _MAX32 else 0
        # With bit 3 of the flags the sizes stand in the descriptor and the directory; here they are zero (or mark zip64).
        self._put(_LOCAL + struct.pack("<HHHHHIIIHH", 0, flags, 0, 0, 0, 0, field, field, len(full), len(extra)) + full + extra)

    def _descriptor(self, crc: int, size: int) -> None:
        name, start = self._entry
        if size:
            wide = size >= _MAX32 or start >= _MAX32
            self._put(_DESCRIPTOR + struct.pack("<IQQ" if wide else "<III", crc, size, size))
        self._entries.append((name, start, size, crc))

    def close(self) -> None:
        """Write the identifier of the file and the directory."""
        self.record("version", b"3\n")
        seen = 0
        for name, _, _, crc in self._entries:
            seen = zlib.crc32(name + struct.pack("<I", crc), seen) ^ (seen << 1 & (1 << 64) - 1)
        sums = sum(crc for *_, crc in self._entries)
        self.record(".data/serialization_id", b"%020d%020d" % (seen, sums))
        directory = self._at
        for name, start, size, crc in self._entries:
            fields = ([size, size] if size >= _MAX32 else []) + ([start] if start >= _MAX32 else [])
            extra = struct.pack(f"<HH{len(fields)}Q", 1, 8 * len(fields), *fields) if fields else b""
            size32, start32 = min(size, _MAX32), min(start, _MAX32)
            flags = _FLAGS if size else _FLAGS & ~8
            fixed = struct.pack("<HHHHHHIIIHHHHHII", 0, 0, flags, 0, 0, 0, crc, size32, size32, len(name), len(extra), 0, 0, 0, 0, start32)
            self._put(_CENTRAL + fixed + name + extra)
        length, count = self._at - directory, len(self._entries)
        end = self._at
        self._put(b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 0x031E, 45, 0, 0, count, count, length, directory))
        self._put(b"PK\x06\x07" + struct.pack("<IQI", 0, end, 1))
        short = min(count, 0xFFFF)
        self._put(b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, short, short, min(length, _MAX32), min(directory, _MAX32), 0))


class ZipReader:
    """Reads records of a zip written by any version of torch, from a seekable stream."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._origin = stream, 0
        try:
            self._zip = zipfile.ZipFile(stream)
        except zipfile.BadZipFile:
            size = stream.seek(0, 2)
            problem = "not a ZIP archive" if size < 22 else "failed finding central directory"
            raise RuntimeError(f"PytorchStreamReader failed reading zip archive: {problem}{_CORRUPT}") from None
        names = self._zip.namelist()
        if not names:
            raise RuntimeError("PytorchStreamReader failed reading zip archive: archive does not contain any files")
        self.top = names[0].partition("/")[0]

    def names(self) -> list[str]:
        """Names of the records, without the top directory."""
        return [name.partition("/")[2] for name in self._zip.namelist()]

    def has(self, name: str) -> bool:
        """Whether there is such a record."""
        return f"{self.top}/{name}" in self._zip.NameToInfo

    def _info(self, name: str) -> zipfile.ZipInfo:
        try:
            return self._zip.getinfo(f"{self.top}/{name}")
        except KeyError:
            raise RuntimeError(f"PytorchStreamReader failed locating file {name}: file not found") from None

    def offset(self, name: str) -> int:
        """Where the record's data starts in the stream. RuntimeError for a record that is compressed."""
        info = self._info(name)
        if info.compress_type != zipfile.ZIP_STORED:
            raise RuntimeError(f"record {name} is compressed and cannot be mapped")
        self._stream.seek(info.header_offset)
        header = self._stream.read(30)
        if header[:4] != _LOCAL:
            raise RuntimeError(f"PytorchStreamReader failed reading file {name}: invalid header or archive is corrupted")
        name_length, extra_length = struct.unpack("<HH", header[26:30])
        return info.header_offset + 30 + name_length + extra_length

    def read(self, name: str) -> bytes:
        """The record as bytes."""
        return self.array(name).tobytes()

    def array(self, name: str, size: int | None = None) -> np.ndarray:
        """The record as a writable, aligned uint8 array. RuntimeError when it is shorter than ``size``."""
        info = self._info(name)
        if size is not None and info.file_size < size:
            raise RuntimeError(f"PytorchStreamReader failed reading file {name}: file read failed")
        out = aligned_bytes(info.file_size if size is None else size)
        if info.compress_type != zipfile.ZIP_STORED:
            out[:] = np.frombuffer(self._zip.read(info), np.uint8)[: len(out)]
            return out
        # torch's reader does not verify checksums (files written without them are legal), so the bytes are read directly.
        self._stream.seek(self.offset(name))
        if read_fully(self._stream, out) != len(out):
            raise RuntimeError(f"PytorchStreamReader failed reading file {name}: file read failed")
        return out


def read_fully(stream: IO[bytes], out: np.ndarray) -> int:
    """Fill the array from the stream; the number of bytes that came."""
    view, done = memoryview(out), 0
    readinto = getattr(stream, "readinto", None)
    while done < len(out):
        if readinto is not None:
            count = readinto(view[done:])
        else:
            chunk = stream.read(len(out) - done)
            count = len(chunk)
            view[done : done + count] = chunk
        if not count:
            break
        done += count
    return done
