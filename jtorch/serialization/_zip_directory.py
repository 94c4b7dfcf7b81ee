"""What a zip's directory must say of itself. Python's zipfile overlooks most of that; torch's reader refuses such an archive, for what is in it is then anybody's guess."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import IO

__all__ = ["check_directory"]

_ENDS, _ENDS64, _WHERE64, _RECORD = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x01\x02"
_END, _END64, _LOCATOR, _HEADER, _LOCAL = 22, 56, 20, 46, 30  # bytes
_MAX16, _MAX32 = 0xFFFF, 0xFFFFFFFF
_PATCH, _STRONG, _MASKED, _FOLDER = 0x20, 0x40, 0x2000, 0x10  # flags of a record, and one of its attributes


def check_directory(stream: IO[bytes], size: int, broken: Callable[[str], Exception]) -> None:
    """Raise ``broken(why)``, in the words of torch's reader, for an archive of so many bytes whose directory it would not take."""

    def piece(at: int, count: int) -> bytes:
        if at < 0 or at > size:
            return b""
        stream.seek(at)
        return stream.read(count)

    start = max(0, size - _MAX16 - _END)
    tail = piece(start, size - start)
    found = tail.rfind(_ENDS, 0, max(0, len(tail) - _END) + len(_ENDS))
    if size < _END or found < 0:
        raise broken("not a ZIP archive" if size < _END else "failed finding central directory")
    end = start + found
    disk, first_disk, here, count, length, at = struct.unpack_from("<4H2I", tail, found + 4)
    locator = piece(end - _LOCATOR, _LOCATOR) if end >= _LOCATOR + _END64 else b""
    if locator[:4] == _WHERE64:
        _, where, disks = struct.unpack_from("<IQI", locator, 4)
        if where > size - _END64:
            raise broken("not a ZIP archive")
        long = piece(where, _END64)
        if long[:4] == _ENDS64 and len(long) == _END64:
            own, _, _, disk, first_disk, here, count, length, at = struct.unpack_from("<QHHIIQQQQ", long, 4)
            if own < _END64 - 12:
                raise broken("invalid header or archive is corrupted")
            if disks != 1:
                raise broken("unsupported multidisk archive")
            if max(count, here) > _MAX32:
                raise broken("too many files")
            if length > _MAX32:
                raise broken("unsupported central directory size")
    if count != here or (disk, first_disk) not in ((0, 0), (1, 1)):
        raise broken("unsupported multidisk archive")
    if length < count * _HEADER or at + length > size:
        raise broken("invalid header or archive is corrupted")
    _check_records(piece(at, length), count, disk, size, broken)


def _check_records(directory: bytes, count: int, here: int, size: int, broken: Callable[[str], Exception]) -> None:
    at = 0
    for _ in range(count):
        if directory[at : at + 4] != _RECORD or at + _HEADER > len(directory):
            raise broken("invalid header or archive is corrupted")
        flags, method, packed, whole, name, extra, comment, disk, _, kind, where = struct.unpack_from("<HH8xII5HII", directory, at + 8)
        if _MAX32 not in (packed, whole) and ((method == 0 and packed != whole) or (whole and not packed)):
            raise broken("invalid header or archive is corrupted")
        if disk == _MAX16 or disk not in (here, 1):
            raise broken("unsupported multidisk archive")
        if packed != _MAX32 and where + _LOCAL + packed > size:
            raise broken("invalid header or archive is corrupted")
        if kind & _FOLDER and whole:
            raise broken("a record is marked as a folder, but holds something")  # of which torch returns memory that nothing was read into
        if flags & (_MASKED | _STRONG | _PATCH):
            raise broken("unsupported encryption")
        at += _HEADER
        try:
            directory[at : at + name].decode()
        except UnicodeDecodeError as error:
            raise broken(f"the name of a record is not UTF-8 ({error.reason})") from None
        at += name + extra + comment
        if at > len(directory):
            raise broken("invalid header or archive is corrupted")
