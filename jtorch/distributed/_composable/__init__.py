"""``torch.distributed._composable``: the old place of ``fully_shard``."""

from __future__ import annotations

from jtorch.distributed._names import refusing
from jtorch.distributed.fsdp import fully_shard

__all__ = ["checkpoint", "fully_shard", "replicate"]

checkpoint, replicate = refusing("checkpoint", "torch.distributed._composable"), refusing("replicate", "torch.distributed._composable")
