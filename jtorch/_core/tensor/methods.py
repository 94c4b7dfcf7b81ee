"""Methods that copy, convert, view and subclass tensors; what is not an operator of its own."""

from __future__ import annotations

import copy
import functools
import math
from typing import Any

import numpy as np

from jtorch._core.graph.device_copy import to_device
from jtorch._core.tensor import storage_objects
from jtorch._core.tensor.resizing import resize
from jtorch._core.tensor.process_sharing import share_memory
from jtorch._core.tensor.creation import as_tensor
from jtorch._core.storage.overlap import check_out
from jtorch._core.storage.shells import is_shell
from jtorch._core.storage.view_steps import copied, flips_of
from jtorch._core.graph.grad_modes import no_grad
from jtorch import _device, _dtypes, _types
from jtorch._namespace import torch
from jtorch._engine.recording import forgetting
from jtorch._engine.recording.call import T, call_of, value
from jtorch._engine.values.sparse_values import SparseAval
from jtorch._engine.values.thread_state import GRAD, INFERENCE, state
from jtorch._ops.views_of_numbers import bits_strides
from jtorch._registry import lookup

from jtorch._core.graph import sparse_values
from jtorch._core.dispatch.checked_arguments import checked_format
from jtorch._core.dispatch.signature_binding import sizes_given, type_name
from jtorch._core.dispatch.conversion import cast, format_strides, to, with_strides
from jtorch._core.tensor.autograd_methods import require_grad
from jtorch._core.tensor.attributes import is_contiguous_, numel
from jtorch._core.dispatch.record import apply_multi, call1
from jtorch._core.tensor.autograd_methods import detach, set_requires_grad
from jtorch._core.dispatch.inplace import assign, become_view, check_writable
from jtorch._core.tensor.method_decorators import method
from jtorch._core.dispatch.torch_function import _DEFAULT, MODES, DisableTorchFunctionSubclass, disabled_dispatch, has_override, override
from jtorch._core.storage.bare_tensor import PLAIN, Tensor, alias_of, meta_of
from jtorch._core.graph.view_history import take_view
from jtorch._core.storage.view_steps import aval_of, layout


_SIZES = frozenset((tuple, _types.Size))
_clone = call_of(lookup("torch.clone"), (T, value(None)))


# --- copies and conversions -------------------------------------------------------------------------------------


@method
def clone(self: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy, in the graph; the layout is kept unless ``memory_format`` says otherwise."""
    if memory_format is None and self.__class__ in PLAIN and not MODES:
        return call1(_clone, self)  # type: ignore[no-any-return]
    if has_override((self,), {}):
        return override(Tensor.clone, (self,), {"memory_format": memory_format})  # type: ignore[no-any-return]
    checked_format("clone", memory_format)
    out: Tensor = apply_multi(_clone, (self,))
    if memory_format is not None and memory_format.name != "preserve_format":
        with_strides(out, format_strides(aval_of(out).shape, memory_format))
    return out


def _laid_out(registered: Any) -> Any:
    """``torch.clone``: what was declared, laid out as it says."""

    @functools.wraps(registered)
    def copy(*args: Any, **kwargs: Any) -> Any:
        if not kwargs and len(args) == 1 and args[0].__class__ in PLAIN and not MODES:
            return registered(*args)
        if has_override(args, kwargs):
            return override(copy, args, kwargs)
        fmt = checked_format("clone", kwargs.get("memory_format"))
        out = registered(*args, **kwargs)
        if fmt is None or fmt.name == "preserve_format":
            return out
        with_strides(out, format_strides(aval_of(out).shape, fmt))
        return out

    return copy


torch.clone = _laid_out(torch.clone)


@method
def contiguous(self: Tensor, *, memory_format: Any = None) -> Tensor:
    """This tensor if it is laid out so, else a copy that is."""
    if is_contiguous_(self, checked_format("contiguous", memory_format)):
        return self
    return clone(self, memory_format=memory_format or _types.CONSTANTS["contiguous_format"])


@method
def to_(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Another element type, device or layout: ``to(dtype)``, ``to(device, dtype)``, ``to(tensor)``."""
    if has_override((self,), kwargs):
        return override(Tensor.to, (self, *args), kwargs)  # type: ignore[no-any-return]
    kind, where = kwargs.pop("dtype", None), kwargs.pop("device", None)
    copy = kwargs.pop("copy", False)
    kwargs.pop("non_blocking", None)
    fmt = kwargs.pop("memory_format", None)
    other = kwargs.pop("tensor", None)
    if kwargs:
        raise TypeError(f"to() received an invalid combination of arguments - got unexpected keyword {sorted(kwargs)}")
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        other = rest.pop(0)
    elif rest and (rest[0] is None or isinstance(rest[0], (_device.device, str)) or (isinstance(rest[0], int) and not isinstance(rest[0], bool))):
        where = rest.pop(0)
        if rest and isinstance(rest[0], _dtypes.dtype):
            kind = rest.pop(0)
    elif rest and (isinstance(rest[0], _dtypes.dtype) or rest[0] in (float, int, bool)):
        kind = rest.pop(0)
    elif rest and not isinstance(rest[0], bool):
        raise TypeError(f"to() received an invalid combination of arguments - got ({type(rest[0]).__name__}), but expected one of:\n * (torch.device device = None, torch.dtype dtype = None, bool non_blocking = False, bool copy = False, *, torch.memory_format memory_format = None)\n * (torch.dtype dtype, bool non_blocking = False, bool copy = False, *, torch.memory_format memory_format = None)\n * (Tensor tensor, bool non_blocking = False, bool copy = False, *, torch.memory_format memory_format = None)\n")
    if rest:
        rest.pop(0)  # non_blocking
    if rest:
        copy = rest.pop(0)
    if rest:
        raise TypeError(f"to() takes at most 4 positional arguments ({len(args)} given)")
    if other is not None:
        kind, where = kind or aval_of(other).dtype, where if where is not None else aval_of(other).device
    kind = {float: _dtypes.float64, int: _dtypes.int64, bool: _dtypes.bool_}.get(kind, kind)
    return to(self, kind, where, copy, checked_format("to", fmt))


Tensor.to = to_  # type: ignore[method-assign]
del Tensor.to_  # type: ignore[attr-defined]


@method
def type_as(self: Tensor, other: Tensor) -> Tensor:
    """This tensor in the type and on the device of ``other``."""
    return to(self, aval_of(other).dtype, aval_of(other).device)


@method
def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """This tensor in the host's memory; itself if it is there."""
    return to(self, None, _device.CPU, memory_format=checked_format("cpu", memory_format))


@method
def cuda(self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """This tensor on a GPU (default: the first); itself if it is there. RuntimeError for a device that is none, TypeError for what is no device."""
    if not isinstance(device, (int, str, _device.device, type(None))):
        raise TypeError(f"cuda(): argument 'device' (position 1) must be torch.device, not {type_name(device)}")
    where = _device.device("cuda:0" if device is None else device)  # a number names a GPU
    if where.type != "cuda":
        raise RuntimeError("Invalid device, must be cuda device")
    return to(self, None, where, memory_format=checked_format("cuda", memory_format))


def type_(self: Tensor, dtype: Any = None, non_blocking: bool = False, **kwargs: Any) -> Any:
    """The legacy type name ("torch.FloatTensor"), or this tensor in another type."""
    if dtype is None:
        a = aval_of(self)
        if a.__class__ is SparseAval:
            return sparse_values.type_name(a)
        return f"torch.{'cuda.' if a.device.type == 'cuda' else ''}{a.dtype.legacy}Tensor"
    if isinstance(dtype, str):
        name = dtype.rpartition(".")[2].removesuffix("Tensor")
        for kind in _dtypes.ALL.values():
            if kind.legacy == name:
                return cast(self, kind)
        raise ValueError(f"invalid type: '{dtype}'")
    if dtype is Tensor:  # the name of what the default type makes
        return cast(self, _dtypes.default)
    kind = getattr(dtype, "dtype", dtype)
    if not isinstance(kind, _dtypes.dtype):
        raise ValueError(f"invalid type: '{getattr(dtype, '__name__', dtype)}'" if isinstance(dtype, type) else "dtype must be a type, str, or dtype object")
    return cast(self, kind)


Tensor.type = type_  # type: ignore[method-assign]


def _cast_method(name: str, kind: _dtypes.dtype) -> None:
    def convert(self: Tensor, *, memory_format: Any = None) -> Tensor:
        return to(self, kind, memory_format=checked_format(name, memory_format))

    convert.__name__ = name
    convert.__doc__ = f"This tensor as ``torch.{kind.name}``; itself if it is that already."
    setattr(Tensor, name, convert)


for _name, _to in {
    "float": _dtypes.float32, "double": _dtypes.float64, "half": _dtypes.float16, "bfloat16": _dtypes.bfloat16, "int": _dtypes.int32,
    "long": _dtypes.int64, "short": _dtypes.int16, "char": _dtypes.int8, "byte": _dtypes.uint8, "bool": _dtypes.bool_,
    "cfloat": _dtypes.complex64, "cdouble": _dtypes.complex128, "chalf": _dtypes.complex32,
}.items():  # fmt: skip
    _cast_method(_name, _to)


@method
def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Write the elements of ``src`` (broadcast, cast, moved) into this tensor."""
    if not isinstance(src, Tensor):
        if not isinstance(src, (int, float, bool, complex, np.generic)):
            raise TypeError(f"copy_(): argument 'other' (position 1) must be Tensor, not {src.__class__.__name__}")
        src = as_tensor(src)
    check_writable(self, name="copy_")
    a = aval_of(self)
    if src._s is self._s and src is not self and math.prod(a.shape) != 1:
        check_out(self, (src,), False)
    if aval_of(src).device is not a.device:
        src = to_device(src, a.device)
    if aval_of(src) is a and src._edge is None and (self._edge is None or not state.mode & GRAD):
        if src is self:
            self._s.version += 1
            return self  # type: ignore[no-any-return]
        return assign(self, src)
    before = self if self._edge is not None and self._view is None and state.mode & GRAD else detach(self)  # what it was gets zeros
    return assign(self, apply_multi(call_of(lookup("internal.copy"), (T, T)), (before, src)))


@method
def resize_(self: Tensor, *sizes: Any, size: Any = None, memory_format: Any = None) -> Tensor:
    """Change the size; the memory keeps its elements in order."""
    if size is None:
        if not sizes:
            raise TypeError('resize_() missing 1 required positional arguments: "size"')
        size = sizes[0] if len(sizes) == 1 else sizes
    elif not isinstance(size, (tuple, list)):
        raise TypeError(f"resize_(): argument 'size' must be tuple of ints, not {type_name(size)}")
    shape = sizes_given("resize_", "size", size)
    if self._edge is not None and not (state.mode & INFERENCE and self.is_inference()):
        raise RuntimeError("cannot resize variables that require grad")
    resize(self, shape, checked_format("resize_", memory_format))
    return self


@method
def resize_as_(self: Tensor, other: Tensor, memory_format: Any = None) -> Tensor:
    """``resize_`` to the shape of ``other``."""
    checked_format("resize_as_", memory_format)
    if memory_format is not None and memory_format.name == "preserve_format":
        known = (None, _types.CONSTANTS["channels_last"], _types.CONSTANTS["channels_last_3d"])
        memory_format = next((f for f in known if is_contiguous_(other, f)), None)
    return resize_(self, aval_of(other).shape, memory_format=memory_format)


@method
def is_shared(self: Tensor) -> bool:
    """Whether other processes see the memory."""
    return storage_objects.is_shared(self._s)


@method
def share_memory_(self: Tensor) -> Tensor:
    """Move the memory to where other processes see it and write it, in place: children by fork, and who is sent it through a queue."""
    share_memory(self._s)
    return self


@method
def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """This tensor: XLA pins what it transfers by itself."""
    return self


@method
def is_pinned(self: Tensor, device: Any = None) -> bool:
    """Whether the memory is page-locked: False."""
    return False


# --- views whose arguments need a word --------------------------------------------------------------------------


def _sizes(args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> tuple[int, ...]:
    given = kwargs.get(name, kwargs.get("size", kwargs.get("shape", args[0] if len(args) == 1 and isinstance(args[0], (tuple, list)) else args)))
    return sizes_given(name, "shape" if name == "reshape" else "size", given)


_view_op = lookup("internal.view")
_calls_by_sizes: dict[Any, tuple[Any, tuple[Any, ...]]] = {}
forgetting.remembered.append(_calls_by_sizes)


def _known_sizes(t: Any, args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> Any:
    """The call of the view operator, and its arguments, that ``t.view(*args)`` or ``t.reshape(*args)`` came to the last time.

    If they are not known, the list of what they can be remembered under; None if it is more than plain sizes of a plain tensor.
    """
    if kwargs or t.__class__ not in PLAIN or MODES:
        return None
    given = args[0] if len(args) == 1 and args[0].__class__ in _SIZES else args
    for n in given:
        if n.__class__ is not int:  # 2.0 and True are found under 2 and 1
            return None
    view, s = t._view, t._s  # type: ignore[attr-defined]  # a class of PLAIN
    if view is not None:
        key = (name, given, view.aval, view.strides)
    elif s.host is None:
        key = (name, given, s.value.aval, s.strides)
    else:
        return None
    return _calls_by_sizes.get(key) or [key]


def _remember_sizes(found: Any, known: tuple[Any, tuple[Any, ...]]) -> None:
    if found is not None:
        if len(_calls_by_sizes) > 20000:
            _calls_by_sizes.clear()
        _calls_by_sizes[found[0]] = known


@method
def view(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The same memory in another shape (``view(2, 3)``) or element type (``view(torch.int32)``)."""
    found = _known_sizes(self, args, kwargs, "view")
    if found.__class__ is tuple:
        return take_view(_view_op, found[0], self, found[1], ())
    if has_override((self,), {}):
        return override(Tensor.view, (self, *args), kwargs)  # type: ignore[no-any-return]
    kind = kwargs.get("dtype", args[0] if args else None)
    if kind.__class__ is type:
        kind = _dtypes.OF_CLASS.get(kind, kind)
    if isinstance(kind, _dtypes.dtype):
        op = lookup("internal.view_dtype")
        old = aval_of(self).dtype
        if kind.itemsize > old.itemsize:
            bits_strides(*layout(self), kind, old)  # what it refuses depends on the offset too
        if self._edge is not None:
            self = self.detach()  # no gradient goes through it, as in torch
        if kind is old and not flips_of(self):
            return take_view(lookup("internal.alias"), call_of(lookup("internal.alias"), (T,)), self, (), ())
        return take_view(op, call_of(op, (T, value(kind), value(old))), self, (kind, old), ())
    if not args and not kwargs:
        raise TypeError("view() received an invalid combination of arguments - got (), but expected one of:\n * (torch.dtype dtype)\n * (tuple of ints size)\n")
    size = _sizes(args, kwargs, "view")
    call = call_of(_view_op, (T, value(size)))
    out = take_view(_view_op, call, self, (size,), ())
    _remember_sizes(found, (call, (size,)))
    return out


def reshape(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The same elements in another shape: a view if memory allows, else a copy."""
    found = _known_sizes(input, args, kwargs, "reshape")
    if found.__class__ is tuple:
        return take_view(_view_op, found[0], input, found[1], ())
    if has_override((input,), {}):
        return override(Tensor.reshape, (input, *args), kwargs)  # type: ignore[no-any-return]
    from jtorch._ops.views import infer_size, view_strides

    if aval_of(input).__class__ is SparseAval:
        raise RuntimeError("reshape is not implemented for sparse tensors")
    size = infer_size(_sizes(args, kwargs, "reshape"), numel(input), aval_of(input).shape)
    sh, st, _ = layout(input)
    if view_strides(sh, st, size) is not None:
        call = call_of(_view_op, (T, value(size)))
        _remember_sizes(found, (call, (size,)))
        return take_view(_view_op, call, input, (size,), ())
    out: Tensor = apply_multi(call_of(lookup("internal.reshape_copy"), (T, value(size))), (input,))
    return out


Tensor.reshape = reshape  # type: ignore[method-assign,assignment]


@method
def unsafe_view(self: Tensor, *size: Any) -> Tensor:
    """As ``view``."""
    return view(self, *size)


def _in_place_view(name: str) -> None:
    def call(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return become_view(self, lambda before: getattr(before, name)(*args, **kwargs), name + "_")

    call.__name__ = name + "_"
    call.__doc__ = f"As ``{name}``, of this very tensor."
    setattr(Tensor, name + "_", call)


for _v in ("transpose", "t", "squeeze", "unsqueeze", "swapaxes", "swapdims"):
    _in_place_view(_v)


# --- subclasses, copying, pickling ------------------------------------------------------------------------------


@classmethod  # type: ignore[misc]
def __torch_function__(cls: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """Results of functions on a subclass have that subclass."""
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    with DisableTorchFunctionSubclass():
        result = func(*args, **(kwargs or {}))
    if cls in PLAIN or func in (Tensor._base.__get__, Tensor.grad.__get__):  # type: ignore[attr-defined]
        return result
    return _as_class(result, cls)


def _as_class(result: Any, cls: Any) -> Any:
    if isinstance(result, Tensor) and not isinstance(result, cls):
        return result.as_subclass(cls)
    if result.__class__ in (tuple, list):
        return result.__class__(_as_class(r, cls) for r in result)
    return result


Tensor.__torch_function__ = __torch_function__
_DEFAULT[0] = __torch_function__.__func__  # type: ignore[attr-defined]


@method
def as_subclass(self: Tensor, cls: Any) -> Any:
    """The same tensor as an instance of a subclass."""
    t = cls.__new__(cls) if cls.__new__ is object.__new__ else object.__new__(cls)
    t._s, t._view, t._edge, t._nr, t._grad, t._meta = self._s, self._view, self._edge, self._nr, None, self._meta
    return t


@staticmethod  # type: ignore[misc]
def _make_subclass(cls: Any, data: Tensor, require_grad: bool = False, **_: Any) -> Any:
    if not isinstance(require_grad, bool):
        raise TypeError(f"_make_subclass(): argument 'require_grad' (position 3) must be bool, not {type(require_grad).__name__}")
    t = alias_of(data._s, data._view, cls)
    if data._meta is not None and data._meta.inference:
        meta_of(t).inference = True
    if require_grad:
        if aval_of(t).dtype.category < 2:
            raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
        set_requires_grad(t, True)
    return t


Tensor._make_subclass = _make_subclass  # type: ignore[attr-defined]
Tensor.__torch_dispatch__ = staticmethod(disabled_dispatch)  # type: ignore[attr-defined]


@method
def __deepcopy__(self: Tensor, memo: Any) -> Any:
    if id(self) in memo:
        return memo[id(self)]
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  If you were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, see https://github.com/pytorch/pytorch/pull/103001"
        )
    if is_shell(self):
        return _described_copy(self, _clone_of_shell(self), memo)
    if self.__class__ not in PLAIN and type(self.new_empty([])) is not type(self):
        raise RuntimeError(
            "The default implementation of __deepcopy__() for non-wrapper subclasses only works for subclass types that implement new_empty() and for which that "
            "function returns another instance of the same subclass. You should either properly implement new_empty() for your subclass or override __deepcopy__() "
            "if it is intended behavior for new_empty() to return an instance of a different type."
        )
    s = storage_objects.copied_once(self._s, memo)
    out = alias_of(s, copied(self._view, s), self.__class__)
    if flips_of(self):  # carried out, as in torch
        with _no_grad():
            resolved = apply_multi(_clone, (alias_of(self._s, self._view),))
        out._s, out._view = resolved._s, None
    return _described_copy(self, out, memo)


def _clone_of_shell(self: Tensor) -> Tensor:
    with _no_grad():
        out = self.clone()
    if type(out) is not type(self):
        raise RuntimeError(
            "The default implementation of __deepcopy__() for wrapper subclasses only works for subclass types that implement clone() and for which cloning returns another "
            "instance of the same subclass. You should either properly implement clone() for your subclass or override __deepcopy__() if it is intended behavior for clone() to "
            "return an instance of a different type."
        )
    return out


def _described_copy(self: Tensor, out: Tensor, memo: Any) -> Tensor:
    """``out`` with copies of what ``self`` has besides its elements: the slots of its class first, which its ``__torch_function__`` may read."""
    if self.__class__ not in PLAIN:
        own = [name for kind in type(self).__mro__[: type(self).__mro__.index(Tensor)] for name in _slots_of(kind)]
        for name in own:
            if hasattr(self, name):
                setattr(out, name, copy.deepcopy(getattr(self, name), memo))
    if self._edge is not None:
        require_grad(out)
    if self._grad is not None:
        out._grad = copy.deepcopy(self._grad, memo)
    memo[id(self)] = out
    out.__dict__.update(copy.deepcopy(self.__dict__, memo))
    return out


def _slots_of(kind: type) -> list[str]:
    names = vars(kind).get("__slots__", ())
    names = (names,) if isinstance(names, str) else tuple(names)
    return [n if not n.startswith("__") or n.endswith("__") else f"_{kind.__name__.lstrip('_')}{n}" for n in names if n not in ("__dict__", "__weakref__")]


def _no_grad() -> Any:
    return no_grad()
