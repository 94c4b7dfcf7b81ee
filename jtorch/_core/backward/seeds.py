"""The gradients that a backward pass begins with."""

from __future__ import annotations

from typing import Any

from jtorch._core.backward.watched import shown_as_it_is, watched_ones
from jtorch._core.dispatch.torch_function import heard_below
from jtorch._core.storage.bare_tensor import Tensor, new_tensor
from jtorch._core.storage.view_steps import aval_of, read
from jtorch._engine.values.placed import PlacedAval, placed, placed_aval
from jtorch._engine.values.values import Value, value_of

__all__ = ["ones", "seed_of"]

_ONES: dict[Any, Value] = {}


def ones(a: Any) -> Value:
    """A cached value of ones; alike on all devices of a grid, where ``a`` lies on one."""
    found = _ONES.get(a)
    if found is None or found.array is None:
        import numpy as np

        found = value_of(np.ones(a.shape, a.dtype.np), a.device, a.dtype)
        if a.__class__ is PlacedAval:
            found = placed(placed_aval(a.whole, a.grid, (None,) * len(a.places)), found)
        _ONES[a] = found
    return found


def seed_of(t: Tensor, g: Any, create: bool) -> Any:
    """The gradient ``g`` of ``t``, or ones. RuntimeError in torch's words for what cannot be one."""
    a = aval_of(t)
    if g is None:
        n = 1
        for d in a.shape:
            n *= d
        if n != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        if a.dtype.is_complex:
            raise RuntimeError(f"grad can be implicitly created only for real scalar outputs but got {a.dtype}")
        if heard_below() or shown_as_it_is(t):
            return watched_ones(t, create)
        v = ones(a)
        return new_tensor(v) if create else v
    if not isinstance(g, Tensor):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
    ga = aval_of(g)
    if ga.shape != a.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[0] has a shape of torch.Size({list(ga.shape)}) and output[0] has a shape of torch.Size({list(a.shape)})."
        )
    if ga.dtype is not a.dtype:
        if ga.dtype.is_complex and not a.dtype.is_complex:
            raise RuntimeError(
                f"For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in dtype: grad_output[0] has a dtype of {ga.dtype} and output[0] has a dtype of {a.dtype}."
            )
        from jtorch._namespace import torch

        g = torch.Tensor.to(g, a.dtype)
    return g if create or shown_as_it_is(g) else read(g)
