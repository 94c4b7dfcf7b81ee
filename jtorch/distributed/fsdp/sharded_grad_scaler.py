"""``torch.distributed.fsdp.sharded_grad_scaler``, as far as libraries name it."""

from __future__ import annotations

from jtorch.distributed._names import refusing_class

__all__ = ["ShardedGradScaler"]

ShardedGradScaler = refusing_class("ShardedGradScaler", "torch.distributed.fsdp.sharded_grad_scaler")
