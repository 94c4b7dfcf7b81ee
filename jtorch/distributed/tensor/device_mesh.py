"""``torch.distributed.tensor.device_mesh``: another name of :mod:`torch.distributed.device_mesh`."""

from __future__ import annotations

from jtorch.distributed.device_mesh import DeviceMesh, _mesh_resources, init_device_mesh

__all__ = ["DeviceMesh", "_mesh_resources", "init_device_mesh"]
