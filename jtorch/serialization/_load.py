"""torch.load."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import re
import sys
import warnings
from collections.abc import Iterator
from mmap import MAP_SHARED
from typing import IO, Any

import numpy as np

from jtorch import _dtypes
from jtorch._errors import not_implemented
from jtorch._public import torch

from . import _legacy, _weights_only
from ._locations import restorer_of
from ._pickler import make_unpickler
from ._safetensors import load_file
from ._state import UNSAFE_MESSAGE, LoadEndianness, local, settings
from ._storage import HostStorage, checked_pid, publish, text_of, zeroed_bytes
from ._zip import ZipReader

_DOCS = (
    "\n\nCheck the documentation of torch.load to learn more about types accepted by default with "
    "weights_only https://pytorch.org/docs/stable/generated/torch.load.html."
)


def load(
    f: str | os.PathLike[str] | IO[bytes],
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Read an object that :func:`torch.save` wrote, in any of torch's formats.

    ``weights_only=True`` (the default) reads tensors and plain containers, and UnpicklingError names anything else. ``map_location`` is a
    device, a dictionary of locations or a function ``(storage, location) -> storage``. ``mmap=True`` maps the file instead of reading it.
    """
    weights_only = _decide_weights_only(weights_only, pickle_module)
    if weights_only:
        if pickle_module is not None:
            raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
        pickle_module = _weights_only
        if pickle_load_args:
            warnings.warn("pickle_load_args only works if `weights_only=False`.", stacklevel=2)
    elif pickle_module is None:
        pickle_module = pickle
    pickle_load_args.setdefault("encoding", "utf-8")
    if isinstance(f, (str, os.PathLike)) and os.fspath(f).endswith(".safetensors"):
        return _load_safetensors(os.fspath(f), map_location)
    with opened(f) as stream:
        try:
            if not is_zip(stream):
                if mmap:
                    name = "" if not isinstance(f, str) else f"{f}, "
                    raise RuntimeError(
                        f"mmap can only be used with files saved with `torch.save({name}_use_new_zipfile_serialization=True), "
                        "please torch.save your checkpoint with this option in order to use mmap."
                    )
                return _legacy.load(stream, map_location, pickle_module, local.skip_data, **pickle_load_args)
            reader = ZipReader(stream)
            if "constants.pkl" in reader.names():
                if weights_only:
                    raise RuntimeError("Cannot use ``weights_only=True`` with TorchScript archives passed to ``torch.load``. " + UNSAFE_MESSAGE)
                not_implemented("torch.jit.load", "torch.jit.weights_of(f) gives the state_dict of such an archive")
            mapped = None
            if mmap:
                if not isinstance(f, (str, os.PathLike)):
                    raise ValueError("f must be a file path in order to use the mmap argument")
                mapped = _map_file(os.fspath(f))
            return _Archive(reader, map_location, mapped).load(pickle_module, **pickle_load_args)
        except pickle.UnpicklingError as error:
            if weights_only:
                raise pickle.UnpicklingError(_explain(str(error))) from None
            raise


def load_named(f: Any, names: Any, map_location: Any = None) -> Any:
    """Read a file of :func:`torch.save` as ``weights_only=True`` does, where the file may use a few names more: ``names.get(path)`` gives an Entry, or None."""
    with opened(f) as stream:
        try:
            return _Archive(ZipReader(stream), map_location, None).load(_weights_only, encoding="utf-8", names=names)
        except pickle.UnpicklingError as error:
            raise pickle.UnpicklingError(_explain(str(error))) from None


def _decide_weights_only(weights_only: bool | None, pickle_module: Any) -> bool:
    def is_set(name: str) -> bool:
        return os.getenv(name, "0").lower() in ("1", "y", "yes", "true")

    force, force_not = is_set("TORCH_FORCE_WEIGHTS_ONLY_LOAD"), is_set("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    if force and force_not:
        raise RuntimeError("Only one of `TORCH_FORCE_WEIGHTS_ONLY_LOAD` or `TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD` should be set, but both were set.")
    if force:
        return True
    if weights_only is None:
        if force_not:
            warnings.warn(
                "Environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD detected, since the"
                "`weights_only` argument was not explicitly passed to `torch.load`, forcing weights_only=False.",
                UserWarning,
                stacklevel=3,
            )
            return False
        return pickle_module is None
    return weights_only


def _explain(message: str) -> str:
    if re.search(r"GLOBAL (\S+) was not an allowed global by default.", message):
        return (
            "Weights only load failed. This file can still be loaded, to do so you have two options, "
            "\033[1mdo those steps only if you trust the source of the checkpoint\033[0m. "
            f"\n\t(1) {UNSAFE_MESSAGE}\n\t(2) Alternatively, to load with `weights_only=True` please check "
            "the recommended steps in the following error message.\n\tWeightsUnpickler error: " + message + _DOCS
        )
    if re.search(r"(\S+) must be (\S+) to load", message):
        return f"Weights only load failed. {message}\n {UNSAFE_MESSAGE}\n"
    text = f"Weights only load failed. {UNSAFE_MESSAGE}\n"
    if not re.search(r"whose module (\S+) is blocked", message):
        text += "Please file an issue with the following so that we can make `weights_only=True` compatible with your use case: WeightsUnpickler error: "
    return text + "\n\n" + message + _DOCS


@contextlib.contextmanager
def opened(f: Any) -> Iterator[IO[bytes]]:
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as stream:
            yield stream
    else:
        _legacy.check_seekable(f)
        yield f


def is_zip(stream: IO[bytes]) -> bool:
    start = stream.tell()
    head = stream.read(4)
    stream.seek(start)
    return head == b"PK\x03\x04"


def _map_file(path: str) -> np.ndarray:
    # A private mapping: writes to the tensors stay in this process, as torch's default.
    return np.memmap(path, dtype=np.uint8, mode="r+" if settings.mmap_flags == MAP_SHARED else "c")


def _load_safetensors(path: str, map_location: Any) -> Any:
    if isinstance(map_location, dict) or (map_location is not None and not isinstance(map_location, (str, bytes, torch.device))):
        form = "dict" if isinstance(map_location, dict) else "callable"
        raise RuntimeError(f"Loading safetensors file with {form} map_location is not supported. Use a device string or torch.device instead.")
    return load_file(path, "cpu" if map_location is None else str(map_location))


class _Archive:
    """The storages of one zip file while its pickle is read."""

    def __init__(self, reader: ZipReader, map_location: Any, mapped: np.ndarray | None) -> None:
        self.reader, self.map_location, self.mapped = reader, map_location, mapped
        self.restore = restorer_of(map_location)
        self.is_meta = str(map_location) == "meta"
        self.storages: dict[str, HostStorage] = {}
        self.swap = self._byte_order() != sys.byteorder

    def _byte_order(self) -> str:
        if self.reader.has("byteorder"):
            order = self.reader.read("byteorder")
            if order not in (b"little", b"big"):
                raise ValueError("Unknown endianness type: " + order[:80].decode(errors="replace"))
            return order.decode()
        default = settings.endianness or LoadEndianness.LITTLE
        return sys.byteorder if default is LoadEndianness.NATIVE else default.name.lower()

    def load(self, pickle_module: Any, **arguments: Any) -> Any:
        """The object."""
        stream = io.BytesIO(self.reader.read("data.pkl"))
        if pickle_module is _weights_only:
            unpickler: Any = _weights_only.Unpickler(stream, **arguments)
            unpickler.bytes = self.reader.size
            unpickler.persistent_load = self.find
        else:
            unpickler = make_unpickler(pickle_module, stream, self.find, **arguments)
        before, local.map_location = local.map_location, self.map_location
        try:
            loaded = unpickler.load()
        finally:
            local.map_location = before
        del stream, unpickler
        publish(self.storages.values())
        return loaded

    def find(self, pid: Any) -> HostStorage:
        """The storage of a persistent id."""
        if not isinstance(pid, tuple):
            raise AssertionError(f"saved_id must be a tuple, got {type(pid).__name__}")
        kind = text_of(pid[0] if pid else None)
        if kind != "storage":
            raise AssertionError(f"Unknown typename for persistent_load, expected 'storage' but got '{kind}'")
        storage_type, key, location, count = checked_pid(pid, 5)[1:]
        if key not in self.storages:
            size = count * _dtypes.ALL[storage_type.dtype_name].itemsize
            self.storages[key] = self._read(key, size, storage_type.dtype_name, location)
        return self.storages[key]

    def _read(self, key: str, size: int, dtype_name: str, location: str) -> HostStorage:
        if self.is_meta:
            return HostStorage(np.broadcast_to(np.uint8(0), (size,)), dtype_name, "meta")
        if local.skip_data:
            data = zeroed_bytes(size)
        elif self.mapped is not None:
            start = self.reader.offset(f"data/{key}", size)
            data = self.mapped[start : start + size].view(np.ndarray)
        else:
            data = self.reader.array(f"data/{key}", size)
        if self.swap:
            width = _dtypes.ALL[dtype_name].itemsize // (2 if _dtypes.ALL[dtype_name].is_complex else 1)
            data = data.view(f"u{width}").byteswap().view(np.uint8)
        return self.restore(HostStorage(data, dtype_name), location)
