"""``torch.distributed.tensor.experimental._attention``, as far as libraries name it."""

from __future__ import annotations

from jtorch.distributed._names import refusing

__all__ = ["set_rotate_method"]

set_rotate_method = refusing("set_rotate_method", "torch.distributed.tensor.experimental._attention")
