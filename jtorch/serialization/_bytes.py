"""Storages in ordinary pickles: each as a file of its own."""

from __future__ import annotations

import copyreg
import io
from typing import Any

from jtorch import storage
from jtorch._public import torch

from ._load import load
from ._reduce import TensorStorage
from ._save import save
from ._state import local
from ._storage import HostStorage


def _load_from_bytes(data: bytes) -> Any:
    """The storage that :func:`_to_bytes` took."""
    before = local.map_location, local.publish
    local.map_location, local.publish = None, False  # the tensors that are on it come next
    try:
        return load(io.BytesIO(data), weights_only=False)
    finally:
        local.map_location, local.publish = before


def _to_bytes(obj: Any) -> tuple[Any, ...]:
    stream = io.BytesIO()
    save(obj, stream, _use_new_zipfile_serialization=False)
    return _load_from_bytes, (stream.getvalue(),)


_load_from_bytes.__module__ = storage.__name__  # torch's home for it, which the layers below import
storage._load_from_bytes = _load_from_bytes  # type: ignore[attr-defined]
for _kind in (HostStorage, TensorStorage, torch.UntypedStorage, torch.TypedStorage):
    copyreg.pickle(_kind, _to_bytes)
