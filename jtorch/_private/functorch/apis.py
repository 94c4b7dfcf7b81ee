"""``torch._functorch.apis``: ``torch.func``'s functions where torch defines them, and an older one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from jtorch.func import grad, grad_and_value, vmap

__all__ = ["chunk_vmap", "grad", "grad_and_value", "vmap"]


def chunk_vmap(func: Any, in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", chunks: int = 2) -> Callable[..., Any]:
    """``vmap`` in so many parts, one after another. ValueError for fewer than one."""
    if chunks < 1:
        raise ValueError(f"vmap: chunks should be greater than 0. (got {chunks})")

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        from jtorch.func.vmap import _inputs

        size = _inputs(func, in_dims, args)[0]
        return vmap(func, in_dims, out_dims, randomness, chunk_size=-(-size // chunks))(*args, **kwargs)

    return wrapped
