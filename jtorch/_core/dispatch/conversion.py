"""``to`` in all its forms: other element types, devices and layouts; resizing."""

from __future__ import annotations

from typing import Any

from jtorch import _dtypes
from jtorch._engine.recording.call import T, call_of, value
from jtorch._errors import no_such_type
from jtorch._registry import lookup


from jtorch._core.dispatch.record import apply_multi
from jtorch._core.storage.elementwise_strides import channels_last
from jtorch._core.storage.host_memory import contiguous_strides
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.graph.device_copy import to_device
from jtorch._core.storage.view_steps import aval_of, strides_of

__all__ = ["cast", "format_strides", "to", "with_strides"]


def cast(t: Tensor, kind: _dtypes.dtype) -> Tensor:
    """``t`` in another element type; ``t`` itself if it has it."""
    if aval_of(t).dtype is kind:
        return t
    if kind.np is None:
        no_such_type(kind)
    out: Tensor = apply_multi(call_of(lookup("internal.to_copy"), (T, value(kind))), (t,))
    return out


def to(t: Tensor, dtype: Any = None, device: Any = None, copy: bool = False, memory_format: Any = None) -> Tensor:
    """``Tensor.to`` after its arguments were sorted out."""
    out = t
    if dtype is not None:
        out = cast(out, dtype)
    if device is not None:
        out = to_device(out, device)
    if out is t and copy:
        out = apply_multi(call_of(lookup("torch.clone"), (T, value(None))), (t,))
    if memory_format is not None and memory_format.name not in ("preserve_format",):
        wanted = format_strides(aval_of(out).shape, memory_format)
        last = memory_format.name.startswith("channels_last")
        if strides_of(out) != wanted and (last or not _same_layout(aval_of(out).shape, strides_of(out), wanted)):
            out = with_strides(out if out is not t else apply_multi(call_of(lookup("torch.clone"), (T, value(None))), (t,)), wanted)
    return out


def _same_layout(shape: tuple[int, ...], a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(x == y or n == 1 for n, x, y in zip(shape, a, b, strict=True))


def with_strides(t: Tensor, strides: tuple[int, ...]) -> Tensor:
    """Give a fresh tensor (one that nobody else has seen) this layout."""
    t._s.strides = None if strides == contiguous_strides(aval_of(t).shape) else strides
    return t


def format_strides(shape: tuple[int, ...], memory_format: Any) -> tuple[int, ...]:
    """Strides of a memory format. RuntimeError where the number of dims does not fit."""
    n = len(shape)
    if memory_format.name == "channels_last":
        if n != 4:
            raise RuntimeError("required rank 4 tensor to use channels_last format")
    elif memory_format.name == "channels_last_3d":
        if n != 5:
            raise RuntimeError("required rank 5 tensor to use channels_last_3d format")
    else:
        return contiguous_strides(shape)
    return channels_last(shape)
