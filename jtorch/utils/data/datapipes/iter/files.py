"""Pipes of files: their names, the files opened, and what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..datapipe import IterDataPipe
from ..utils.common import get_file_binaries_from_pathnames, get_file_pathnames_from_root

__all__ = ["FileListerIterDataPipe", "FileOpenerIterDataPipe", "StreamReaderIterDataPipe"]


class _Counted(IterDataPipe):
    length: int

    def __len__(self) -> int:
        if self.length == -1:
            raise TypeError(f"{type(self).__name__} instance doesn't have valid length")
        return self.length


class FileListerIterDataPipe(_Counted):
    """The files of folders (``root``: one, several or a pipe of them) whose names are of the forms ``masks``. ``length``: what ``len`` says."""

    def __init__(self, root: Any = ".", masks: Any = "", *, recursive: bool = False, abspath: bool = False, non_deterministic: bool = False, length: int = -1) -> None:
        self.datapipe = [root] if isinstance(root, str) else root
        self.masks, self.recursive, self.abspath, self.non_deterministic, self.length = masks, recursive, abspath, non_deterministic, length

    def __iter__(self) -> Iterator[str]:
        for path in self.datapipe:
            yield from get_file_pathnames_from_root(path, self.masks, self.recursive, self.abspath, self.non_deterministic)


class FileOpenerIterDataPipe(_Counted):
    """Pairs of each name and its file, opened for reading. ValueError for a mode that writes, and for an encoding of bytes."""

    def __init__(self, datapipe: Any, mode: str = "r", encoding: str | None = None, length: int = -1) -> None:
        if mode not in ("b", "t", "rb", "rt", "r"):
            raise ValueError(f"Invalid mode {mode}")
        if "b" in mode and encoding is not None:
            raise ValueError("binary mode doesn't take an encoding argument")
        self.datapipe, self.mode, self.encoding, self.length = datapipe, mode, encoding, length

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        yield from get_file_binaries_from_pathnames(self.datapipe, self.mode, self.encoding)


class StreamReaderIterDataPipe(IterDataPipe):
    """Pairs of a name and what is in the open file, all of it or ``chunk`` bytes at a time."""

    def __init__(self, datapipe: Any, chunk: int | None = None) -> None:
        self.datapipe, self.chunk = datapipe, chunk

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for name, stream in self.datapipe:
            while data := stream.read(self.chunk):
                yield name, data
            stream.close()


IterDataPipe.register_function("open_files", FileOpenerIterDataPipe)
IterDataPipe.register_function("read_from_stream", StreamReaderIterDataPipe)
IterDataPipe.register_function("list_files", FileListerIterDataPipe)
