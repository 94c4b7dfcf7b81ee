"""``torch._subclasses.meta_utils``: tensors as their shapes."""

from __future__ import annotations

import weakref
from typing import Any

from jtorch._public import torch

__all__ = ["MetaConverter"]


class MetaConverter:
    """Gives a tensor's counterpart on ``meta``, the same one each time; other things as they are."""

    def __init__(self, *, copy_data: bool = False) -> None:
        self.tensor_memo: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()

    def meta_tensor(self, t: Any) -> Any:
        """Shape, strides, type and ``requires_grad`` of ``t`` without its values."""
        known = self.tensor_memo.get(t)
        if known is None:
            with torch.no_grad():
                known = torch.empty_strided(t.size(), t.stride(), dtype=t.dtype, device="meta")
            known = torch.nn.Parameter(known, t.requires_grad) if isinstance(t, torch.nn.Parameter) else known.requires_grad_(t.requires_grad)
            self.tensor_memo[t] = known
        return known

    def __call__(self, t: Any, *args: Any, **kwargs: Any) -> Any:
        """:meth:`meta_tensor` of a tensor."""
        return self.meta_tensor(t) if isinstance(t, torch.Tensor) else t
