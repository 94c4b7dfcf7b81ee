"""``torch.PyTorchFileReader``: the records of a checkpoint by name, for libraries that load weights one at a time."""

from __future__ import annotations

import os
from typing import IO, Any

from jtorch._public import torch

from ._zip import ZipReader

__all__ = ["PyTorchFileReader"]


class PyTorchFileReader:
    """Reads records of a file that ``torch.save`` wrote. RuntimeError if it is no such file."""

    def __init__(self, name_or_buffer: str | os.PathLike[str] | IO[bytes]) -> None:
        self._own = open(name_or_buffer, "rb") if isinstance(name_or_buffer, (str, os.PathLike)) else None  # noqa: SIM115 - open as long as the reader
        self._zip = ZipReader(self._own if self._own is not None else name_or_buffer)  # type: ignore[arg-type]

    def get_record(self, name: str) -> bytes:
        """The bytes of a record."""
        return self._zip.read(name)

    def has_record(self, name: str) -> bool:
        """Whether there is one of this name."""
        return self._zip.has(name)

    def get_all_records(self) -> list[str]:
        """Their names."""
        return list(self._zip.names())

    def get_record_offset(self, name: str) -> int:
        """Where in the file its bytes begin."""
        return self._zip.offset(name)

    def get_storage_from_record(self, name: str, numel: int, dtype: Any) -> Any:
        """A tensor of so many elements over the bytes."""
        return torch.frombuffer(bytearray(self._zip.read(name)), dtype=dtype, count=numel)

    def __del__(self) -> None:
        if getattr(self, "_own", None) is not None:
            self._own.close()  # type: ignore[union-attr]
