"""``torch.distributed._tensor``: the old name of :mod:`torch.distributed.tensor`, its modules included."""

import sys

from jtorch.distributed.tensor import *  # noqa: F403
from jtorch.distributed.tensor import DTensor, _utils, device_mesh, experimental, placement_types
from jtorch.distributed.tensor import _api as api
from jtorch.distributed.tensor._api import DTensorSpec
from jtorch.distributed.tensor.experimental import implicit_replication

__all__ = ["DTensor", "DTensorSpec", "api", "device_mesh", "experimental", "implicit_replication", "placement_types"]

for _module in (_utils, api, device_mesh, experimental, placement_types):
    sys.modules[f"{__name__}.{_module.__name__.rpartition('.')[2].replace('_api', 'api')}"] = _module
