"""``torch.utils.data.backward_compatibility``: what loaders of data pipes once needed."""

from __future__ import annotations

import warnings

__all__ = ["worker_init_fn"]


def worker_init_fn(worker_id: int) -> None:
    """Nothing: each worker takes its share by itself."""
    warnings.warn("Usage of `backward_compatibility.worker_init_fn` is deprecated as `DataLoader` automatically applies sharding in every worker", FutureWarning, stacklevel=2)
