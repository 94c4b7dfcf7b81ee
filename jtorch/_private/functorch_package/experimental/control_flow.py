"""``functorch.experimental.control_flow``: ``torch.cond``, and ``map`` of ``torch._higher_order_ops``."""

from jtorch._public import torch

__all__ = ["cond", "map"]

cond, map = torch.cond, torch._higher_order_ops.map
