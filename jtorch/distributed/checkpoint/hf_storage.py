"""``torch.distributed.checkpoint.hf_storage``, as far as libraries name it."""

from __future__ import annotations

from jtorch.distributed._names import refusing_class

__all__ = ["HuggingFaceStorageReader", "HuggingFaceStorageWriter"]

HuggingFaceStorageReader = refusing_class("HuggingFaceStorageReader", "torch.distributed.checkpoint.hf_storage")
HuggingFaceStorageWriter = refusing_class("HuggingFaceStorageWriter", "torch.distributed.checkpoint.hf_storage")
