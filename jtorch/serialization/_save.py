"""torch.save."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import stat
import sys
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

try:
    import fcntl
except ImportError:  # not on this system
    fcntl = None  # type: ignore[assignment]

from jtorch._core.storage.bare_tensor import alias_of
from jtorch._public import torch

from . import _legacy
from ._locations import location_tag
from ._pickler import make_pickler
from ._reduce import TensorStorage
from ._state import local, settings
from ._storage import STORAGE_OF_DTYPE, STORAGE_TYPES, HostStorage, name_of
from ._zip import ZipWriter

DEFAULT_PROTOCOL = 2


class NotWrittenError(OSError, RuntimeError):
    """A file cannot be written (there is no room, or no right to). torch's writer raises RuntimeError; the number says why."""


def save(
    obj: object,
    f: str | os.PathLike[str] | IO[bytes],
    pickle_module: Any = pickle,
    pickle_protocol: int = DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Write an object to a file in torch's format.

    ``f`` is a path or a stream with ``write``. Tensors of one storage stay so. A path is replaced only when all has been written,
    so an error leaves what was there before. AttributeError for an ``f`` that cannot be written to.
    """
    if not isinstance(f, (str, os.PathLike)) and not hasattr(f, "write"):
        raise AttributeError("expected 'f' to be string, path, or a file-like object with a 'write' attribute")
    if not _use_new_zipfile_serialization:
        if local.skip_data:
            raise RuntimeError("Cannot use skip_data=True with _use_new_zipfile_serialization=False")
        with _opened(f) as (stream, _):
            _legacy.save(obj, stream, pickle_module, pickle_protocol, storage_of)
        return
    # The objects are pickled before the file is touched.
    storages: dict[str, HostStorage] = {}
    body = _pickled(obj, pickle_module, pickle_protocol, storages)
    try:
        with _opened(f) as (stream, top):
            writer = ZipWriter(stream, top)
            writer.record("data.pkl", body)
            writer.record(".format_version", b"1")
            writer.record(".storage_alignment", str(settings.alignment).encode())
            if not _disable_byteorder_record:
                writer.record("byteorder", sys.byteorder.encode())
            for key, storage in storages.items():
                if local.skip_data:
                    writer.hole(f"data/{key}", storage.nbytes())
                else:
                    writer.record(f"data/{key}", np.ascontiguousarray(storage.data))
            writer.close()
            stream.flush()
    except OSError as error:
        if error.errno is None:
            raise
        raise NotWrittenError(error.errno, f"PytorchStreamWriter failed writing file: {error.strerror or error}") from error


def storage_of(obj: Any) -> HostStorage | None:
    """The storage that an object is, or None."""
    if isinstance(obj, HostStorage):
        return obj
    if isinstance(obj, torch.UntypedStorage):
        return _of_untyped(obj, torch.uint8, True)
    if isinstance(obj, torch.TypedStorage):
        return _of_untyped(obj.untyped(), obj.dtype, False)
    return None


def _of_untyped(storage: Any, dtype: Any, untyped: bool) -> HostStorage:
    return TensorStorage(alias_of(storage._s, None), name_of(dtype), untyped)


def _pickled(obj: Any, pickle_module: Any, protocol: int, storages: dict[str, HostStorage]) -> bytes:
    keys: dict[Any, str] = {}
    types: dict[Any, str] = {}

    def persistent_id(item: Any) -> Any:
        storage = storage_of(item)
        if storage is None:
            return None
        if storage.nbytes() and storage.location != "meta" and types.setdefault(storage.key, storage.dtype_name) != storage.dtype_name:
            raise RuntimeError("Cannot save multiple tensors or storages that view the same data as different types")
        key = keys.setdefault(storage.key, str(len(keys)))
        storages[key] = storage
        name = "UntypedStorage" if storage.untyped_only else STORAGE_OF_DTYPE[storage.dtype_name]
        return ("storage", STORAGE_TYPES[name], key, location_tag(storage), storage.size())

    stream = io.BytesIO()
    make_pickler(pickle_module, stream, protocol, persistent_id).dump(obj)
    return stream.getvalue()


@contextlib.contextmanager
def _opened(f: Any) -> Iterator[tuple[IO[bytes], str]]:
    """The stream to write to, and the name of the archive's top directory."""
    if not isinstance(f, (str, os.PathLike)):
        write = getattr(f, "write", None)
        if not callable(write):
            raise TypeError(f"Buffer of {str(type(f)).strip('<>')} has no callable attribute 'write'")
        yield f, "archive"
        return
    path = os.fspath(f)
    folder, name = os.path.split(path)
    if folder and not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {folder} does not exist.")
    if os.path.isdir(path):
        raise RuntimeError("open file failed with strerror: Is a directory")
    top = name.rpartition(".")[0] or name if name.isascii() else "archive"
    target = os.path.realpath(path)
    if os.path.exists(target) and not stat.S_ISREG(os.stat(target).st_mode):
        with open(target, "wb") as stream:  # a pipe or a device: nothing to replace
            yield stream, top
        return
    try:
        handle, draft = _draft_for(target)
    except OSError:
        try:
            with open(target, "wb") as stream:  # a file that may be written in a directory that may not
                yield stream, top
        except OSError:
            raise RuntimeError(f"File {path} cannot be opened.") from None
        return
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream, top
        os.chmod(draft, os.stat(target).st_mode & 0o7777 if os.path.exists(target) else 0o666 & ~_umask())
        os.replace(draft, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise


def _draft_for(target: str) -> tuple[int, str]:
    """A new file beside the target, locked as long as its writer lives. What killed writers of the same name have left is removed."""
    folder, start = os.path.dirname(target) or ".", f".{os.path.basename(target)[:100]}."
    if fcntl is not None:
        for name in os.listdir(folder):
            if name.startswith(start) and name.endswith(".tmp"):
                _remove_if_left(os.path.join(folder, name))
    while True:
        handle, draft = tempfile.mkstemp(prefix=start, suffix=".tmp", dir=folder)
        if fcntl is None:
            return handle, draft
        with contextlib.suppress(OSError):  # a file system without locks: nobody can tell that it was left, either
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.exists(draft):
            return handle, draft
        os.close(handle)  # somebody took it for one that was left, in the moment before it was locked


def _remove_if_left(path: str) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        finally:
            os.close(handle)


def _umask() -> int:
    # Reading the mask means setting it, which other threads would see; /proc says it without.
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    except OSError:
        pass
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
