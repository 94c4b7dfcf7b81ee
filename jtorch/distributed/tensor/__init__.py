"""``torch.distributed.tensor``: tensors that lie on a mesh of devices. Source: https://docs.pytorch.org/docs/stable/distributed.tensor.html"""

from __future__ import annotations

from jtorch.distributed._placements import Partial, Placement, Replicate, Shard
from jtorch.distributed.device_mesh import DeviceMesh, init_device_mesh

from ._api import DTensor, distribute_module, distribute_tensor, empty, full, linspace, logspace, ones, rand, randn, zeros

__all__ = ["DTensor", "DeviceMesh", "Partial", "Placement", "Replicate", "Shard", "distribute_module", "distribute_tensor", "empty", "full", "init_device_mesh", "linspace", "logspace", "ones", "rand", "randn", "zeros"]
