"""``torch.distributed._tensor``: the old name of :mod:`torch.distributed.tensor`."""

from jtorch.distributed.tensor import *  # noqa: F403
from jtorch.distributed.tensor import DTensor, placement_types
from jtorch.distributed.tensor._api import DTensorSpec
from jtorch.distributed.tensor.experimental import implicit_replication

__all__ = ["DTensor", "DTensorSpec", "implicit_replication", "placement_types"]
