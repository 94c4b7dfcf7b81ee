"""``torch._higher_order_ops``: operators that take functions. Branches and loops are XLA's (``_core/backward/control_flow.py``)."""

from __future__ import annotations

from jtorch._public import torch

from .associative_scan import associative_scan
from .cond import cond
from .map import map
from .scan import scan
from .while_loop import while_loop

__all__ = ["associative_scan", "cond", "map", "scan", "while_loop"]

torch.cond, torch.while_loop = cond, while_loop
