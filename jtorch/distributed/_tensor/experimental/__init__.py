"""``torch.distributed._tensor.experimental``: the old place."""

from jtorch.distributed.tensor.experimental import implicit_replication, local_map

__all__ = ["implicit_replication", "local_map"]
