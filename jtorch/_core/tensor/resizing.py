"""``resize_``: another size over the same memory, which grows where it is too small; and ``out=`` tensors of another shape."""

from __future__ import annotations

import math
import sys
from typing import Any

from jtorch._core.dispatch.conversion import format_strides
from jtorch._core.storage.bare_tensor import Tensor, new_storage
from jtorch._core.storage.host_memory import contiguous_strides
from jtorch._core.storage.view_steps import aval_of, layout, read
from jtorch._core.storage.write_counts import Alias
from jtorch._core.tensor.storage_objects import tensor_on
from jtorch._engine.recording.call import T, call_of, value
from jtorch._engine.recording.trace import record_multi
from jtorch._errors import check_addressable, warn
from jtorch._registry import lookup

__all__ = ["resize", "resize_for_out"]


def resize(t: Tensor, shape: tuple[int, ...], memory_format: Any = None) -> None:
    """``resize_``: row-major (or in the memory format) from where the tensor begins. Whoever shares the memory sees what is written there.

    RuntimeError for memory that is numpy's and too small."""
    if any(n < 0 for n in shape) or (0 not in shape and math.prod(shape) >= 2**63):
        raise RuntimeError("numel: integer multiplication overflow")
    check_addressable(shape, aval_of(t).dtype.itemsize)
    if aval_of(t).shape == shape and memory_format is None:
        return
    s = t._s
    on_cpu = aval_of(t).device.type == "cpu"
    alone = t._view is None and s.host is None and s.__class__ is not Alias and sys.getrefcount(t._s) <= 3  # the tensor's, this frame's, and getrefcount's (host_memory.settled)
    grows = math.prod(shape) > math.prod(aval_of(t).shape)
    if s.host is not None and s.extra is None and layout(t)[2] + math.prod(shape) > s.host.size:
        raise RuntimeError("Trying to resize storage that is not resizable")  # numpy's memory
    if memory_format is None and ((alone and grows) or not on_cpu):
        v = record_multi(call_of(lookup("internal.resize"), (T, value(shape))), (read(t),))[0]
        if t._view is None and s.__class__ is not Alias:
            s.value, s.strides = v, None
        else:  # an accelerator's memory is no object of ours: the tensor gets one of its own
            t._s, t._view = new_storage(v), None
    else:
        strides = contiguous_strides(shape) if memory_format is None else format_strides(shape, memory_format)
        try:
            other = tensor_on(s, aval_of(t).dtype, layout(t)[2], shape, strides)
        except RuntimeError as error:
            if "setStorage" in str(error):
                raise RuntimeError("Trying to resize storage that is not resizable") from None
            raise
        t._s, t._view = other._s, other._view
    t._s.version += 1


def resize_for_out(t: Tensor, shape: tuple[int, ...], quiet: bool = False) -> None:
    """An ``out=`` tensor of another shape is resized; torch warns unless it was empty, or what is written is new (``quiet``)."""
    before = aval_of(t).shape
    if math.prod(before) and not quiet:
        warn(
            f"An output with one or more elements was resized since it had shape {list(before)}, which does not match the required output shape {list(shape)}. "
            "This behavior is deprecated, and in a future PyTorch release outputs will not be resized unless they have zero elements. "
            "You can explicitly reuse an out tensor t by resizing it, inplace, to zero elements with t.resize_(0).",
        )
    resize(t, shape)
    t._s.version -= 1  # counted with what is written then
