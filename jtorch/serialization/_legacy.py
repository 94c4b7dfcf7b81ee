"""Formats before torch 1.6: the stream of pickles followed by raw storages, and the tar archive of 0.1."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import tarfile
from typing import IO, Any

import numpy as np

from jtorch import _dtypes

from . import _weights_only
from ._locations import location_tag, restorer_of
from ._pickler import Scanner, make_pickler, make_unpickler
from ._rebuild import _rebuild_tensor
from ._state import UNSAFE_MESSAGE
from ._storage import STORAGE_OF_DTYPE, STORAGE_TYPES, HostStorage, aligned_bytes, checked_pid, publish, text_of, zeroed_bytes
from ._zip import read_fully

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001


def save(obj: Any, stream: IO[bytes], pickle_module: Any, protocol: int, storage_of: Any) -> None:
    """Write the stream format."""
    storages: dict[str, HostStorage] = {}
    keys: dict[Any, str] = {}

    def persistent_id(item: Any) -> Any:
        storage = storage_of(item)
        if storage is None:
            return None
        key = keys.setdefault(storage.key, str(storage.key if isinstance(storage.key, int) else len(keys)))
        storages[key] = storage
        kind = STORAGE_TYPES["UntypedStorage" if storage.untyped_only else STORAGE_OF_DTYPE[storage.dtype_name]]
        return ("storage", kind, key, location_tag(storage), storage.size(), None)

    sizes = {"short": 2, "int": 4, "long": 4}
    info = {"protocol_version": PROTOCOL_VERSION, "little_endian": sys.byteorder == "little", "type_sizes": sizes}
    body = io.BytesIO()
    make_pickler(pickle_module, body, protocol, persistent_id).dump(obj)
    for head in (MAGIC_NUMBER, PROTOCOL_VERSION, info):
        pickle_module.dump(head, stream, protocol=protocol)
    stream.write(body.getvalue())
    pickle_module.dump(sorted(storages), stream, protocol=protocol)
    stream.flush()
    for key in sorted(storages):
        stream.write(struct.pack("<q", storages[key].size()))
        stream.write(np.ascontiguousarray(storages[key].data).tobytes())


def load(stream: IO[bytes], map_location: Any, pickle_module: Any, skip_data: bool, **arguments: Any) -> Any:
    """Read the stream format or, at the start of a file, the tar format."""
    check_seekable(stream)
    start = stream.tell()
    if start == 0 and _is_tar(stream):
        if pickle_module is _weights_only:
            raise RuntimeError("Cannot use ``weights_only=True`` with files saved in the legacy .tar format. " + UNSAFE_MESSAGE)
        return _load_tar(stream, map_location, pickle_module, **arguments)
    stream.seek(start)
    magic = pickle_module.load(stream, **arguments)
    if type(magic) is not int or magic != MAGIC_NUMBER:
        raise RuntimeError("Invalid magic number; corrupt file?")
    version = pickle_module.load(stream, **arguments)
    if type(version) is not int or version != PROTOCOL_VERSION:
        raise RuntimeError(f"Invalid protocol version: {version if type(version) is int else type(version)}")
    pickle_module.load(stream, **arguments)
    body = stream.tell()
    # The bytes stand behind the pickle that refers to them: the first reading finds the storages, the second makes the objects.
    buffers = None if skip_data else _read_storages(stream, pickle_module, arguments)
    stream.seek(body)
    return _Legacy(buffers, map_location).load(stream, pickle_module, **arguments)


def _read_storages(stream: IO[bytes], pickle_module: Any, arguments: dict[str, Any]) -> dict[str, np.ndarray]:
    """The bytes of each storage, by its key. RuntimeError where the file does not hold what its pickle refers to."""
    scanner: Any = _weights_only.Scanner(stream, **arguments) if pickle_module is _weights_only else Scanner(stream, **arguments)
    scanner.load()
    itemsize = {}
    for pid in scanner.ids:
        if isinstance(pid, tuple) and pid and text_of(pid[0]) == "storage":
            _, kind, key, *_ = checked_pid(pid, 6)
            itemsize.setdefault(key, _dtypes.ALL[kind.dtype_name].itemsize)
    keys = pickle_module.load(stream, **arguments)
    if type(keys) is not list or not all(type(key) in (str, bytes, int) for key in keys):
        raise RuntimeError("the file's list of storages is not one. The file might be corrupted.")
    found: dict[str, np.ndarray] = {}
    for key in map(_key, keys):
        if key not in itemsize or key in found:
            raise AssertionError(f"storage key {key[:80]} not in deserialized objects" if key not in found else f"storage {key[:80]} is there twice")
        (count,) = struct.unpack("<q", _exactly(stream, 8))
        found[key] = _array(stream, count * itemsize[key])
    if missing := itemsize.keys() - found.keys():
        raise RuntimeError(f"the file refers to storages whose bytes it does not hold: {sorted(missing)[:3]}. The file might be corrupted.")
    return found


def _key(key: Any) -> str:
    return str(text_of(key))


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise RuntimeError(f"unexpected EOF, expected {count - len(data)} more bytes. The file might be corrupted.")
    return data


def _array(stream: IO[bytes], count: int) -> np.ndarray:
    """So many bytes of the stream; memory is taken only once they are known to be there."""
    at = stream.tell()
    there = stream.seek(0, 2) - at
    stream.seek(at)
    if count < 0:
        raise RuntimeError(f"storage has wrong size: {count}. The file might be corrupted.")
    if count > there:
        raise RuntimeError(f"unexpected EOF, expected {count - there} more bytes. The file might be corrupted.")
    out = aligned_bytes(count)
    if read_fully(stream, out) != count:
        raise RuntimeError("unexpected EOF. The file might be corrupted.")
    return out


class _Legacy:
    """The storages of one file while its pickle is read; without ``buffers`` they are zero."""

    def __init__(self, buffers: dict[str, np.ndarray] | None, map_location: Any) -> None:
        self.buffers, self.restore = buffers, restorer_of(map_location)
        self.storages: dict[Any, HostStorage] = {}

    def load(self, stream: IO[bytes], pickle_module: Any, **arguments: Any) -> Any:
        """The object."""
        if pickle_module is _weights_only:
            unpickler: Any = _weights_only.Unpickler(stream, **arguments)
            unpickler.persistent_load = self.find
        else:
            unpickler = make_unpickler(pickle_module, stream, self.find, **arguments)
        loaded = unpickler.load()
        del unpickler
        publish(self.storages.values())
        return loaded

    def find(self, pid: Any) -> Any:
        """The object of a persistent id."""
        if not isinstance(pid, tuple):
            raise AssertionError(f"saved_id must be a tuple, got {type(pid).__name__}")
        kind = text_of(pid[0] if pid else None)
        if kind == "module" and len(pid) > 1:
            return pid[1]
        if kind != "storage":
            raise RuntimeError(f"Unknown saved id type: {kind}")
        _, storage_type, root_key, location, count, view = checked_pid(pid, 6)
        itemsize = _dtypes.ALL[storage_type.dtype_name].itemsize
        root = self.storages.get(root_key)
        if root is None:
            buffer = zeroed_bytes(count * itemsize) if self.buffers is None else self.buffers[root_key]
            if len(buffer) != count * itemsize:
                raise RuntimeError(f"storage has wrong byte size: expected {count * itemsize} got {len(buffer)}")
            root = self.storages[root_key] = self.restore(HostStorage(buffer, storage_type.dtype_name), location)
        if view is None:
            return root
        if type(view) is not tuple or len(view) != 3 or type(view[0]) not in (str, bytes, int) or not all(type(n) is int and n >= 0 for n in view[1:]):
            raise pickle.UnpicklingError("the file has a view of a storage that is not one")
        view_key, offset, size = view
        if (offset + size) * itemsize > root.nbytes():
            raise RuntimeError("the file has a view that reaches beyond its storage")
        if (root_key, view_key) not in self.storages:
            part = root.data[offset * itemsize : (offset + size) * itemsize]
            self.storages[root_key, view_key] = HostStorage(part, storage_type.dtype_name, root.location)
        return self.storages[root_key, view_key]


def _is_tar(stream: IO[bytes]) -> bool:
    try:  # only the first header: what follows it might say that it is of any size
        tarfile.TarInfo.frombuf(stream.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
        return True
    except tarfile.HeaderError:
        return False


def _load_tar(stream: IO[bytes], map_location: Any, pickle_module: Any, **arguments: Any) -> Any:
    stream.seek(0)
    restore = restorer_of(map_location)
    objects: dict[Any, Any] = {}
    with tarfile.open(fileobj=stream, mode="r:", format=tarfile.PAX_FORMAT) as tar:
        part = _member(tar, "storages")
        for _ in range(pickle_module.load(part, **arguments)):
            key, location, storage_type = make_unpickler(pickle_module, part, lambda pid: pid, **arguments).load()
            (count,) = struct.unpack("<q", _exactly(part, 8))
            data = _array(part, count * _dtypes.ALL[storage_type.dtype_name].itemsize)
            objects[key] = restore(HostStorage(data, storage_type.dtype_name), text_of(location))
        for target, root_key, offset, count in pickle_module.load(part, **arguments):
            root = objects[root_key]
            size = root.element_size()
            objects[target] = HostStorage(root.data[offset * size : (offset + count) * size], root.dtype_name, root.location)
        part = _member(tar, "tensors")
        for _ in range(pickle_module.load(part, **arguments)):
            key, storage_id, _ = make_unpickler(pickle_module, part, lambda pid: pid, **arguments).load()
            (dims,) = struct.unpack("<q", _exactly(part, 8))
            dims &= 0xFFFFFFFF  # the upper half is not always written
            size = struct.unpack(f"<{dims}q", _exactly(part, 8 * dims))
            stride = struct.unpack(f"<{dims}q", _exactly(part, 8 * dims))
            (offset,) = struct.unpack("<q", _exactly(part, 8))
            objects[key] = _rebuild_tensor(objects[storage_id], offset, size, stride)

        def find(pid: Any) -> Any:
            return pid[0] if isinstance(pid, tuple) else objects[int(pid)]

        return make_unpickler(pickle_module, _member(tar, "pickle"), find, **arguments).load()


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    part = tar.extractfile(name)
    if part is None:
        raise RuntimeError(f"the archive has no {name}")
    return io.BytesIO(part.read())


def check_seekable(stream: Any) -> None:
    try:
        stream.seek(stream.tell())
    except (io.UnsupportedOperation, AttributeError) as error:
        if any(word in str(error) for word in ("seek", "tell")):
            advice = "You can only torch.load from a file that is seekable. Please pre-load the data into a buffer like io.BytesIO and"
            raise type(error)(f"{error}. {advice} try to load from it instead.") from None
        raise


__all__ = ["MAGIC_NUMBER", "PROTOCOL_VERSION", "load", "save"]
