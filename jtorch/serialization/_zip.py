"""The zip container of torch.save: uncompressed records, each one's data aligned to 64 bytes, under one top directory."""

from __future__ import annotations

import codecs
import struct
import zipfile
import zlib
from typing import IO, Any

import numpy as np

from ._state import settings
from ._storage import aligned_bytes
from ._zip_directory import check_directory

codecs.lookup("cp437")  # zipfile reads old names with it; nothing is to be imported while a file is read
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


_OLDEST, _NEWEST = 1, 10  # versions of the container that are read
_BROKEN = (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, struct.error, EOFError, ValueError, IndexError, OverflowError, zlib.error)
_MAX_GROWTH, _ALWAYS = 100, 1 << 24  # a compressed record may grow so many times, or to so many bytes


def _check_size(info: zipfile.ZipInfo, size: int | None) -> None:
    if size is not None and info.file_size != size:
        raise RuntimeError(
            f"record size ({info.file_size} bytes) does not match expected size ({size} bytes = {size} elements * 1 bytes/element) for dtype Byte"
        )


def _broken(why: str) -> RuntimeError:
    return RuntimeError(f"PytorchStreamReader failed reading zip archive: {why}{_CORRUPT}")


class ZipReader:
    """Reads records of a zip written by any version of torch, from a seekable stream.

    What the directory says is checked against the stream before memory is taken. RuntimeError, in torch's words where it has them, for what does not fit.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.size = stream.seek(0, 2)
        self._left = self.size  # records do not overlap, so they hold no more than this in all
        check_directory(stream, self.size, _broken)
        try:
            self._zip = zipfile.ZipFile(stream)
            names = self._zip.namelist()
        except _BROKEN:
            raise _broken("failed finding central directory") from None
        if not names:
            raise RuntimeError("PytorchStreamReader failed reading zip archive: archive does not contain any files")
        self.top, slash, _ = names[0].partition("/")
        if not slash:
            raise RuntimeError("PytorchStreamReader failed reading zip archive: file in archive is not in a subdirectory: " + names[0][:200])
        self._check_directory()
        self._check_version()
        for name in (".format_version", ".storage_alignment", ".data/serialization_id"):
            if self.has(name):
                found = self.read(name)
                if name == ".storage_alignment":
                    int(found[:80])  # a ValueError, as in torch
                if name == ".data/serialization_id":
                    try:
                        found.decode()
                    except UnicodeDecodeError as error:
                        raise _broken(f"its id is not UTF-8 ({error.reason})") from None

    def _check_directory(self) -> None:
        """What zipfile does not mind, and an archive of torch never has."""
        infos = self._zip.infolist()
        for info in infos:
            if not info.filename.startswith(self.top + "/"):
                raise RuntimeError(f"PytorchStreamReader failed reading zip archive: file in archive is not in a subdirectory {self.top[:80]}/: {info.filename[:200]}")
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                what = "unsupported encryption" if info.flag_bits & 1 else "unsupported method"
                raise RuntimeError(f"PytorchStreamReader failed retrieving file meta-data for {info.filename[:200]}: {what}{_CORRUPT}")

    def _check_version(self) -> None:
        written = self.read(".data/version" if self.has(".data/version") else "version")
        if not (digits := written.split(b"\n", 1)[0].strip()).isdigit() or len(digits) > 18:
            raise RuntimeError(f"Couldn't parse the version {written[:20]!r} as Long Long.")
        version = int(digits)
        if version < _OLDEST:
            raise RuntimeError(
                f"Attempted to read a PyTorch file with version {version}, but the minimum supported version for reading is {_OLDEST}. "
                "Your PyTorch script module file is too old. Please regenerate it with latest version of PyTorch to mitigate this issue."
            )
        if version > _NEWEST:
            raise RuntimeError(
                f"Attempted to read a PyTorch file with version {version}, but the maximum supported version for reading is {_NEWEST}. "
                "The version of your PyTorch installation may be too old, please upgrade PyTorch to latest version to mitigate this issue."
            )

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
            raise RuntimeError(f"PytorchStreamReader failed locating file {name}: file not found{_CORRUPT}") from None

    def offset(self, name: str, size: int | None = None) -> int:
        """Where the record's data starts in the stream. RuntimeError for a record that is compressed, or not of ``size`` bytes."""
        info = self._info(name)
        _check_size(info, size)
        if info.compress_type != zipfile.ZIP_STORED:
            raise RuntimeError(f"record {name} is compressed and cannot be mapped")
        return self._start(name, info)

    def _start(self, name: str, info: zipfile.ZipInfo) -> int:
        self._stream.seek(max(info.header_offset, 0))
        header = self._stream.read(30)
        if header[:4] != _LOCAL or len(header) < 30 or info.header_offset < 0:
            raise RuntimeError(f"PytorchStreamReader failed reading file {name}: invalid header or archive is corrupted")
        name_length, extra_length = struct.unpack("<HH", header[26:30])
        start: int = info.header_offset + 30 + name_length + extra_length
        written = self._stream.read(name_length)
        stored = info.compress_type == zipfile.ZIP_STORED
        if written != info.orig_filename.encode("utf-8") and written != info.orig_filename.encode("cp437", "replace"):
            raise RuntimeError(f"PytorchStreamReader failed reading file {name}: invalid header or archive is corrupted")
        if (stored and info.compress_size != info.file_size) or start + info.compress_size > self.size or info.flag_bits & 1:
            raise RuntimeError(f"PytorchStreamReader failed reading file {name}: invalid header or archive is corrupted")
        return start

    def read(self, name: str) -> bytes:
        """The record as bytes."""
        return self.array(name).tobytes()

    def array(self, name: str, size: int | None = None) -> np.ndarray:
        """The record as a writable, aligned uint8 array. RuntimeError when it is not of ``size`` bytes."""
        info = self._info(name)
        _check_size(info, size)
        start = self._start(name, info)
        self._left -= info.compress_size
        if self._left < 0:
            raise RuntimeError(f"PytorchStreamReader failed reading file {name}: records overlap, archive is corrupted")
        if info.compress_type == zipfile.ZIP_STORED:
            # torch's reader does not verify checksums (files written without them are legal), so the bytes are read directly.
            out = aligned_bytes(info.file_size)
            self._stream.seek(start)
            if read_fully(self._stream, out) != len(out):
                raise RuntimeError(f"PytorchStreamReader failed reading file {name}: file read failed")
            return out
        return self._inflate(name, info)

    def _inflate(self, name: str, info: zipfile.ZipInfo) -> np.ndarray:
        if info.compress_type != zipfile.ZIP_DEFLATED:
            raise RuntimeError(f"PytorchStreamReader failed reading file {name}: unsupported method")
        if info.file_size > max(_ALWAYS, _MAX_GROWTH * info.compress_size):
            raise RuntimeError(
                f"PytorchStreamReader failed reading file {name}: {info.compress_size} compressed bytes would become {info.file_size}; "
                "torch.save does not compress, so this is taken for an attack. Pack the archive again without compression to read it."
            )
        out = aligned_bytes(info.file_size)
        try:
            with self._zip.open(info) as packed:
                done = read_fully(packed, out)
                if done != len(out) or packed.read(1):
                    raise EOFError
        except (*_BROKEN, RuntimeError):
            raise RuntimeError(f"PytorchStreamReader failed reading file {name}: decompression failed") from None
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
