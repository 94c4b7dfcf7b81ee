"""``torch.distributed.checkpoint.optimizer``, as far as libraries name it."""

from __future__ import annotations

from jtorch.distributed._names import refusing

__all__ = ["load_sharded_optimizer_state_dict"]

load_sharded_optimizer_state_dict = refusing("load_sharded_optimizer_state_dict", "torch.distributed.checkpoint.optimizer")
