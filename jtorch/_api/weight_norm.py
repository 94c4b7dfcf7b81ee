"""The two functions beneath weight normalisation."""

from __future__ import annotations

from typing import Any

from jtorch._core.dispatch.composites import compose
from jtorch._namespace import torch

Tensor = Any


@compose("torch")
def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """The ``pow``-norm over all dimensions but ``dim``, which are kept as 1; of the whole as a scalar with ``dim=-1``."""
    if not (v.is_floating_point() or v.is_complex()):
        raise RuntimeError(f"norm(): input dtype should be either floating point or complex. Got {v.dtype.legacy} instead.")
    if dim == -1:
        return torch.norm(v, pow)
    if not 0 <= dim < v.dim():
        raise IndexError(f"Dimension out of range (expected to be in range of [{-v.dim()}, {v.dim() - 1}], but got {dim})")
    others = [d for d in range(v.dim()) if d != dim]
    return torch.norm(v, pow, dim=others, keepdim=True) if others else v.abs()


@compose("torch")
def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """``g * v / |v|``, the norm as :func:`norm_except_dim` takes it."""
    return v * (g / norm_except_dim(v, 2, dim))
