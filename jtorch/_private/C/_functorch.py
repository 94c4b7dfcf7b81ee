"""``torch._C._functorch``: what a transformation has made of a tensor. Those of JAX stand inside ordinary tensors as tracers; a tensor inside ``torch.vmap`` knows all its lanes."""

from __future__ import annotations

from typing import Any

from jtorch._core.backward.levels import leave_lanes
from jtorch._core.storage.view_steps import read
from jtorch._engine.values.lanes import innermost
from jtorch._errors import not_implemented

__all__ = ["get_unwrapped", "is_batchedtensor", "is_functorch_wrapped_tensor", "is_gradtrackingtensor", "is_legacy_batchedtensor", "maybe_get_bdim", "reshape_dim_into", "reshape_dim_outof"]


def is_batchedtensor(tensor: Any) -> bool:
    """Whether it is one lane of a ``torch.vmap``."""
    return innermost([read(tensor)]) is not None


is_functorch_wrapped_tensor = is_batchedtensor


def is_gradtrackingtensor(tensor: Any) -> bool:
    """Whether a derivative wraps it: never, they are passes over the tape."""
    return False


is_legacy_batchedtensor = is_functionaltensor = is_gradtrackingtensor


def get_unwrapped(tensor: Any) -> Any:
    """All lanes, along a first dim; the tensor itself if it is no lane."""
    level = innermost([read(tensor)])
    return tensor if level is None else leave_lanes([tensor], level, level.since)[0]


def maybe_get_bdim(tensor: Any) -> int:
    """Where :func:`get_unwrapped` has the lanes: 0, or -1."""
    return 0 if is_batchedtensor(tensor) else -1


def reshape_dim_into(src: int, dst: int, tensor: Any) -> Any:
    """One dim taken into another, which it is outside of."""
    src %= tensor.dim()
    dst %= tensor.dim() - 1
    moved = tensor.movedim(src, dst)
    return moved.reshape(*moved.shape[:dst], moved.shape[dst] * moved.shape[dst + 1], *moved.shape[dst + 2 :])


def reshape_dim_outof(src: int, size1: int, tensor: Any) -> Any:
    """A dim as two, the first of size ``size1``. RuntimeError if it doesn't divide."""
    src %= tensor.dim()
    return tensor.reshape(*tensor.shape[:src], size1, tensor.shape[src] // size1, *tensor.shape[src + 1 :])


_fallback = [True]


def _is_vmap_fallback_enabled() -> bool:
    """Whether ``vmap`` may go through an operator lane by lane. Here operators are batched without that; who switches it off finds it off."""
    return _fallback[0]


def _set_vmap_fallback_enabled(enabled: bool) -> None:
    """See :func:`_is_vmap_fallback_enabled`."""
    _fallback[0] = enabled


def _add_batch_dim(tensor: Any, in_dim: int, level: int) -> Any:
    """Hide a dim."""
    not_implemented("torch._C._functorch._add_batch_dim", "use torch.vmap")


def _remove_batch_dim(tensor: Any, level: int, batch_size: int, out_dim: int) -> Any:
    """Show it again."""
    not_implemented("torch._C._functorch._remove_batch_dim", "use torch.vmap")
