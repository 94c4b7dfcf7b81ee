"""Factories: tensors from sizes, ranges and numbers. Made on the host; ``empty`` is zeros."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jtorch import _device, _dtypes
from jtorch._core.dispatch.checked_arguments import agree_with_out, number_argument, tensor_argument
from jtorch._core.dispatch.composites import compose
from jtorch._core.dispatch.conversion import format_strides, with_strides
from jtorch._core.dispatch.signature_binding import is_number_tensor, no_overload, number_of, sizes_given
from jtorch._core.storage.bare_tensor import Tensor, new_tensor
from jtorch._core.storage.host_memory import contiguous_strides
from jtorch._core.storage.view_steps import aval_of, is_contiguous, laid_like, read, strides_of
from jtorch._core.tensor import creation as tensor_creation
from jtorch._core.tensor import legacy_constructors
from jtorch._core.tensor.autograd_methods import require_grad
from jtorch._core.tensor.creation import from_array, full_value, place
from jtorch._core.tensor.storage_objects import TypedStorage, UntypedStorage
from jtorch._engine.values.lanes import Lanes, unknown, within
from jtorch._engine.values.sparse_values import SparseAval
from jtorch._errors import check_addressable, no_kernel, warn, warn_once
from jtorch._namespace import torch
from jtorch._ops._fitting import check_fits


def _size(args: tuple[Any, ...], size: Any, name: str) -> tuple[int, ...]:
    given = size if size is not None else args[0] if len(args) == 1 and isinstance(args[0], (tuple, list)) else args
    if isinstance(given, int):
        given = (given,)
    if len(args) == 1 and given is args and not hasattr(args[0], "__index__"):
        raise TypeError(f"{name}(): argument 'size' (position 1) must be tuple of ints, not {type(args[0]).__name__}")
    out = []
    for k, x in enumerate(given):
        if k == 0 and isinstance(x, bool) or isinstance(x, (np.bool_, Tensor)) or not hasattr(x, "__index__"):  # behind the first place a bool is an int
            given = sizes_given(name, "size", given)  # refuses it, if it is no tensor of an int
        n = x.__index__()
        if n < 0:
            if name == "zeros":
                raise RuntimeError("zeros: Dimension size must be non-negative.")
            raise RuntimeError(f"Trying to create tensor with negative dimension {n}: {[int(v) for v in given]}")
        out.append(n)
    return tuple(out)


def _kind(dtype: Any) -> _dtypes.dtype:
    if dtype is None:
        return _dtypes.default
    found = {float: _dtypes.float64, int: _dtypes.int64, bool: _dtypes.bool_, complex: _dtypes.complex128}.get(dtype, dtype)
    if not isinstance(found, _dtypes.dtype):
        raise TypeError(f"argument 'dtype' must be torch.dtype, not {type(dtype).__name__}")
    return found


def make(shape: tuple[int, ...], number: Any, dtype: Any, device: Any, requires_grad: bool = False, memory_format: Any = None) -> Tensor:
    """A tensor of one number."""
    t = new_tensor(full_value(shape, number, _kind(dtype), place(device)))
    if memory_format is not None and memory_format.name not in ("preserve_format", "contiguous_format"):
        with_strides(t, format_strides(shape, memory_format))
    return require_grad(t) if requires_grad else t


def in_lanes(t: Tensor, like: Tensor, requires_grad: bool) -> Tensor:
    """``t``, just made of one number, with lanes of its own where ``like`` has some inside ``torch.vmap``: they may be written."""
    levels: list[Any] = []
    array = like._s.value.array
    while array.__class__ is Lanes:
        levels.append(array.level)
        array = array.value.array
    if levels:
        v = t._s.value
        v = read(new_tensor(v).expand(*[level.size for level in reversed(levels)], *v.aval.shape).clone())  # type: ignore[attr-defined]
        for level in reversed(levels):
            v = within(v, level)
        t._s.value = v
    return require_grad(t) if requires_grad else t


def _into(out: Tensor | None, t: Tensor, expanded: bool = True, name: str = "factory") -> Tensor:
    """``t``, or ``out`` with the elements of ``t``. Of what counts steps, ``out`` keeps its shape if it has as many elements."""
    if out is None:
        return t
    asked, t = t.requires_grad, t.detach()  # type: ignore[attr-defined]
    if name != "factory" and isinstance(out, Tensor) and out.numel() == t.numel():  # type: ignore[attr-defined]
        t = t.reshape(out.shape)  # type: ignore[attr-defined]
    from jtorch._core.tensor.derived_functions import write_out

    if name == "arange" and isinstance(out, Tensor) and 0 < out.numel() != t.numel():  # type: ignore[attr-defined]
        warn(
            f"The number of elements in the out tensor of shape {list(out.shape)} is {out.numel()} which does not match the computed number of elements {t.numel()}. "  # type: ignore[attr-defined]
            f"Note that this may occur as a result of rounding error. The out tensor will be resized to a tensor of shape ({t.numel()},)."  # type: ignore[attr-defined]
        )
    written = write_out(f"aten::{name}", t, out, expanded=expanded, quiet=True)
    return require_grad(written) if asked else written  # type: ignore[no-any-return]


def _factory(name: str, number: Any, what: str) -> None:
    @compose("torch", name=name, doc=f"A tensor of {what}: ``torch.{name}(2, 3)`` or ``torch.{name}((2, 3))``, of the default type and device unless told otherwise.")
    def fn(*args: Any, size: Any = None, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
           requires_grad: bool = False, pin_memory: bool = False, memory_format: Any = None, names: Any = None) -> Tensor:  # fmt: skip
        agree_with_out(out, dtype, device, layout)
        if out is not None and dtype is None:
            dtype = aval_of(out).dtype
        if layout is not None and layout.name != "strided":
            if number not in (None, 0):
                raise RuntimeError("full(...) is not implemented for sparse layout")
            return _sparse(name, _size(args, size, name), number, layout, _kind(dtype), place(device), requires_grad)
        return _into(out, make(_size(args, size, name), number, dtype, device, requires_grad, memory_format))

    @compose("torch", name=f"{name}_like", doc=f"A tensor of {what}, of the shape, type, device and layout of ``input`` unless told otherwise.")
    def like(input: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
             memory_format: Any = None, pin_memory: bool = False) -> Tensor:  # fmt: skip
        if layout is not None and isinstance(input, Tensor) and layout is not aval_of(input).layout:
            a = aval_of(input)
            kind, where = dtype or a.dtype, a.device if device is None else place(device)
            if layout.name == "strided":
                return make(a.shape, number, kind, where, requires_grad, memory_format)
            return _sparse(name, a.shape, number, layout, kind, where, requires_grad)
        return full_like_impl(input, number, dtype, device, requires_grad, memory_format)

    @compose("Tensor", name=f"new_{name}", doc=f"A tensor of {what} of this size, of this tensor's type and device unless told otherwise.")
    def new(self: Tensor, *args: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False,
            layout: Any = None, pin_memory: bool = False) -> Tensor:  # fmt: skip
        a = aval_of(self)
        return laid_like(in_lanes(make(_size(args, size, f"new_{name}"), number, dtype or a.dtype, a.device if device is None else device), self, requires_grad), self)


def full_like_impl(input: Tensor, number: Any, dtype: Any, device: Any, requires_grad: bool, memory_format: Any) -> Tensor:
    a = aval_of(tensor_argument("full_like", "input", 1, input))
    if a.__class__ is SparseAval:
        if memory_format is not None:
            raise RuntimeError("memory format option is only supported by strided tensors")
        return _sparse("fill_", a.shape, number, a.layout, dtype or a.dtype, a.device if device is None else place(device), requires_grad, input)
    t = in_lanes(make(a.shape, number, dtype or a.dtype, a.device if device is None else device, False, memory_format), input, requires_grad)
    if memory_format is None or memory_format.name == "preserve_format":
        strides = strides_of(input)
        with_strides(t, strides if is_contiguous(a.shape, strides) else _dense_like(a.shape, strides))
    return laid_like(t, input)


def _sparse(name: str, shape: Any, number: Any, layout: Any, dtype: Any, device: Any, requires_grad: bool, like: Any = None) -> Tensor:
    """Nothing specified in a sparse layout: zeros. Other numbers have no sparse form."""
    from jtorch._api.sparse_convert import empty
    from jtorch._core.graph.sparse_values import could_not_run, value_of

    t = empty(shape, layout.name, dtype, device, None if like is None else value_of(like))
    if number:
        raise could_not_run("fill_", (t,))
    return require_grad(t) if requires_grad else t


def _dense_like(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...]:
    """The order of dims of ``strides`` without gaps; torch's empty_like."""
    from jtorch._core.storage.elementwise_strides import computed_strides

    return computed_strides(shape, [strides], [shape]) or contiguous_strides(shape)


for _name, _number, _what in (("zeros", 0, "zeros"), ("ones", 1, "ones"), ("empty", 0, "zeros (torch leaves the elements undefined)")):
    _factory(_name, _number, _what)


def _fill_number(name: str, fill_value: Any) -> Any:
    return number_argument(name, "fill_value", " (position 2)", fill_value)


@compose("torch")
def full(size: Any, fill_value: Any, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
         pin_memory: bool = False, names: Any = None) -> Tensor:  # fmt: skip
    """A tensor of one number; its type follows the number's class."""
    number = _fill_number("full", fill_value)
    agree_with_out(out, dtype, device, layout)
    if dtype is None:
        dtype = aval_of(out).dtype if out is not None else _dtypes.of_python(number.__class__)
    return _into(out, make(_size((sizes_given("full", "size", size, alone=False) if isinstance(size, int) else size,), None, "full"), number, dtype, device, requires_grad))


@compose("torch")
def full_like(input: Tensor, fill_value: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
              memory_format: Any = None, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """A tensor of one number, of the shape, type and device of ``input``."""
    number = _fill_number("full_like", fill_value)
    return full_like_impl(input, number, dtype, device, requires_grad, memory_format)


@compose("Tensor")
def new_full(self: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None,
             pin_memory: bool = False) -> Tensor:  # fmt: skip
    """A tensor of ``size`` full of one number, of this tensor's type and device unless told otherwise."""
    a = aval_of(self)
    number = _fill_number("new_full", fill_value)
    return laid_like(in_lanes(make(_size((size,), None, "new_full"), number, dtype or a.dtype, a.device if device is None else device), self, requires_grad), self)


@compose("Tensor", name="new_tensor")
def new_tensor_method(self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A leaf with a copy of ``data``, of this tensor's type and device unless told otherwise."""
    a = aval_of(self)
    return tensor_creation.tensor(data, dtype=dtype or a.dtype, device=a.device if device is None else device, requires_grad=requires_grad)


@compose("Tensor")
def new(self: Tensor, *args: Any, device: Any = None, **kwargs: Any) -> Tensor:
    """Legacy constructor of the same type."""
    return legacy_tensor(aval_of(self).dtype, args or legacy_constructors.named(kwargs), device, aval_of(self).device, "new")


def legacy_tensor(kind: _dtypes.dtype, args: tuple[Any, ...], device: Any = None, where: Any = "cpu", form: str = "typed") -> Tensor:
    """``torch.FloatTensor(2, 3)`` and ``torch.Tensor([1, 2])``: sizes or data. ``where`` is the device, or the kind of one, that its class has; ``form`` is "typed", "base" (``torch.Tensor``, which takes a
    tensor of any type) or "new" (``tensor.new``)."""
    if len(args) == 1 and isinstance(args[0], Tensor):
        if device is not None:
            said = "new of the form tensor.new(tensor, device=device) is not supported.  Use" if form == "new" else "constructor of the form torch.Tensor(tensor, device=device) is not supported.  Use torch.tensor(...) or"
            raise RuntimeError(f"Legacy tensor {said} torch.as_tensor(...) instead.")
        if form != "base" and aval_of(args[0]).dtype is not kind:
            raise TypeError(f"expected {kind} (got {aval_of(args[0]).dtype})")
        return args[0].detach()  # type: ignore[attr-defined,no-any-return]
    if len(args) == 1 and isinstance(args[0], (UntypedStorage, TypedStorage)):
        return tensor_creation.of_storage(args[0], kind, "type {} for argument 1 'storage'")
    own = getattr(where, "type", where)
    if device is not None and (asked := _device.device(device).type) != own:
        raise RuntimeError(f"legacy constructor expects device type: {own} but device type: {asked} was passed")
    device = (None if form == "base" else where) if device is None else device
    if len(args) == 1 and isinstance(args[0], bool):
        raise TypeError("new(): data must be a sequence (got bool)")
    if len(args) == 1 and not isinstance(args[0], int):
        if isinstance(args[0], tuple) and type(args[0]).__name__ == "Size":
            return make(tuple(args[0]), 0, kind, device)
        if isinstance(args[0], np.ndarray) and args[0].dtype != kind.np:
            return tensor_creation.tensor(args[0], dtype=kind, device=device)
        if isinstance(args[0], float):
            raise TypeError("new(): data must be a sequence (got float)")
        return tensor_creation.tensor(args[0], dtype=kind, device=device)
    return make(_size(args or (0,), None, "new"), 0, kind, device)


@compose("torch")
def empty_strided(size: Any, stride: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
                  pin_memory: bool = False) -> Tensor:  # fmt: skip
    """A tensor of ``size`` laid out by ``stride``. Its elements are zero (torch leaves them undefined)."""
    size, stride = sizes_given("empty_strided", "size", size, alone=False), sizes_given("empty_strided", "stride", stride, 2, alone=False)
    if len(size) != len(stride):
        raise RuntimeError(f"dimensionality of sizes ({len(size)}) must match dimensionality of strides ({len(stride)})")
    check_addressable(tuple(size), _kind(dtype).itemsize, tuple(stride))
    t = make(size, 0, dtype, device, requires_grad)
    return with_strides(t, stride)


@compose("Tensor")
def new_empty_strided(self: Tensor, size: Any, stride: Any, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
                      pin_memory: bool = False) -> Tensor:  # fmt: skip
    """``torch.empty_strided`` with this tensor's type and device."""
    a = aval_of(self)
    return laid_like(in_lanes(torch.empty_strided(size, stride, dtype=dtype or a.dtype, device=a.device if device is None else device), self, requires_grad), self)


@compose("torch")
def empty_permuted(size: Any, physical_layout: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
                   pin_memory: bool = False) -> Tensor:  # fmt: skip
    """A tensor of ``size`` whose dims lie in memory in the order ``physical_layout``, the outermost first. RuntimeError if that is no permutation."""
    size, physical_layout = ((v,) if isinstance(v, int) else tuple(v) for v in (size, physical_layout))
    n = len(size)
    if len(physical_layout) != n:
        raise RuntimeError(
            "Number of dimensions in size does not match the length of the physical_layout; "
            f"i.e. len(size) = {n} is not equal to len(physical_layout) = {len(physical_layout)}"
        )
    for i, d in enumerate(physical_layout):
        if not 0 <= d < n:
            raise RuntimeError(
                f"Dimension out of range (expected to be between 0 and {n - 1}, but got {d} at index {i}).  "
                "NB: negative dims not currently supported; file an issue if you want it."
            )
    if len(set(physical_layout)) != n:
        raise RuntimeError("Duplicate dim not allowed")
    size = _size((), size, "empty_permuted")
    strides, step = [0] * n, 1
    for d in reversed(physical_layout):
        strides[d] = step
        step *= max(size[d], 1)
    return torch.empty_strided(size, strides, dtype=dtype, device=device, requires_grad=requires_grad)  # type: ignore[no-any-return]


@compose("torch")
def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False, names: Any = None) -> Tensor:
    """A leaf with a copy of Python data, a numpy array, a jax.Array or a tensor."""
    return tensor_creation.tensor(data, dtype=dtype, device=device, requires_grad=requires_grad)


@compose("torch")
def scalar_tensor(s: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Tensor:
    """A tensor without dims that holds one number; of the default type unless told otherwise."""
    number = number_argument("scalar_tensor", "s", " (position 1)", s)
    check_fits(number, dtype or _dtypes.default, dtype is _dtypes.complex32)
    s = number.real if number.__class__ is complex and not (dtype or _dtypes.default).is_complex and dtype is not _dtypes.bool_ else number
    return tensor_creation.tensor(s, dtype=dtype or _dtypes.default, device=device, requires_grad=requires_grad)


@compose("torch")
def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """The same memory where possible, else a copy."""
    return tensor_creation.as_tensor(data, dtype, device)


@compose("torch")
def asarray(obj: Any, *, dtype: Any = None, device: Any = None, copy: Any = None, requires_grad: bool = False) -> Tensor:
    """As ``as_tensor``, of DLPack's capsules too, and of Python's buffers, whose bytes are read as ``dtype`` (default: the default type); ``copy`` forces or forbids a copy.
    ValueError where a copy is forbidden and the memory cannot be shared."""
    if type(obj).__name__ == "PyCapsule":
        obj = tensor_creation.from_numpy(np.from_dlpack(tensor_creation.Capsule(obj)))
    if isinstance(obj, (UntypedStorage, TypedStorage)):
        obj = tensor_creation.of_storage(obj, dtype)
    if not isinstance(obj, (Tensor, np.ndarray, np.generic)) and not hasattr(obj, "__dlpack__") and _is_buffer(obj):  # an array of JAX's is a buffer too, and knows its type
        obj = frombuffer(obj, dtype=dtype or _dtypes.default)
    if copy is False:
        _check_shared(obj, dtype, device)
    if copy:
        t = tensor_creation.tensor(obj.detach() if isinstance(obj, Tensor) else obj, dtype=dtype, device=device) if not isinstance(obj, Tensor) else obj.detach().clone().to(device, dtype)  # type: ignore[attr-defined]
    else:
        t = tensor_creation.as_tensor(obj, dtype, device)
        if isinstance(obj, Tensor) and not requires_grad and obj._edge is not None:
            t = t.detach()  # type: ignore[attr-defined]
    return require_grad(t) if requires_grad else t


def _is_buffer(obj: Any) -> bool:
    try:
        memoryview(obj)
    except TypeError:
        return False
    return True


def _check_shared(obj: Any, dtype: Any, device: Any) -> None:
    """ValueError where a tensor of that type and device cannot lie on the memory of ``obj``."""
    if not isinstance(obj, (Tensor, np.ndarray, np.generic)) and not hasattr(obj, "__dlpack__"):
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    where, kind = (aval_of(obj).device, aval_of(obj).dtype) if isinstance(obj, Tensor) else (place(None), _dtypes.from_np(np.dtype(obj.dtype)))
    if device is not None and place(device) != where:
        raise ValueError(f"can't alias tensor from device '{where}' to '{place(device)}'.")
    if dtype is not None and dtype is not kind:
        raise ValueError(f"can't alias tensor with dtype '{kind.legacy}' into dtype '{dtype.legacy}'.")


@compose("torch")
def from_numpy(ndarray: Any) -> Tensor:
    """A tensor on the memory of a numpy array."""
    return tensor_creation.from_numpy(ndarray)


@compose("torch")
def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A tensor on the memory of a Python buffer, from ``offset`` bytes on, of ``count`` elements (default: all). ValueError for what is no buffer or does not fit."""
    if not _is_buffer(buffer):
        raise ValueError("object does not implement Python buffer protocol.")
    size, each = memoryview(buffer).nbytes, dtype.itemsize
    if not size or count == 0:
        raise ValueError(f"both buffer length ({size}) and count ({count}) must not be 0")
    if not 0 <= offset < size:
        raise ValueError(f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({size} bytes) minus 1")
    if count < 0 and (size - offset) % each:
        raise ValueError(f"buffer length ({size - offset} bytes) after offset ({offset} bytes) must be a multiple of element size ({each})")
    if count * each + offset > size:
        raise ValueError(f"requested buffer length ({count} * {each} bytes) after offset ({offset} bytes) must not be greater than actual buffer length ({size} bytes)")
    array = np.frombuffer(buffer, dtype.memory, count, offset)
    if not array.flags.writeable:
        warn_once(
            "The given buffer is not writable, and PyTorch does not support non-writable tensors. This means you can write to the underlying (supposedly non-writable) buffer using "
            "the tensor. You may want to copy the buffer to protect its data or make it writable before converting it to a tensor. This type of warning will be suppressed for the "
            "rest of this program."
        )
    t = tensor_creation.from_numpy(array if array.flags.writeable else array.copy())
    return require_grad(t) if requires_grad else t


def _count(start: Any, end: Any, step: Any) -> int:
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not all(math.isfinite(x) for x in (start, end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (step > 0 and start > end) or (step < 0 and start < end):
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if all(isinstance(x, int) for x in (start, end, step)):
        return -((start - end) // step) if step > 0 else -((end - start) // -step)
    return max(0, math.ceil((end - start) / step))


@compose("torch")
def arange(*args: Any, start: Any = None, end: Any = None, step: Any = None, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
           requires_grad: bool = False, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Numbers from start (default 0) up to end, exclusive."""
    agree_with_out(out, dtype, device, layout)
    given = [number_argument("arange", "end", " (position 1)", args[0])] if len(args) == 1 else [a.item() if is_number_tensor(a) else number_of(a) for a in args]
    if any(g is None for g in given) or len(given) > 3:
        no_overload("arange", args, "(Number end, ...)", "(Number start, Number end, Number step = 1, ...)")
    if len(given) == 1 and end is None:
        end = given[0]
    else:
        for i, g in enumerate(given):
            if i == 0:
                start = g
            elif i == 1:
                end = g
            else:
                step = g
    if end is None:
        raise TypeError("arange() missing 1 required positional arguments: \"end\"")
    start, end, step = [number_argument("arange", name, "", x) for name, x in (("start", 0 if start is None else start), ("end", end), ("step", 1 if step is None else step))]
    if any([isinstance(x, complex) and x.imag for x in (start, end, step)]):
        raise RuntimeError("value cannot be converted to type double without overflow")
    start, end, step = [x.real if isinstance(x, complex) else x for x in (start, end, step)]
    if dtype is None:
        dtype = aval_of(out).dtype if out is not None else _dtypes.default if any(isinstance(x, float) for x in (start, end, step)) else _dtypes.int64
    _refuse_types("arange", dtype, True)
    if dtype.category == 1:
        cut = int(step)
        if cut == 0 and step != 0:
            raise ValueError("step must be nonzero")
        start, end, step = int(start), int(end), cut
    n = _count(start, end, step)
    if n >= 2**63:
        raise RuntimeError("invalid size, possible overflow?")
    if dtype.category < 2:
        values = (start + np.arange(n, dtype=np.int64) * step).astype(dtype.np)
    else:
        # torch: float(start) + float(i) * float(step), accumulated in double for float32
        values = (float(start) + np.arange(n, dtype=np.float64) * float(step)).astype(dtype.np)
    return _into(out, from_array(values, None, device, requires_grad), False, "arange")


@compose("torch")
def range(start: Any = 0, end: Any = None, step: Any = 1, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
          requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Deprecated in torch: as ``arange`` with the end included."""
    agree_with_out(out, dtype, device, layout)

    warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is inconsistent with Python's range builtin. Instead, use torch.arange, which produces values in [start, end).",
    )
    if end is None:
        start, end = 0, start
    start, end, step = [number_argument("range", name, f" (position {i})", x) for i, (name, x) in enumerate((("start", start), ("end", end), ("step", step)), 1)]
    kind = dtype or _dtypes.default
    _refuse_types("range", kind, True)
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (step > 0 and start > end) or (step < 0 and start < end):
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    n = int((end - start) / step + 1)
    return _into(out, from_array((start + np.arange(n) * step).astype(kind.np), None, device, requires_grad), False, "range")


def _refuse_types(name: str, kind: _dtypes.dtype, complex_too: bool) -> None:
    """NotImplementedError for the types that torch's kernels of a row of numbers leave out."""
    if kind in _dtypes.FLOAT8 or kind is _dtypes.bool_ or kind in _dtypes.BARE_UNSIGNED or kind is _dtypes.complex32 or (complex_too and kind.is_complex):
        no_kernel(f"{name}_cpu", kind)


def _refuse_imaginary(name: str, kind: _dtypes.dtype, *ends: Any) -> None:
    if not kind.is_complex and any(isinstance(x, complex) for x in ends):
        inferred = "double" if _dtypes.default is _dtypes.float64 else "float"
        raise RuntimeError(f"torch.{name}(): inferred dtype c10::complex<{inferred}> can't be safely cast to passed dtype {kind.legacy}")


def _held(x: Any, kind: _dtypes.dtype) -> Any:
    """A number as an element of this type holds it."""
    check_fits(x, kind, True)
    held = np.asarray(x).astype(kind.np)[()]
    return int(held) if kind.category == 1 else held


def _linear(start: Any, end: Any, steps: int, kind: _dtypes.dtype) -> np.ndarray:
    """Equal steps between the ends as the type holds them, the second half counted from the end. Steps between whole numbers are doubles.

    Half types round after each operation; the others multiply and add in one, as torch's compiler has it (``_WIDER``: enough for it to be rounded once).
    """
    start, end = (_held(x, kind) if n < steps else 0 for n, x in enumerate((start, end)))
    if steps < 2:
        return np.full(steps, start, kind.np)
    i, half = np.arange(steps), steps // 2
    if kind.category == 1:
        return _from_both_ends(start, end, (float(end) - float(start)) / (steps - 1), i, half).astype(kind.np)
    step = (end - start) / kind.np.type(steps - 1)
    if kind.itemsize == 2:
        low, high = (step * k.astype(kind.np) for k in (i, steps - 1 - i))
        return np.where(i < half, start + low, end - high)
    wider = _WIDER[kind.np.name]
    return _from_both_ends(wider(start), wider(end), wider(step), i, half).astype(kind.np)


_WIDER = {"float32": np.float64, "float64": np.longdouble, "complex64": np.complex128, "complex128": np.clongdouble}


def _from_both_ends(start: Any, end: Any, step: Any, i: np.ndarray, half: int) -> np.ndarray:
    return np.where(i < half, start + step * i, end - step * (len(i) - 1 - i))


def _powers(base: Any, start: Any, end: Any, steps: int, kind: _dtypes.dtype) -> np.ndarray:
    """``base`` to equal steps between the ends as the type holds them; steps and powers of what is real are doubles."""
    if kind.is_complex:
        return np.power(np.asarray(base, kind.np), _linear(start, end, steps, kind))
    if steps < 2:
        return np.full(steps, _held(float(np.power(float(base), float(start))), kind) if steps else 0, kind.np)
    start, end = (_held(x, kind) for x in (start, end))
    exponents = _from_both_ends(float(start), float(end), float(end - start) / (steps - 1), np.arange(steps), steps // 2)
    return np.power(np.longdouble(base), exponents).astype(np.float64).astype(kind.np)  # numpy's own power of doubles is off by one unit in the last place, where the C library's is not


def _not_known(*ends: Any) -> bool:
    """Whether one of these is a tensor inside a transformation, so that the numbers between are computed there."""
    return any(isinstance(x, Tensor) and unknown(read(x).array) for x in ends)


def _between(start: Any, end: Any, steps: int, kind: _dtypes.dtype, work: _dtypes.dtype) -> Any:
    """As :func:`_linear`, in the type ``work``, of ends that are not known yet."""
    start, end = (torch.as_tensor(x).detach().to(kind).to(work) for x in (start, end))
    i = torch.arange(steps, dtype=work.to_real() if work.is_complex else work)
    step = (end - start) / max(steps - 1, 1)
    return torch.where(i < max(steps // 2, 1), start + step * i, end - step * (steps - 1 - i))


def _ends(start: Any, end: Any) -> tuple[Any, Any]:
    return tuple(x.item() if isinstance(x, Tensor) else number_of(x) for x in (start, end))  # type: ignore[attr-defined,return-value]


def _steps(name: str, start: Any, end: Any, steps: Any) -> int:
    if any([not isinstance(x, Tensor) and number_of(x) is None for x in (start, end)]):
        no_overload(name, [x for x in (start, end, steps) if x is not None], "(Number start, Number end, int steps, ...)")
    if isinstance(steps, Tensor) and not aval_of(steps).shape and aval_of(steps).dtype.category == 1:
        return int(steps.item())  # type: ignore[attr-defined]
    if isinstance(steps, bool) or not hasattr(steps, "__index__") or isinstance(steps, Tensor):
        no_overload(name, [x for x in (start, end, steps) if x is not None], "(Number start, Number end, int steps, ...)")
    return int(steps)


@compose("torch")
def linspace(start: Any, end: Any, steps: Any = None, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
             requires_grad: bool = False, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """``steps`` numbers from start to end, both included."""
    agree_with_out(out, dtype, device, layout)
    steps = _steps("linspace", start, end, steps)
    if isinstance(start, Tensor) and aval_of(start).shape or isinstance(end, Tensor) and aval_of(end).shape:
        raise RuntimeError("linspace only supports 0-dimensional start and end tensors")
    later = _not_known(start, end)
    start, end = (start, end) if later else _ends(start, end)
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    kind = dtype or (aval_of(out).dtype if out is not None else _dtypes.default.to_complex() if isinstance(start, complex) or isinstance(end, complex) else _dtypes.default)
    if steps > 1:
        _refuse_types("linspace", kind, False)
    _refuse_imaginary("linspace", kind, start, end)
    if later:
        return _into(out, _between(start, end, steps, kind, kind if kind.category > 1 else _dtypes.float64).to(kind), False, "linspace")
    return _into(out, from_array(_linear(start, end, steps, kind), None, device, requires_grad), False, "linspace")


@compose("torch")
def logspace(start: Any, end: Any, steps: Any = None, base: float = 10.0, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
             requires_grad: bool = False, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """``base`` to the powers of a linspace."""
    agree_with_out(out, dtype, device, layout)
    steps = _steps("logspace", start, end, steps)
    if isinstance(start, Tensor) and aval_of(start).shape or isinstance(end, Tensor) and aval_of(end).shape:
        raise RuntimeError("logspace only supports 0-dimensional start and end tensors")
    later = _not_known(start, end)
    start, end = (start, end) if later else _ends(start, end)
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    kind = dtype or (aval_of(out).dtype if out is not None else _dtypes.default.to_complex() if isinstance(start, complex) or isinstance(end, complex) else _dtypes.default)
    if steps > 1:
        _refuse_types("logspace", kind, False)
    _refuse_imaginary("logspace", kind, start, end)
    if later:
        exponents = _between(start, end, steps, kind, kind if kind.is_complex else _dtypes.float64)
        return _into(out, torch.pow(base, exponents).to(kind), False, "logspace")
    with np.errstate(all="ignore"):
        values = _powers(base, start, end, steps, kind)
    return _into(out, from_array(values, None, device, requires_grad), False, "logspace")


@compose("torch")
def eye(n: int, m: int | None = None, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
        pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Ones on the diagonal, zeros elsewhere."""
    agree_with_out(out, dtype, device, layout)
    m = n if m is None else m
    for name, k in (("n", n), ("m", m)):
        if k < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {k}")
    kind = dtype or (aval_of(out).dtype if out is not None else _dtypes.default)
    if kind is _dtypes.complex32:
        no_kernel("eye", kind)
    return _into(out, from_array(np.eye(n, m, dtype=kind.np), None, device, requires_grad), False)


torch._legacy_tensor = legacy_tensor
torch._from_jax = tensor_creation.from_jax
