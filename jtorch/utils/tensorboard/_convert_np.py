"""Anything that can be logged as a numpy array."""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch._public import torch


def make_np(x: Any) -> np.ndarray:
    """A numpy array of a tensor (bfloat16 as float16), an array or a number. NotImplementedError for anything else."""
    if isinstance(x, np.ndarray):
        return x
    if np.isscalar(x):
        return np.array([x])
    if isinstance(x, torch.Tensor):
        if x.is_meta:
            return np.zeros(1)
        x = x.detach().cpu()
        return np.array((x.to(torch.float16) if x.dtype == torch.bfloat16 else x).numpy())
    raise NotImplementedError(f"Got {type(x)}, but numpy array or torch tensor are expected.")
