"""``torch.cuda.nccl``: collectives by hand. XLA calls NCCL itself."""

from __future__ import annotations

from typing import Any

__all__ = ["init_rank", "is_available", "unique_id", "version"]


def is_available(tensors: Any) -> bool:
    """Whether NCCL can be called on these tensors: no."""
    return False


def version() -> tuple[int, int, int]:
    """NCCL's version. RuntimeError: torch without it has no such function."""
    raise RuntimeError("PyTorch is not built with NCCL: XLA calls it itself")


def unique_id() -> Any:
    """An identity for a group. RuntimeError."""
    return version()


def init_rank(num_ranks: int, uid: Any, rank: int) -> Any:
    """Join a group. RuntimeError."""
    return version()
