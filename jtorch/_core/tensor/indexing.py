"""``x[...]`` and ``x[...] = v``: basic indexing takes views, integer and boolean tensors gather and scatter."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from jtorch._errors import warn
from jtorch._core.dispatch.conversion import cast
from jtorch._core.graph.device_copy import to_device
from jtorch import _dtypes
from jtorch._engine.recording import forgetting
from jtorch._engine.recording.call import T, call_of, slot, tensor_list, value
from jtorch._engine.values.lanes import innermost
from jtorch._engine.values.sparse_values import SparseAval
from jtorch._engine.values.thread_state import state
from jtorch._ops._fitting import check_fits, check_long
from jtorch._ops.views import slice_bounds
from jtorch._registry import lookup

from jtorch._core.dispatch.signature_binding import number_of
from jtorch._core.tensor.creation import from_array, tensor
from jtorch._core.tensor.expanded_writes import shared_dims, write_shared
from jtorch._core.dispatch.record import apply_multi, calln
from jtorch._core.dispatch.inplace import assign, check_writable
from jtorch._core.dispatch.torch_function import MODES, has_override, override
from jtorch._core.storage.bare_tensor import PLAIN, Tensor
from jtorch._core.graph.view_history import take_view
from jtorch._core.storage.overlap import check_apart
from jtorch._core.storage.write_counts import origin_of
from jtorch._core.storage.view_steps import is_traced, aval_of, elements, laid_out, read, layout

__all__ = ["BYTES_AS_MASK", "MASK_IN_LANES", "getitem", "refuse_lanes", "setitem"]

_slice = lookup("internal.slice")
_select = lookup("torch.select")
_unsqueeze = lookup("torch.unsqueeze")
_expand: Any = lookup("Tensor.expand")
_I = slot(int)


_first = call_of(_select, (T, value(0), _I))
_slices: dict[tuple[int, int, int], Any] = {}
forgetting.remembered.append(_slices)


def take_slice(t: Tensor, dim: int, start: int, length: int, step: int) -> Tensor:
    call = _slices.get((dim, length, step))
    if call is None:
        call = _slices[dim, length, step] = call_of(_slice, (T, value(dim), _I, value(length), value(step)))
    return take_view(_slice, call, t, (dim, start, length, step), (start,))


def take_select(t: Tensor, dim: int, index: int) -> Tensor:
    return take_view(_select, call_of(_select, (T, value(dim), _I)) if dim else _first, t, (dim, index), (index,))


MASK_IN_LANES = "vmap: We do not support batching operators that can support dynamic shape. Attempting to batch over indexing with a boolean mask."
BYTES_AS_MASK = "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead."


def refuse_lanes(mask: Tensor, why: str) -> None:
    """RuntimeError where a mask has its own values in each lane of a vmap: there would be as many elements as it says."""
    if state.lanes and innermost([read(mask)]) is not None:
        raise RuntimeError(why)


def _is_advanced(i: Any) -> bool:
    if isinstance(i, Tensor):
        return bool(aval_of(i).shape) or aval_of(i).dtype is _dtypes.bool_ or aval_of(i).dtype is _dtypes.uint8 or is_traced(i)
    return isinstance(i, (list, tuple, np.ndarray, range))


def _as_index(i: Any) -> Tensor:
    """A list, array or tensor as an index tensor. IndexError for types that cannot be one."""
    if not isinstance(i, Tensor):
        if isinstance(i, np.ndarray):
            i = from_array(np.array(i))
        else:
            i = tensor(list(i) if isinstance(i, range) else i) if len(i) else from_array(np.zeros(0, np.int64))
            if aval_of(i).dtype not in (_dtypes.bool_, _dtypes.uint8):
                i = cast(i, _dtypes.int64)  # numbers of a list are cut to integers, as in torch
    kind = aval_of(i).dtype
    if kind is _dtypes.uint8 and aval_of(i).shape:
        warn(BYTES_AS_MASK)
    elif kind not in (_dtypes.int64, _dtypes.int32, _dtypes.bool_, _dtypes.uint8):
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    return i  # type: ignore[no-any-return]


def _treat_as_sequence(index: Any) -> Any:
    """numpy's old rule: a short list that holds slices, None, ... or sequences is a tuple of indices."""
    if isinstance(index, list) and len(index) < 32 and any(isinstance(i, (Tensor, list, tuple, slice, np.ndarray)) or i is None or i is Ellipsis for i in index):
        warn(
            "Using a non-tuple sequence for multidimensional indexing is deprecated and will be changed in pytorch 2.9; use x[tuple(seq)] instead of x[seq]. "
            "In pytorch 2.9 this will be interpreted as tensor index, x[torch.tensor(seq)], which will result either in an error or a different result",
        )
        return tuple(index)
    return index


def _bound(b: Any) -> int | None:
    """A bound or step of a slice. TypeError for what is no integer."""
    if b is None or b.__class__ is int:
        return b  # type: ignore[no-any-return]
    if isinstance(b, Tensor):
        return int(b.__index__())
    try:
        return operator.index(b)
    except TypeError:
        raise TypeError("slice indices must be integers or None or have an __index__ method") from None


def _parse(t: Tensor, index: Any) -> tuple[Tensor, list[Any]]:
    """Apply the basic part of an index; what is advanced stays, as one entry per dim of the view (None where the dim is taken whole)."""
    index = _treat_as_sequence(index)
    items = list(index) if isinstance(index, tuple) else [index]
    shape = aval_of(t).shape
    used = 0
    for i in items:
        if i is None or i is Ellipsis or isinstance(i, (bool, np.bool_)):
            continue
        if _is_advanced(i) and (isinstance(i, Tensor) or isinstance(i, np.ndarray)):
            kind = aval_of(i).dtype if isinstance(i, Tensor) else None
            is_mask = kind in (_dtypes.bool_, _dtypes.uint8) if kind is not None else i.dtype in (np.bool_, np.uint8)
            used += (len(aval_of(i).shape) if isinstance(i, Tensor) else i.ndim) if is_mask else 1
        else:
            used += 1
    if used > len(shape):
        if not shape and index.__class__ is slice:
            raise IndexError("slice() cannot be applied to a 0-dim tensor.")
        raise IndexError(f"too many indices for tensor of dimension {len(shape)}")
    dim = gone = 0  # the dim of the view that is next; dims that selection took away
    advanced: list[Any] = []
    seen_ellipsis = False
    for i in items:
        if i is Ellipsis:
            skip = 0 if seen_ellipsis else len(shape) - used
            seen_ellipsis = True
            dim += skip
            advanced += [None] * (dim - len(advanced))
        elif i is None:
            t = take_view(_unsqueeze, call_of(_unsqueeze, (T, value(dim))), t, (dim,), ())
            dim += 1
            advanced.append(None)
        elif isinstance(i, (bool, np.bool_)):
            t = take_view(_unsqueeze, call_of(_unsqueeze, (T, value(dim))), t, (dim,), ())
            advanced.append(from_array(np.zeros(1 if i else 0, np.int64)))
            dim += 1
        elif isinstance(i, slice):
            found = _bound(i.step)
            step = 1 if found is None else found
            if step <= 0:
                raise ValueError("step must be greater than zero" if step else "slice step cannot be zero")
            start, stop = _bound(i.start), _bound(i.stop)
            whole = t
            t = _range_of(t, dim, start, stop, step)
            if t is whole and not isinstance(index, tuple):  # torch slices by a lone slice, whatever it is
                t = take_slice(t, dim, 0, shape[dim], 1)
            dim += 1
            advanced.append(None)
        elif _is_advanced(i):
            ix = _as_index(i)
            kind = aval_of(ix).dtype
            if kind in (_dtypes.bool_, _dtypes.uint8):
                refuse_lanes(ix, MASK_IN_LANES)
                mask_shape = aval_of(ix).shape
                for k, n in enumerate(mask_shape):
                    have = aval_of(t).shape[dim + k]
                    if n != have:
                        raise IndexError(
                            f"The shape of the mask {list(mask_shape)} at index {k} does not match the shape of the indexed tensor {list(aval_of(t).shape)} at index {dim + k}"
                        )
                if not mask_shape:
                    t = take_view(_unsqueeze, call_of(_unsqueeze, (T, value(dim))), t, (dim,), ())
                    advanced.append(from_array(np.zeros(int(bool(elements(ix))), np.int64)))
                    dim += 1
                else:
                    advanced += [from_array(w.astype(np.int64)) for w in np.nonzero(elements(ix))]
                    dim += len(mask_shape)
            else:
                advanced.append(ix)
                dim += 1
        else:
            t = _one_of(t, dim, _int_of(i), gone)
            gone += 1
    return t, advanced


def _one_of(t: Tensor, dim: int, at: int, gone: int) -> Tensor:
    """``gone``: dims that selection has taken away before."""
    n = aval_of(t).shape[dim]
    if not -n <= at < n:
        check_long(at)
        raise IndexError(f"index {at} is out of bounds for dimension {dim + gone} with size {n}")
    return take_select(t, dim, at)


def _range_of(t: Tensor, dim: int, start: int | None, stop: int | None, step: int) -> Tensor:
    """``t`` itself where that is the whole dim."""
    n = aval_of(t).shape[dim]
    first, length = slice_bounds(n, start, stop, step)
    return t if first == 0 and length == n and step == 1 else take_slice(t, dim, first if length else min(first, n), length, step)


_BOUNDS = frozenset((int, type(None)))


def _plain_parts(t: Tensor, index: tuple[Any, ...]) -> Tensor | None:
    """What :func:`_parse` comes to where the index is ints and slices without a step; None where it is anything else."""
    for i in index:
        if i.__class__ is not int and (i.__class__ is not slice or i.step is not None or i.start.__class__ not in _BOUNDS or i.stop.__class__ not in _BOUNDS):
            return None
    if len(index) > len(aval_of(t).shape):
        return None
    dim = gone = 0
    for i in index:
        if i.__class__ is int:
            t = _one_of(t, dim, i, gone)
            gone += 1
        else:
            t = _range_of(t, dim, i.start, i.stop, 1)
            dim += 1
    return t


def _int_of(i: Any) -> int:
    if isinstance(i, (int, np.integer)) and not isinstance(i, bool):
        return int(i)
    if isinstance(i, Tensor):
        kind = aval_of(i).dtype
        if kind.category > 1:
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        return int(i.item())
    if hasattr(i, "__index__"):
        return int(i.__index__())
    if isinstance(i, str):
        raise TypeError("new(): invalid data type 'str'")
    raise IndexError(f"only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got {type(i).__name__})")


def getitem(self: Tensor, index: Any) -> Any:
    """``self[index]``."""
    if index.__class__ is int:
        s = aval_of(self).shape
        if not s:
            raise IndexError(
                f"index {index} is out of bounds for dimension 0 with size 0" if index else
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"
            )
        if not -s[0] <= index < s[0]:
            check_long(index)
            raise IndexError(f"index {index} is out of bounds for dimension 0 with size {s[0]}")
        if (self.__class__ in PLAIN and not MODES) or not has_override((self,), {}):
            return take_view(_select, _first, self, (0, index), (index,))
    elif (index.__class__ is tuple or index.__class__ is slice) and self.__class__ in PLAIN and not MODES:
        found = _plain_parts(self, index if isinstance(index, tuple) else (index,))
        if found is not None and found is not self:
            return found
    if has_override((self, index), {}):
        return override(Tensor.__getitem__, (self, index), {})
    t, advanced = _parse(self, index)
    if any(a is not None for a in advanced):
        return _gather(t, advanced)
    if t is self:
        alias = lookup("internal.alias")
        t = take_view(alias, call_of(alias, (T,)), self, (), ())
    return t


def _gather(t: Tensor, indices: list[Any]) -> Tensor:
    op = lookup("internal.index")
    key = (T, tensor_list([i is not None for i in indices]))
    out: Tensor = calln(call_of(op, key), (t, *[i for i in indices if i is not None]))
    return out


_HEAP_TYPE = 1 << 9  # CPython's Py_TPFLAGS_HEAPTYPE: a class made by running Python


def _assignable(new: Any, kind: _dtypes.dtype) -> Any:
    """The number that ``new`` is. Sequences, arrays and those of numpy's scalars that are no number of Python's are refused, as in torch."""
    number = number_of(new) if isinstance(new, (bool, int, float, complex, np.integer)) else None
    if number is None:
        cls = type(new)
        where = "torch" if cls.__module__.startswith(("jtorch", "torch")) else "" if cls.__flags__ & _HEAP_TYPE else cls.__module__
        name = cls.__name__ if where in ("", "builtins") else f"{where}.{cls.__name__}"
        raise TypeError(f"can't assign a {name} to a torch.{kind.legacy}Tensor")
    check_long(number)
    check_fits(number, kind)
    if number.__class__ is complex and not kind.is_complex:
        return number != 0 if kind is _dtypes.bool_ else number.real
    return float(kind.np.type(number)) if kind in (_dtypes.float16, _dtypes.bfloat16) else number  # rounded, as what fills a tensor of no dims


def _converts(index: Any, new: Tensor) -> bool:
    """Whether a tensor of another type is written: everywhere (``x[True]``), or one value where the only tensor of the index is a mask, as by ``masked_fill``."""
    if isinstance(index, bool):
        return True
    mask = _only_tensor(index)
    return math.prod(aval_of(new).shape) == 1 and mask is not None and aval_of(mask).dtype in (_dtypes.bool_, _dtypes.uint8)


def _only_tensor(index: Any) -> Tensor | None:
    tensors = [i for i in (index if isinstance(index, tuple) else (index,)) if isinstance(i, Tensor)]
    return tensors[0] if len(tensors) == 1 else None


def setitem(self: Tensor, index: Any, new: Any) -> None:
    """``self[index] = new``: written through to every tensor that shares the memory."""
    if has_override((self, index, new), {}):
        return override(Tensor.__setitem__, (self, index, new), {})  # type: ignore[no-any-return]
    if aval_of(self).__class__ is SparseAval:
        raise TypeError("Cannot assign to a sparse tensor")
    if not isinstance(new, Tensor):
        new = _assignable(new, aval_of(self).dtype)
    if isinstance(index, Tensor) and aval_of(index).dtype is _dtypes.bool_ and aval_of(index).shape == aval_of(self).shape and aval_of(index).shape:
        if not isinstance(new, Tensor) or (isinstance(new, Tensor) and not aval_of(new).shape and new._edge is None):
            # One value under a mask needs no positions: nothing has to be computed now.
            self.masked_fill_(index, new)
            return
    t, advanced = _parse(self, index)
    if not isinstance(new, Tensor):
        new = tensor(new, dtype=aval_of(self).dtype, device=aval_of(self).device)
    a = aval_of(t)
    if not any(i is not None for i in advanced):
        lead = len(aval_of(new).shape) - len(a.shape)
        if lead > 0 and all(n == 1 for n in aval_of(new).shape[:lead]):
            new = new.reshape(aval_of(new).shape[lead:])
        if aval_of(new).shape != a.shape:
            laid_out(_expand, aval_of(new), (0,) * len(aval_of(new).shape), (a.shape,))  # raises
            if origin_of(new._s) is origin_of(t._s):  # what is spread over itself is no overlap to torch
                new = new.expand(a.shape)
        if t is not self and a.shape == aval_of(self).shape and layout(t) == layout(self):
            t = self  # all of it, which is no view
        t.copy_(new)
        return
    shared = shared_dims(t)
    if not shared:
        check_writable(t, name="index_put_")
    if math.prod(aval_of(new).shape) == 1 and (mask := _only_tensor(index)) is not None and aval_of(mask).dtype is _dtypes.uint8 and aval_of(mask).shape:
        raise RuntimeError("masked_fill_ only supports boolean masks, but got mask with dtype unsigned char")
    given = aval_of(new).dtype
    new = to_device(cast(new, a.dtype), a.device)
    op = lookup("internal.index_put")
    check_apart(t, (new,), True)
    key = (T, tensor_list([i is not None for i in advanced]), T, value(False))
    out = apply_multi(call_of(op, key), (t, *[i for i in advanced if i is not None], new))  # shapes come first
    if given is not a.dtype and not _converts(index, new):
        raise RuntimeError(
            f"Index put requires the source and destination dtypes match, got {a.dtype.legacy} for the destination and {given.legacy} for the source."
        )
    if shared:
        write_shared(t, out, shared)
    else:
        assign(t, out)


Tensor.__getitem__ = getitem  # type: ignore[method-assign]
Tensor.__setitem__ = setitem  # type: ignore[method-assign]


def _delitem(self: Tensor, index: Any) -> None:
    raise TypeError("Tensor does not support deleting items")


Tensor.__delitem__ = _delitem  # type: ignore[method-assign]
