"""What a checkpoint says of itself: the objects in its ``.metadata`` file, which is torch's own, so that either library reads what the other wrote."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from jtorch._public import torch

__all__ = ["BytesStorageMetadata", "ChunkStorageMetadata", "Metadata", "MetadataIndex", "StorageMeta", "TensorProperties", "TensorStorageMetadata"]


@dataclass
class ChunkStorageMetadata:
    """A box of a tensor."""

    offsets: Any
    sizes: Any


class _MEM_FORMAT_ENCODING(Enum):
    TORCH_CONTIGUOUS_FORMAT = 0
    TORCH_CHANNELS_LAST = 1
    TORCH_PRESERVE_FORMAT = 2


_FORMATS = ("contiguous_format", "channels_last", "preserve_format")


@dataclass
class TensorProperties:
    """The type of a tensor; the rest is there for old checkpoints."""

    dtype: Any = field(default_factory=lambda: torch.get_default_dtype())
    layout: Any = field(default_factory=lambda: torch.strided)
    requires_grad: bool = False
    memory_format: Any = field(default_factory=lambda: torch.contiguous_format)
    pin_memory: bool = False

    def __getstate__(self) -> Any:
        at = next(i for i, name in enumerate(_FORMATS) if getattr(torch, name) is self.memory_format)
        return self.dtype, self.layout, self.requires_grad, _MEM_FORMAT_ENCODING(at), self.pin_memory

    def __setstate__(self, state: Any) -> None:
        self.dtype, self.layout, self.requires_grad, form, self.pin_memory = state
        self.memory_format = getattr(torch, _FORMATS[form.value])

    @staticmethod
    def create_from_tensor(tensor: Any) -> TensorProperties:
        """Those of a tensor."""
        return TensorProperties(dtype=tensor.dtype, requires_grad=tensor.requires_grad)


@dataclass
class TensorStorageMetadata:
    """A tensor, and the boxes that it was written in."""

    properties: TensorProperties
    size: Any
    chunks: list[ChunkStorageMetadata]


@dataclass
class BytesStorageMetadata:
    """Something else, pickled."""


@dataclass
class StorageMeta:
    """What a storage says of a checkpoint."""

    checkpoint_id: str | os.PathLike[str] | None = None
    save_id: str | None = None
    load_id: str | None = None
    modules: list[str] = field(default_factory=list)


@dataclass
class Metadata:
    """All of it: what there is by name, how names came from nested keys, and where things are."""

    state_dict_metadata: dict[str, Any]
    planner_data: Any = None
    storage_data: Any = None
    storage_meta: StorageMeta | None = None
    version: str | None = None


@dataclass(frozen=True)
class MetadataIndex:
    """A box of what has this name. ``index``: a hint where to look for it."""

    fqn: str
    offset: Any = None
    index: int | None = field(hash=False, compare=False, default=None)

    def __init__(self, fqn: str, offset: Sequence[int] | None = None, index: int | None = None) -> None:
        object.__setattr__(self, "fqn", fqn)
        object.__setattr__(self, "index", index)
        object.__setattr__(self, "offset", torch.Size(offset) if offset is not None else None)
