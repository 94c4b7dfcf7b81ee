"""``torch.distributed.checkpoint._fsspec_filesystem``, as far as libraries name it."""

from __future__ import annotations

from jtorch.distributed._names import refusing_class

__all__ = ["FsspecReader", "FsspecWriter"]

FsspecReader = refusing_class("FsspecReader", "torch.distributed.checkpoint._fsspec_filesystem")
FsspecWriter = refusing_class("FsspecWriter", "torch.distributed.checkpoint._fsspec_filesystem")
