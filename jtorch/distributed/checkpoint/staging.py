"""``torch.distributed.checkpoint.staging``, as far as libraries name it."""

from __future__ import annotations

from jtorch.distributed._names import refusing_class

__all__ = ["BlockingAsyncStager"]

BlockingAsyncStager = refusing_class("BlockingAsyncStager", "torch.distributed.checkpoint.staging")
