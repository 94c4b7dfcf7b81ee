"""The ``.metadata`` file of a checkpoint, read as ``torch.load(weights_only=True)`` reads files: it may name the classes of :mod:`.metadata`, and nothing runs.

What was read is looked at as a whole before anything is done with it: boxes that do not cover their tensor would leave memory that no file filled, a path could lead out of the folder, a size
could ask for more memory than the files hold.
"""

from __future__ import annotations

import dataclasses
import math
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from pickle import UnpicklingError
from typing import Any

from jtorch._public import torch
from jtorch.serialization._allowed import Entry, is_whole_number
from jtorch.serialization._weights_only import Table, Unpickler

from .metadata import (
    _MEM_FORMAT_ENCODING,
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)

__all__ = ["read_metadata"]

_HOME, _FILES = "torch.distributed.checkpoint.metadata", "torch.distributed.checkpoint.filesystem"
_FAR = 1 << 20  # entries of lists that paths may lead to, beside those that there are


@dataclasses.dataclass
class _StorageInfo:
    """Where a box lies."""

    relative_path: str
    offset: int
    length: int
    transform_descriptors: Any = None

    def __getstate__(self) -> Any:
        return {k: v for k, v in self.__dict__.items() if v is not None}


_StorageInfo.__module__ = "jtorch.distributed.checkpoint.filesystem"  # torch's home for it

def _need(holds: bool, what: str) -> None:
    if not holds:
        raise UnpicklingError(f"the checkpoint's metadata has {what}")


def _blank(kind: type) -> Callable[..., Any]:
    def make(*args: Any) -> Any:
        _need(not args, f"arguments for {kind.__name__}")
        return object.__new__(kind)

    return make


def _encoding(*args: Any) -> Any:
    _need(len(args) == 1 and type(args[0]) is int and 0 <= args[0] <= 2, "a memory format that there is not")
    return _MEM_FORMAT_ENCODING(args[0])


def _path(*args: Any) -> Path:
    _need(all(type(a) is str for a in args), "something else than texts as a path")
    return Path(*args)


_BUILT = {c: {f.name for f in dataclasses.fields(c)} for c in (Metadata, MetadataIndex, TensorStorageMetadata, BytesStorageMetadata, ChunkStorageMetadata, StorageMeta, _StorageInfo)}
_NAMES: dict[str, Entry] = {
    **{f"{_HOME}.{c.__name__}": Entry(c, _blank(c)) for c in (*_BUILT, TensorProperties) if c is not _StorageInfo},
    f"{_HOME}._MEM_FORMAT_ENCODING": Entry(_MEM_FORMAT_ENCODING, _encoding),
    f"{_FILES}._StorageInfo": Entry(_StorageInfo, _blank(_StorageInfo)),
    **{f"{module}.{name}": Entry(PurePath, _path) for module in ("pathlib", "pathlib._local") for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")},
}
_MORE = "FRAME SHORT_BINUNICODE BINUNICODE8 MEMOIZE BINBYTES SHORT_BINBYTES".split()  # of the protocols that Python writes by default
_BASE: Any = pickle._Unpickler  # type: ignore[attr-defined]


class _MetadataUnpickler(Unpickler):
    dispatch = Table({**Unpickler.dispatch, **{getattr(pickle, name)[0]: _BASE.dispatch[getattr(pickle, name)[0]] for name in _MORE}})

    def load_proto(self) -> None:
        """Any that Python writes."""
        self.proto = self.read(1)[0]

    dispatch[pickle.PROTO[0]] = load_proto

    def load_stack_global(self) -> None:
        """Only names on the list."""
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise UnpicklingError("STACK_GLOBAL requires str")
        self.append(self.named(module, name))

    dispatch[pickle.STACK_GLOBAL[0]] = load_stack_global

    def load_build(self) -> None:
        """Fields of the classes of metadata."""
        kind = type(self.stack[-2]) if len(self.stack) > 1 else None
        if kind is TensorProperties:
            state, target = self.stack.pop(), self.stack[-1]
            _need(type(state) is tuple and len(state) == 5 and isinstance(state[0], torch.dtype) and isinstance(state[3], _MEM_FORMAT_ENCODING), "something else than a tensor's properties")
            target.__setstate__(state)
            return
        if kind not in _BUILT:
            return super().load_build()
        state, target = self.stack.pop(), self.stack[-1]
        _need(type(state) is dict and _BUILT[kind].issuperset(state), f"something else than the fields of {kind.__name__}")
        if kind is MetadataIndex:
            _need(type(state.get("fqn")) is str and (state.get("offset") is None or _sizes(state["offset"])), "an index that is none")
            _need(state.get("index") is None or type(state["index"]) is int, "an index that is none")
        target.__dict__.update(state)

    dispatch[pickle.BUILD[0]] = load_build


def _sizes(x: Any) -> bool:
    return type(x) in (tuple, torch.Size) and all(is_whole_number(n) and n >= 0 for n in x)


def _tiled(name: str, size: Any, chunks: list[Any]) -> None:
    """The boxes are the whole tensor, and none of it twice."""
    count = math.prod(size)
    for c in chunks:
        _need(type(c) is ChunkStorageMetadata and _sizes(getattr(c, "offsets", None)) and _sizes(getattr(c, "sizes", None)), f"something else than boxes of {name}")
        _need(len(c.offsets) == len(c.sizes) == len(size) and all(o + n <= m for o, n, m in zip(c.offsets, c.sizes, size, strict=True)), f"a box outside of {name}")
    full = [c for c in chunks if all(c.sizes)]
    _need(sum(math.prod(c.sizes) for c in full) == count, f"boxes that are not the whole of {name}")
    left = 1 << 22
    if len(size) and len(full) > 1:
        along = max(range(len(size)), key=lambda d: len({c.offsets[d] for c in full}))  # the dim by which most boxes are told apart
        open_: list[Any] = []
        for c in sorted(full, key=lambda c: c.offsets[along]):
            open_ = [b for b in open_ if b.offsets[along] + b.sizes[along] > c.offsets[along]]
            left -= len(open_) + 1
            _need(left > 0, f"too many boxes of {name}")
            for b in open_:
                apart = any(p + n <= q or q + m <= p for p, n, q, m in zip(b.offsets, b.sizes, c.offsets, c.sizes, strict=True))
                _need(apart, f"boxes of {name} that lie upon each other")
            open_.append(c)
    elif not len(size):
        _need(len(full) == 1, f"several boxes of {name}, which has one element")


def _paths(paths: Any) -> None:
    """Names came from paths, and lists that are made for them are about as long as there are names."""
    _need(isinstance(paths, Mapping), "something else than paths")
    longest: dict[Any, int] = {}
    for name, path in paths.items():
        _need(type(name) is str and type(path) is tuple and bool(path) and all(type(k) is str or is_whole_number(k) for k in path), "a path that is none")
        for i, k in enumerate(path[1:], 1):
            if type(k) is int:
                _need(k >= 0, "a path that is none")
                longest[path[:i]] = max(longest.get(path[:i], 0), k + 1)
    _need(sum(longest.values()) <= _FAR + 4 * len(paths), "paths to places that are too far apart")


def _inside(name: str) -> bool:
    return bool(name) and not os.path.isabs(name) and ".." not in PurePath(name).parts and "\0" not in name


def _held(folder: Path, found: Metadata) -> None:
    """The files are in the folder, and as long as what is to be in them."""
    ends: dict[str, int] = {}
    taken: dict[str, int] = {}
    for index, info in found.storage_data.items():
        _need(type(index) is MetadataIndex and type(info) is _StorageInfo, "something else than places in files")
        name: Any = getattr(info, "relative_path", None)
        offset: Any = getattr(info, "offset", None)
        length: Any = getattr(info, "length", None)
        _need(type(name) is str and _inside(name), f"a file outside of the checkpoint's folder: {str(name)[:100]!r}")
        _need(is_whole_number(offset) and is_whole_number(length) and offset >= 0 and length >= 0, "a place that is none")
        if name not in ends:
            try:
                ends[name] = os.stat(folder / name).st_size
            except OSError:
                ends[name] = -1  # whoever reads it says so
        taken[name] = taken.get(name, 0) + length
        if ends[name] >= 0:
            _need(offset + length <= ends[name] and taken[name] <= ends[name], f"more in {name} than the file holds ({ends[name]} bytes)")
    for name, known in found.state_dict_metadata.items():
        for i, chunk in enumerate(known.chunks if isinstance(known, TensorStorageMetadata) else ()):
            info = found.storage_data.get(MetadataIndex(name, chunk.offsets, i))
            if all(chunk.sizes):
                _need(info is not None, f"no place for a box of {name}")
            if info is not None and not info.transform_descriptors:
                _need(info.length >= math.prod(chunk.sizes) * known.properties.dtype.itemsize, f"less for a box of {name} than it takes")


def read_metadata(stream: Any, folder: Path) -> Metadata:
    """What there is in a folder. UnpicklingError for a file that names anything else than the classes of metadata (of what a planner of one's own keeps in it, ``torch.serialization.add_safe_globals``
    allows the classes), or that does not fit itself or the folder."""
    unpickler = _MetadataUnpickler(stream, encoding="utf-8", names=_NAMES)
    found = unpickler.load()
    _need(type(found) is Metadata and type(getattr(found, "state_dict_metadata", None)) is dict, "something else in it than metadata")
    for name, known in found.state_dict_metadata.items():
        _need(type(name) is str and type(known) in (TensorStorageMetadata, BytesStorageMetadata), "something else than tensors and bytes")
        if type(known) is TensorStorageMetadata:
            _need(type(getattr(known, "properties", None)) is TensorProperties and hasattr(known.properties, "dtype"), f"no type of {name[:100]}")
            _need(_sizes(getattr(known, "size", None)) and type(getattr(known, "chunks", None)) is list, f"no size of {name[:100]}")
            _tiled(name[:100], known.size, known.chunks)
    if found.storage_meta is not None:
        _need(type(found.storage_meta) is StorageMeta, "something else than a storage's words")
    if type(found.planner_data) is dict:
        _paths(found.planner_data)
    _need(type(found.storage_data) is dict, "no places in files")
    _held(folder, found)
    return found
