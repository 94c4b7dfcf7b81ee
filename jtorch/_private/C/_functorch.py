"""``torch._C._functorch``: what a transformation has made of a tensor. Transformations here are JAX's, whose tracers stand inside ordinary tensors."""

from __future__ import annotations

from typing import Any

from jtorch._errors import not_implemented

__all__ = ["get_unwrapped", "is_batchedtensor", "is_functorch_wrapped_tensor", "is_gradtrackingtensor", "is_legacy_batchedtensor", "maybe_get_bdim"]


def is_batchedtensor(tensor: Any) -> bool:
    """Whether it has a hidden dim that vmap added: never, a tracer has the inner shape."""
    return False


is_legacy_batchedtensor = is_gradtrackingtensor = is_functorch_wrapped_tensor = is_functionaltensor = is_batchedtensor


def get_unwrapped(tensor: Any) -> Any:
    """What is inside: the tensor."""
    return tensor


def maybe_get_bdim(tensor: Any) -> int:
    """The hidden dim: -1."""
    return -1


def _add_batch_dim(tensor: Any, in_dim: int, level: int) -> Any:
    """Hide a dim."""
    not_implemented("torch._C._functorch._add_batch_dim", "use torch.vmap")


def _remove_batch_dim(tensor: Any, level: int, batch_size: int, out_dim: int) -> Any:
    """Show it again."""
    not_implemented("torch._C._functorch._remove_batch_dim", "use torch.vmap")
