"""``torch.functional``: the functions that torch writes in Python, which the ``torch`` namespace shows too. Source: https://docs.pytorch.org/docs/stable/torch.html"""

from __future__ import annotations

from jtorch._namespace import torch as _torch

# What torch 2.13 lists there.
_NAMES = (
    "atleast_1d atleast_2d atleast_3d broadcast_shapes broadcast_tensors cartesian_prod block_diag cdist chain_matmul einsum istft lu norm meshgrid "
    "pca_lowrank split stft svd_lowrank tensordot unique unique_consecutive unravel_index"
).split()

__all__ = list(_NAMES)  # noqa: PLE0605 - a list of names

globals().update({name: getattr(_torch, name) for name in _NAMES})
